/**
 * Chunk files: what a chunk that stays open for long has taken, so that the entrance log need not keep it.
 *
 *     file     head record*                                   all numbers little-endian
 *     head     'MRCHUNK1'  u32 CRC-32 of the JSON  u32 its length  JSON { openedMs, values: { timekey?, tag?, variables? } }
 *     record   u32 CRC-32 of all that follows  u32 length of all that follows
 *              u64 position of the frame in its log  u32 number of events  u32 length of the tag  u32 flags
 *              [flags & 1: u64 incarnation, u64 segment, u64 offset, u64 time of entering: the place of the frame]
 *              tag  [flags & 2: u32 id of each event: index in the frame << 8 | split ordinal]  msgpack entries
 *
 * A file is only ever appended to, one write and one sync at a time, so that what a crash tears is at its end. The place and
 * the first id of a record say which events it holds: when the log hands them out once more, they are known.
 *
 * This module turns batches into bytes and back; `chunk-files.ts` keeps the directory.
 */
import { crc32 } from 'node:zlib';
import * as z from 'zod';
import type { Batch } from '../events/batch.ts';
import type { Position } from '../log/entrance-log.ts';
import type { ChunkValues } from '../placeholders.ts';

const MAGIC = Buffer.from('MRCHUNK1', 'latin1');
const HEAD_BYTES = 16;
const RECORD_BYTES = 8;
const FIXED_BYTES = 20;
const PLACE_BYTES = 32;
const HAS_PLACE = 1;
const HAS_IDS = 2;
/** No head is larger: 64 chunk keys of a KiB. A longer one is damage. */
const MAX_HEAD_BYTES = 1 << 20;

/** What is known of a chunk file without reading its events. */
export interface ChunkFile {
  readonly path: string;
  /** Up to here it is whole; the next record is written here. */
  fileBytes: number;
  /** Of the entries alone. */
  entryBytes: number;
  count: number;
  readonly tags: Set<string>;
}

export interface ChunkHead {
  readonly openedMs: number;
  readonly values: ChunkValues;
}

const headSchema = z.object({
  openedMs: z.number(),
  values: z.object({
    timekey: z.number().optional(),
    tag: z.string().optional(),
    variables: z.record(z.string(), z.string()).optional(),
  }),
});

export function encodeHead(head: ChunkHead): Buffer {
  const json = Buffer.from(JSON.stringify(head), 'utf8');
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32LE(crc32(json), 0);
  numbers.writeUInt32LE(json.length, 4);
  return Buffer.concat([MAGIC, numbers, json]);
}

/** A record as the parts to be written one behind the other; the entries are not copied. */
export function encodeRecord(batch: Batch, position: Position): Uint8Array[] {
  const tag = Buffer.from(batch.tag, 'utf8');
  const { place, ids } = batch;
  const placeBytes = place === undefined ? 0 : PLACE_BYTES;
  const head = Buffer.alloc(RECORD_BYTES + FIXED_BYTES + placeBytes + tag.length + (ids === undefined ? 0 : ids.length * 4));
  const entries = batch.bytes.subarray(batch.start, batch.end);
  head.writeUInt32LE(head.length - RECORD_BYTES + entries.length, 4);
  head.writeBigUInt64LE(BigInt(position), 8);
  head.writeUInt32LE(batch.count, 16);
  head.writeUInt32LE(tag.length, 20);
  head.writeUInt32LE((place === undefined ? 0 : HAS_PLACE) | (ids === undefined ? 0 : HAS_IDS), 24);
  let at = RECORD_BYTES + FIXED_BYTES;
  if (place !== undefined) {
    const { incarnation, segment, offset, enteredMs } = place;
    for (const value of [incarnation, BigInt(segment), BigInt(offset), BigInt(Math.trunc(enteredMs))])
      at = head.writeBigUInt64LE(value, at);
  }
  tag.copy(head, at);
  at += tag.length;
  if (ids !== undefined) for (const id of ids) at = head.writeUInt32LE(id, at);
  head.writeUInt32LE(crc32(entries, crc32(head.subarray(4))), 0);
  return [head, entries];
}

export interface ReadRecord {
  readonly batch: Batch;
  readonly position: Position;
}

export interface ReadChunk {
  readonly head: ChunkHead;
  readonly records: readonly ReadRecord[];
  /** The file is whole up to here. */
  readonly goodBytes: number;
  /** What is wrong behind: undefined when nothing is there, or what a crash tore off. */
  readonly damage: string | undefined;
}

