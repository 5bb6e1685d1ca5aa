/**
 * The files of Fluentd's file buffers: names of chunk files, the binary `.meta` beside them, and what is in them.
 *
 *     buffer.b5f32232e76a4d1bdfdbeed36c384b03b.log        b staged, q queued; 16 bytes of id in hexadecimal
 *     buffer.b5f32232e76a4d1bdfdbeed36c384b03b.log.meta   c1 00, u32 length (big-endian), msgpack map; older: the map alone
 *     fsb.app%2Elog.b513b61c9791029c2513b61c9791029c2.buf file_single: the key stands in the name, there is no .meta
 *
 * @see https://github.com/fluent/fluentd/blob/master/lib/fluent/plugin/buffer/file_chunk.rb
 */
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { checkEntries } from '../events/entries.ts';
import type { Batch } from '../events/batch.ts';
import { INVALID, decode, mapCount, skipValue } from '../events/msgpack.ts';

export interface FluentdChunkName {
  readonly state: 'staged' | 'queued' | 'unknown';
  /** Hexadecimal; 32 digits in what Fluentd writes. */
  readonly id: string | undefined;
  /** Of file_single: a tag or the value of a field. */
  readonly key: string | undefined;
}

/** @param path  a chunk file, not its .meta */
export function parseChunkName(path: string): FluentdChunkName {
  const found = /\.([bq])([0-9a-f]+)\.[^/]*$/.exec(path);
  if (found === null) return { state: 'unknown', id: undefined, key: undefined };
  const single = /(?:^|\/)fsb\.([^/]+)\.[bq][0-9a-f]+\.buf$/.exec(path);
  const key = single?.[1] === undefined ? undefined : decodeKey(single[1]);
  return { state: found[1] === 'b' ? 'staged' : 'queued', id: found[2], key };
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // No percent code: the name as it stands.
    return text;
  }
}

export interface FluentdMeta {
  readonly id: string;
  readonly records: number;
  /** Seconds since the epoch. */
  readonly createdAt: number;
  readonly modifiedAt: number;
  readonly timekey: number | undefined;
  readonly tag: string | undefined;
  readonly variables: Readonly<Record<string, unknown>> | undefined;
  readonly seq: number;
}

/** @returns undefined for bytes that are no .meta file */
export function decodeMeta(bytes: Uint8Array): FluentdMeta | undefined {
  const map = mapOf(bytes);
  if (map === undefined) return undefined;
  const { id, s: records, c, m, timekey, tag, variables, seq } = map;
  const createdAt = numberOf(c) ?? 0;
  const modifiedAt = numberOf(m) ?? 0;
  if (!(id instanceof Uint8Array) || id.length !== 16 || createdAt <= 0 || modifiedAt <= 0) return undefined;
  return {
    id: Buffer.from(id).toString('hex'),
    records: numberOf(records) ?? 0,
    createdAt,
    modifiedAt,
    timekey: numberOf(timekey),
    tag: typeof tag === 'string' ? tag : undefined,
    variables: isMap(variables) ? variables : undefined,
    seq: numberOf(seq) ?? 0,
  };
}

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined);
const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

function mapOf(bytes: Uint8Array): Record<string, unknown> | undefined {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let [start, end] = [0, view.length];
  if (view[0] === 0xc1 && view[1] === 0) {
    if (view.length < 6) return undefined;
    start = 6;
    end = 6 + view.readUInt32BE(2);
  }
  if (end > view.length || mapCount(view, start, end) < 0 || skipValue(view, start, end) < 0) return undefined;
  const value = decode(view, start, end);
  return isMap(value) ? value : undefined;
}

export interface FluentdContent {
  readonly batch: Batch | undefined;
  /** What could not be read, for a person; what is before it is in the batch. */
  readonly problem: string | undefined;
}

/**
 * Reads the events of a chunk of Fluentd: `[time, record]` one after the other, plain or compressed.
 *
 * @param maxBytes  bound of the decompressed size
 */
export function readContent(bytes: Buffer, tag: string, maxBytes: number, nowMs: number): FluentdContent {
  let plain = bytes;
  try {
    const options = { maxOutputLength: maxBytes };
    if (bytes.length > 1 && bytes[0] === 0x1f && bytes[1] === 0x8b) plain = gunzipSync(bytes, options);
    else if (bytes.length > 3 && bytes.readUInt32LE(0) === 0xfd2fb528) plain = zstdDecompressSync(bytes, options);
  } catch (error) {
    return { batch: undefined, problem: `it cannot be decompressed: ${(error as Error).message}` };
  }
  const checked = checkEntries(tag, plain, 0, plain.length, undefined, nowMs);
  if (checked === INVALID) return { batch: undefined, problem: 'it does not hold events as [time, record]' };
  const { batch, skipped, truncated } = checked;
  if (truncated) return { batch, problem: 'it ends within an event' };
  return { batch, problem: skipped > 0 ? `${skipped} entries are no events` : undefined };
}
