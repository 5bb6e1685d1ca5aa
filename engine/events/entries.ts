import type { Batch } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import { INVALID, MAX_DEPTH, TRUNCATED, arrayCount, headerBytes, mapCount, readNumber, skipValue } from './msgpack.ts';
import { writeEventTime } from './msgpack-write.ts';

export interface CheckedEntries {
  readonly batch: Batch | undefined;
  /** Entries that are no event: no map, a time that is none. */
  readonly skipped: number;
  /** The bytes end inside an entry; what was whole is in the batch. */
  readonly truncated: boolean;
}

/** What a time is worth at the entrance. */
type TimeKind = 'plain' | 'long' | 'zero' | 'metadata' | 'control' | 'invalid';

/**
 * Checks a run of entries from outside: lengths, nesting, times, records. Entries that are sound are shared as they
 * stand; if one has to be mended (time 0 becomes now, Fluent Bit's `[time, metadata]` becomes time) or left out, the rest
 * is copied.
 *
 * @param count  entries to read, or undefined for all up to `end`
 * @returns INVALID when the bytes cannot be MessagePack
 */
export function checkEntries(
  tag: string,
  source: Uint8Array,
  start: number,
  end: number,
  count: number | undefined,
  nowMs: number,
): CheckedEntries | typeof INVALID {
  const bytes = Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  let at = start;
  let events = 0;
  let skipped = 0;
  let copy: ByteWriter | undefined;
  let truncated = false;
  for (let n = 0; count === undefined ? at < end : n < count; n++) {
    const usualEnd = skipUsual(bytes, at, end);
    if (usualEnd > 0) {
      if (copy !== undefined) copy.raw(bytes, at, usualEnd);
      events++;
      at = usualEnd;
      continue;
    }
    const next = skipValue(bytes, at, end);
    if (next === TRUNCATED) {
      truncated = true;
      break;
    }
    if (next === INVALID) return INVALID;
    const kind = kindOf(bytes, at, next);
    if (kind !== 'plain' && copy === undefined) {
      copy = new ByteWriter(Math.max(64, end - start));
      copy.raw(bytes, start, at);
    }
    if (kind === 'invalid') skipped++;
    else if (kind !== 'control') {
      events++;
      if (copy !== undefined) writeMended(copy, bytes, at, next, kind, nowMs);
    }
    at = next;
  }
  if (events === 0) return { batch: undefined, skipped, truncated };
  if (copy === undefined) return { batch: { tag, bytes: source, start, end: at, count: events }, skipped, truncated };
  return { batch: { tag, bytes: copy.bytes, start: 0, end: copy.length, count: events }, skipped, truncated };
}

/**
 * Steps over the entry that nearly all senders write: an array of two, an EventTime that is not 0, a map.
 *
 *     92 d7 00 SSSSSSSS NNNNNNNN map
 *
 * @returns 0 for any other entry, whatever may be wrong with it
 */
function skipUsual(bytes: Buffer, at: number, end: number): number {
  const recordAt = at + 11;
  if (recordAt >= end || bytes[at] !== 0x92 || bytes[at + 1] !== 0xd7 || bytes[at + 2] !== 0) return 0;
  if (((bytes[at + 3] as number) | (bytes[at + 4] as number) | (bytes[at + 5] as number) | (bytes[at + 6] as number)) === 0)
    return 0;
  const head = bytes[recordAt] as number;
  if ((head & 0xf0) !== 0x80 && head !== 0xde && head !== 0xdf) return 0;
  // The array around it is one level of nesting.
  return Math.max(0, skipValue(bytes, recordAt, end, MAX_DEPTH - 1));
}

function kindOf(bytes: Buffer, at: number, end: number): TimeKind {
  const count = arrayCount(bytes, at, end);
  if (count < 2) return 'invalid';
  const timeAt = at + headerBytes(bytes, at);
  const recordAt = skipValue(bytes, timeAt, end);
  if (mapCount(bytes, recordAt, end) < 0) return 'invalid';
  const kind = timeKind(bytes, timeAt, end);
  // What stands after the record is left out, as Fluentd does.
  return count > 2 && kind === 'plain' ? 'long' : kind;
}

export function timeKind(bytes: Buffer, at: number, end: number): TimeKind {
  const head = bytes[at] as number;
  if (isEventTime(bytes, at)) return bytes.readUInt32BE(at + (head === 0xd7 ? 2 : 3)) === 0 ? 'zero' : 'plain';
  if (isInteger(head)) return Number(readNumber(bytes, at)) === 0 ? 'zero' : 'plain';
  if (arrayCount(bytes, at, end) !== 2) return 'invalid';
  // Fluent Bit's second form: [time, metadata]. A negative time opens or closes a group; its record is no event.
  const innerAt = at + headerBytes(bytes, at);
  const inner = bytes[innerAt] as number;
  if (mapCount(bytes, skipValue(bytes, innerAt, end), end) < 0) return 'invalid';
  if (isEventTime(bytes, innerAt)) {
    const seconds = bytes.readInt32BE(innerAt + (inner === 0xd7 ? 2 : 3));
    return seconds === -1 || seconds === -2 ? 'control' : 'metadata';
  }
  if (!isInteger(inner)) return 'invalid';
  return Number(readNumber(bytes, innerAt)) < 0 ? 'control' : 'metadata';
}

const isInteger = (head: number): boolean => head < 0x80 || head >= 0xe0 || (head >= 0xcc && head <= 0xd3);

function isEventTime(bytes: Uint8Array, at: number): boolean {
  return (bytes[at] === 0xd7 && bytes[at + 1] === 0) || (bytes[at] === 0xc7 && bytes[at + 1] === 8 && bytes[at + 2] === 0);
}

function writeMended(into: ByteWriter, bytes: Buffer, at: number, end: number, kind: TimeKind, nowMs: number): void {
  if (kind === 'plain') return into.raw(bytes, at, end);
  const timeAt = at + headerBytes(bytes, at);
  const recordAt = skipValue(bytes, timeAt, end);
  into.u8(0x92);
  writeTime(into, bytes, timeAt, end, kind, nowMs);
  into.raw(bytes, recordAt, skipValue(bytes, recordAt, end));
}

/** Writes the time at `at` as an entry carries it. */
export function writeTime(into: ByteWriter, bytes: Buffer, at: number, end: number, kind: TimeKind, nowMs: number): void {
  if (kind === 'zero') return writeNow(into, nowMs);
  if (kind !== 'metadata') return into.raw(bytes, at, skipValue(bytes, at, end));
  const innerAt = at + headerBytes(bytes, at);
  const inner = timeKind(bytes, innerAt, end);
  if (inner === 'zero') writeNow(into, nowMs);
  else into.raw(bytes, innerAt, skipValue(bytes, innerAt, end));
}

function writeNow(into: ByteWriter, nowMs: number): void {
  const seconds = Math.floor(nowMs / 1000);
  writeEventTime(into, seconds, Math.round((nowMs - seconds * 1000) * 1e6));
}
