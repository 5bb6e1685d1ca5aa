import type { Batch } from '../events/batch.ts';
import { field, type Field } from '../events/field.ts';
import { parseAccessor } from '../events/record-accessor.ts';
import { EventCursor } from '../events/view.ts';
import { MillraceError } from '../errors.ts';
import { ByteTable, hashBytes, type Slot } from '../metrics/byte-table.ts';
import { parseChunkKeys, timekeyOf, timekeyZone, type ChunkValues } from '../placeholders.ts';
import { rubyText } from '../ruby-values.ts';
import type { Zone } from '../time/zone.ts';
import type { BufferConfig } from './buffer-config.ts';
import type { OpenChunk } from './chunk.ts';

/** What the events of a chunk have in common; the same object for the same values as long as a chunk of it is open. */
export interface KeySlot extends Slot {
  readonly values: ChunkValues;
  /** The chunk that takes such events at present. */
  chunk: OpenChunk | undefined;
  // The splitter's own: its number among the groups of the batch at hand, and which batch that is.
  group: number;
  round: number;
}

/** A value counts up to here; what is longer and differs only behind shares a chunk. */
const MAX_VALUE_BYTES = 1024;
/** Slots beyond are forgotten when no chunk of theirs is open. */
const MAX_SLOTS = 4096;

/**
 * Divides batches by the chunk keys of `<buffer>`. Keys are compared as bytes; a string is made once for each distinct
 * value only. Events of a batch that agree share the batch's bytes, others are copied together.
 */
export class ChunkSplitter {
  readonly #byTag: boolean;
  /** Of a slice, seconds; 0 without the chunk key time. */
  readonly #width: number;
  readonly #zone: Zone;
  readonly #names: readonly string[];
  readonly #fields: readonly Field[];
  readonly #table = new ByteTable<KeySlot>();
  readonly #cursor = new EventCursor();
  #scratch = Buffer.alloc(4096);
  // The slice that the last event fell into.
  #sliceFrom = 0;
  #sliceTo = 0;
  /** The last slot that was found: most events are like the one before. */
  #last: KeySlot | undefined;
  // Per event of the batch at hand: which group, and where its entry begins.
  #groupOf = new Uint32Array(256);
  #round = 0;
  #starts = new Uint32Array(257);

  /** @throws MillraceError MR_CONFIG for keys or a zone that `check` would have refused */
  constructor(config: Pick<BufferConfig, '@arg' | 'timekey' | 'timekey_use_utc' | 'timekey_zone'>) {
    const keys = parseChunkKeys(config['@arg']);
    const zone = timekeyZone(config);
    if ('error' in keys) throw new MillraceError('MR_CONFIG', `<buffer>: ${keys.error}`);
    if ('error' in zone) throw new MillraceError('MR_CONFIG', `<buffer>: ${zone.error}`);
    this.#byTag = keys.tag;
    this.#width = keys.time ? (config.timekey ?? 86_400_000) / 1000 : 0;
    this.#zone = zone;
    this.#names = keys.fields;
    this.#fields = keys.fields.map(fieldOf);
  }

