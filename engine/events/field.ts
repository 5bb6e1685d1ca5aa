import { ByteWriter, viewOf } from './byte-writer.ts';
import type { Fields } from './batch.ts';
import { writeMapHeader, writeString, writeValue } from './msgpack-write.ts';

/**
 * A field of a record, prepared once so that looking it up compares bytes.
 *
 * `literal` is set for names such as `source.ip`: a top-level key of just that name is preferred to the path.
 */
export interface Field {
  readonly text: string;
  readonly path: readonly (string | number)[];
  /** UTF-8 of each step of the path; an empty array for a list index. */
  readonly keys: readonly Uint8Array[];
  readonly literal: Uint8Array | undefined;
}

/** Equal names are one array, so that they are told by identity: fragments of 300 cities name the same fields. */
const interned = new Map<string, Uint8Array>();
/** Names beyond these are arrays of their own. */
const MAX_INTERNED = 4096;

function utf8(text: string): Uint8Array {
  const known = interned.get(text);
  if (known !== undefined) return known;
  const bytes = Buffer.from(text, 'utf8');
  if (interned.size < MAX_INTERNED && text.length < 64) interned.set(text, bytes);
  return bytes;
}

/**
 * @param name  a key (`host`), a dotted name (`source.ip`: the key of that name if there is one, else the path), or the
 *   path as a list of keys and list indices (what a record accessor such as `$.source.ip` or `$['a.b'][0]` parses to)
 */
export function field(name: string | readonly (string | number)[]): Field {
  const path = typeof name === 'string' ? name.split('.') : name;
  const usable = path.length > 0 && path.every((step) => step !== '') ? path : [String(name)];
  return {
    text: typeof name === 'string' ? name : name.join('.'),
    path: usable,
    keys: usable.map((step) => (typeof step === 'number' ? new Uint8Array() : utf8(step))),
    literal: typeof name === 'string' && usable.length > 1 ? utf8(name) : undefined,
  };
}

export interface EncodedPair {
  readonly key: string;
  /** The key's UTF-8 without a header. */
  readonly name: Uint8Array;
  /** Key and value as MessagePack, one after the other. */
  readonly bytes: Uint8Array;
  /** Where the value begins in `bytes`. */
  readonly valueAt: number;
}

/** A group of fields encoded once and added to many events: under one top-level key, or at the top. */
export interface Fragment {
  /** Top-level key whose map the pairs are merged into; undefined: the pairs are fields of the record itself. */
  readonly under: Uint8Array | undefined;
  readonly underName: string | undefined;
  readonly pairs: readonly EncodedPair[];
  /** Key and map as MessagePack, for records that have no such key yet; undefined when `under` is. */
  readonly whole: EncodedWhole | undefined;
}

export interface EncodedWhole {
  readonly bytes: Buffer;
  readonly view: DataView;
  /** Where the map begins in `bytes`. */
  readonly valueAt: number;
}

/**
 * @param under  top-level key (`source`), or undefined for fields of the record itself
 * @param fields  the fields; values that are undefined are left out
 */
export function fragment(under: string | undefined, fields: Fields): Fragment {
  const pairs: EncodedPair[] = [];
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const into = new ByteWriter(64);
    writeString(into, key);
    const valueAt = into.length;
    writeValue(into, value);
    pairs.push({ key, name: utf8(key), bytes: into.copy(), valueAt });
  }
  if (under === undefined) return { under, underName: under, pairs, whole: undefined };
  return { under: utf8(under), underName: under, pairs, whole: encodeWhole(under, pairs) };
}

function encodeWhole(under: string, pairs: readonly EncodedPair[]): EncodedWhole {
  const into = new ByteWriter(256);
  writeString(into, under);
  const valueAt = into.length;
  writeMapHeader(into, pairs.length);
  for (const pair of pairs) into.raw(pair.bytes);
  const bytes = into.copy();
  return { bytes, view: viewOf(bytes), valueAt };
}