/**
 * Reads a whole chunk file. The batches share `bytes`.
 *
 * @returns undefined when a crash tore off even the head: it holds nothing; a text when the head has been harmed
 */
export function readChunk(bytes: Buffer): ReadChunk | string | undefined {
  const head = readHead(bytes);
  if (head === undefined || typeof head === 'string') return head;
  const records: ReadRecord[] = [];
  let at = HEAD_BYTES + bytes.readUInt32LE(12);
  while (at < bytes.length) {
    const end = at + RECORD_BYTES > bytes.length ? Infinity : at + RECORD_BYTES + bytes.readUInt32LE(at + 4);
    const record = end > bytes.length ? undefined : readRecord(bytes, at, end);
    if (record === undefined) return { head, records, goodBytes: at, damage: damageAt(bytes, at, end) };
    records.push(record);
    at = end;
  }
  return { head, records, goodBytes: at, damage: undefined };
}

/** A record that reaches to the end or beyond was torn, and so is a tail of zeros; anything else has been harmed later. */
function damageAt(bytes: Buffer, at: number, end: number): string | undefined {
  if (end >= bytes.length || isZero(bytes, at)) return undefined;
  return `the record at byte ${at} does not agree with its checksum`;
}

function isZero(bytes: Buffer, from: number): boolean {
  for (let n = from; n < bytes.length; n++) if (bytes[n] !== 0) return false;
  return true;
}

function readHead(bytes: Buffer): ChunkHead | string | undefined {
  if (bytes.length < HEAD_BYTES || isZero(bytes, 0)) return undefined;
  if (!bytes.subarray(0, 8).equals(MAGIC)) return 'it is no chunk file of this version';
  const length = bytes.readUInt32LE(12);
  if (length > MAX_HEAD_BYTES) return 'its head is longer than any';
  if (HEAD_BYTES + length > bytes.length) return undefined;
  const json = bytes.subarray(HEAD_BYTES, HEAD_BYTES + length);
  if (crc32(json) !== bytes.readUInt32LE(8)) return 'the head does not agree with its checksum';
  const parsed = headSchema.safeParse(parseJson(json.toString('utf8')));
  // Only the first bytes of the head reached the disk; what follows is a hole.
  if (!parsed.success) return isZero(bytes, 8) ? undefined : 'the head is not that of a chunk';
  const { openedMs, values } = parsed.data;
  const { timekey, tag, variables } = values;
  return {
    openedMs,
    values: {
      ...(timekey !== undefined && { timekey }),
      ...(tag !== undefined && { tag }),
      ...(variables !== undefined && { variables }),
    },
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // The schema refuses it.
    return undefined;
  }
}

function readRecord(bytes: Buffer, at: number, end: number): ReadRecord | undefined {
  if (end < at + RECORD_BYTES + FIXED_BYTES) return undefined;
  if (crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32LE(at)) return undefined;
  const position = Number(bytes.readBigUInt64LE(at + 8));
  const count = bytes.readUInt32LE(at + 16);
  const tagLength = bytes.readUInt32LE(at + 20);
  const flags = bytes.readUInt32LE(at + 24);
  let next = at + RECORD_BYTES + FIXED_BYTES;
  const headBytes = ((flags & HAS_PLACE) === 0 ? 0 : PLACE_BYTES) + tagLength + ((flags & HAS_IDS) === 0 ? 0 : count * 4);
  if (next + headBytes > end) return undefined;
  let place: Batch['place'];
  if ((flags & HAS_PLACE) !== 0) {
    const [segment, offset, enteredMs] = [8, 16, 24].map((n) => Number(bytes.readBigUInt64LE(next + n)));
    place = { incarnation: bytes.readBigUInt64LE(next), segment: segment ?? 0, offset: offset ?? 0, enteredMs: enteredMs ?? 0 };
    next += PLACE_BYTES;
  }
  const tag = bytes.toString('utf8', next, next + tagLength);
  next += tagLength;
  let ids: Uint32Array | undefined;
  if ((flags & HAS_IDS) !== 0) {
    ids = new Uint32Array(count);
    for (let n = 0; n < count; n++, next += 4) ids[n] = bytes.readUInt32LE(next);
  }
  const batch = { tag, bytes, start: next, end, count, ...(place !== undefined && { place }), ...(ids !== undefined && { ids }) };
  return { batch, position };
}

/** Tells the events of a batch from all others: where their frame stands, and which of it they begin with. */
export function fingerprint({ place, ids, count }: Batch): string | undefined {
  if (place === undefined) return undefined;
  return `${place.incarnation}.${place.segment}.${place.offset}.${ids?.[0] ?? 0}.${count}`;
}