  /** Calls `take` for each part of the batch, in the order in which the parts begin. */
  split(batch: Batch, take: (slot: KeySlot, part: Batch) => void): void {
    if (this.#width === 0 && this.#fields.length === 0)
      return take(this.#find(this.#keyOfTag(batch.tag, 0), batch.tag, 0), batch);
    if (batch.count === 0) return;
    const groups = this.#group(batch);
    const [only] = groups;
    if (groups.length === 1 && only !== undefined) return take(only, batch);
    this.#take(batch, groups, take);
  }

  /** The slot of values that were kept in a file. */
  slotOf(values: ChunkValues): KeySlot {
    const slice = values.timekey ?? 0;
    let at = this.#keyOfTag(values.tag ?? '', slice);
    for (const name of this.#names) at = this.#putText(values.variables?.[name] ?? '', at);
    return this.#find(at, values.tag ?? '', slice);
  }

  /** Whether values that were kept in a file are those of these chunk keys. */
  fits(values: ChunkValues): boolean {
    const names = Object.keys(values.variables ?? {});
    return (
      (values.timekey !== undefined) === this.#width > 0 &&
      (values.tag !== undefined) === this.#byTag &&
      names.length === this.#names.length &&
      this.#names.every((name) => names.includes(name)) &&
      (values.timekey === undefined || timekeyOf(values.timekey, this.#width, this.#zone) === values.timekey)
    );
  }

  // ---- the events of one batch ------------------------------------------------------------------

  #group(batch: Batch): KeySlot[] {
    if (batch.count > this.#groupOf.length) {
      this.#groupOf = new Uint32Array(batch.count * 2);
      this.#starts = new Uint32Array(batch.count * 2 + 1);
    }
    const cursor = this.#cursor;
    const groups: KeySlot[] = [];
    let tagEnd = this.#keyOfTag(batch.tag, 0);
    let slice = 0;
    const round = ++this.#round;
    cursor.open(batch);
    for (let n = 0; n < batch.count; n++) {
      cursor.next(n);
      this.#starts[n] = cursor.entryStart;
      if (this.#width > 0 && (n === 0 || cursor.seconds < this.#sliceFrom || cursor.seconds >= this.#sliceTo)) {
        slice = this.#slice(cursor.seconds);
        tagEnd = this.#keyOfTag(batch.tag, slice);
      }
      let at = tagEnd;
      for (const one of this.#fields) at = this.#putField(one, at);
      const slot = this.#find(at, batch.tag, slice);
      if (slot.round !== round) {
        slot.round = round;
        slot.group = groups.push(slot) - 1;
      }
      this.#groupOf[n] = slot.group;
    }
    this.#starts[batch.count] = cursor.entryEnd;
    return groups;
  }

  /** One buffer for all parts, one behind the other. */
  #take(batch: Batch, groups: readonly KeySlot[], take: (slot: KeySlot, part: Batch) => void): void {
    const counts = new Uint32Array(groups.length);
    const sizes = new Uint32Array(groups.length);
    for (let n = 0; n < batch.count; n++) {
      const group = this.#groupOf[n] as number;
      counts[group] = (counts[group] as number) + 1;
      sizes[group] = (sizes[group] as number) + (this.#starts[n + 1] as number) - (this.#starts[n] as number);
    }
    const bytes = Buffer.allocUnsafeSlow(sizes.reduce((sum, size) => sum + size, 0));
    const ids = groups.map((_, group) => new Uint32Array(counts[group] as number));
    const heads = new Uint32Array(groups.length);
    for (let group = 1; group < groups.length; group++)
      heads[group] = (heads[group - 1] as number) + (sizes[group - 1] as number);
    const ends = heads.slice();
    const taken = new Uint32Array(groups.length);
    for (let n = 0; n < batch.count; n++) {
      const group = this.#groupOf[n] as number;
      const [from, to] = [this.#starts[n] as number, this.#starts[n + 1] as number];
      bytes.set(batch.bytes.subarray(from, to), ends[group] as number);
      ends[group] = (ends[group] as number) + to - from;
      const index = taken[group] as number;
      (ids[group] as Uint32Array)[index] = batch.ids?.[n] ?? n << 8;
      taken[group] = index + 1;
    }
    const place = batch.place === undefined ? {} : { place: batch.place };
    for (const [group, slot] of groups.entries())
      take(slot, {
        tag: batch.tag,
        bytes,
        start: heads[group] as number,
        end: ends[group] as number,
        count: counts[group] as number,
        ids: ids[group] as Uint32Array,
        ...place,
      });
  }

  // ---- keys as bytes: slice, tag, values, each with its length -----------------------------------

  #slice(seconds: number): number {
    const from = timekeyOf(seconds, this.#width, this.#zone);
    this.#sliceFrom = from;
    // Where the zone's offset changes within a slice, the next event is asked for again.
    this.#sliceTo = timekeyOf(from + this.#width - 1, this.#width, this.#zone) === from ? from + this.#width : seconds + 1;
    return from;
  }

  #keyOfTag(tag: string, slice: number): number {
    this.#scratch.writeDoubleLE(slice, 0);
    return this.#byTag ? this.#putText(tag, 8) : 8;
  }

  #putText(text: string, at: number): number {
    const bytes = Buffer.from(text, 'utf8');
    return this.#put(bytes, 0, bytes.length, at);
  }

  #putField(one: Field, at: number): number {
    const cursor = this.#cursor;
    if (cursor.locate(one)) return this.#put(cursor.bytes, cursor.from, cursor.to, at);
    return this.#putText(rubyText(cursor.value(one)), at);
  }

  #put(bytes: Uint8Array, from: number, to: number, at: number): number {
    let end = Math.min(to, from + MAX_VALUE_BYTES);
    // Not in the middle of a character.
    if (end < to) while (end > from && ((bytes[end] as number) & 0xc0) === 0x80) end--;
    const next = at + 2 + end - from;
    if (next > this.#scratch.length) this.#scratch = Buffer.concat([this.#scratch, Buffer.alloc(next)]);
    const scratch = this.#scratch;
    scratch[at] = (end - from) & 0xff;
    scratch[at + 1] = (end - from) >> 8;
    for (let n = from, to = at + 2; n < end; n++) scratch[to++] = bytes[n] as number;
    return next;
  }

  #find(end: number, tag: string, slice: number): KeySlot {
    const last = this.#last;
    if (last !== undefined && last.key.length === end && equal(last.key, this.#scratch)) return last;
    const hash = hashBytes(this.#scratch, 0, end);
    let slot = this.#table.find(this.#scratch, 0, end, hash);
    if (slot === undefined) {
      if (this.#table.size >= MAX_SLOTS) this.#table.prune((one) => one.chunk !== undefined);
      const key = Uint8Array.from(this.#scratch.subarray(0, end));
      slot = { key, hash, next: undefined, values: this.#values(end, tag, slice), chunk: undefined, group: 0, round: 0 };
      // Keys that were made to collide get chunks of their own each time; nothing else depends on finding them.
      this.#table.add(slot);
    }
    this.#last = slot;
    return slot;
  }

  #values(end: number, tag: string, slice: number): ChunkValues {
    const variables: Record<string, string> = {};
    let at = 8;
    const read = (): string => {
      const size = (this.#scratch[at] as number) | ((this.#scratch[at + 1] as number) << 8);
      at += 2 + size;
      return this.#scratch.toString('utf8', at - size, Math.min(at, end));
    };
    if (this.#byTag) read();
    for (const name of this.#names) define(variables, name, read());
    return {
      ...(this.#width > 0 && { timekey: slice }),
      ...(this.#byTag && { tag }),
      ...(this.#names.length > 0 && { variables }),
    };
  }
}

function fieldOf(name: string): Field {
  const accessor = parseAccessor(name);
  // A plain name is one key, also with dots in it, as in Fluentd.
  return field(typeof accessor === 'string' || 'error' in accessor ? [name] : accessor);
}

/** An assignment to `__proto__` would do something else. */
function define(into: Record<string, string>, name: string, value: string): void {
  Object.defineProperty(into, name, { value, enumerable: true, writable: true, configurable: true });
}

function equal(key: Uint8Array, bytes: Uint8Array): boolean {
  for (let n = 0; n < key.length; n++) if (key[n] !== bytes[n]) return false;
  return true;
}
