/**
 * Bytes of a frame in a segment, all numbers little-endian:
 *
 *      0 u32  marker
 *      4 u32  crc32 of everything behind it, begun with the seed of the segment
 *      8 u32  length of the frame, header included
 *     12 u32  number of events
 *     16 f64  position in the log
 *     24 u48  when it entered, ms
 *     30 u8   kind: 0 events, 1 marks, 2 void
 *     31 u8   level: 0 memory, 1 os, 2 fsync
 *     32 u32  bytes of the tag
 *     36 u16  bytes of the label
 *     38 u16  bytes of the consumer's name; 0: not made by the engine
 *     40 f64  interval, ms; only when there is a consumer
 *        tag, label, consumer as UTF-8
 *        entries, as they came
 */
import { crc32 } from 'node:zlib';
import type { Level } from './entrance-log.ts';

/** No UTF-8 and no MessagePack text begins so; scanning for it finds the next frame behind a damaged one. */
export const MARKER = Buffer.from([0xf7, 0x4d, 0x52, 0xc1]);
const MARKER_NUMBER = MARKER.readUInt32LE(0);
export const FRAME_HEADER_BYTES = 40;
/** Tags, labels and names beyond are cut: they are names, and readers bound their memory by them. */
const MAX_NAME_BYTES = 0xffff;
/** Readers pass over what they do not know. `void`: a repair put it where damage was. */
export const KIND = { events: 0, marks: 1, void: 2 } as const;
export const LEVELS = ['memory', 'os', 'fsync'] as const satisfies readonly Level[];
const LEVEL_NUMBERS = { memory: 0, os: 1, fsync: 2 } as const satisfies Record<Level, number>;

export interface FrameNames {
  readonly tag: Buffer;
  readonly label: Buffer;
  /** Empty: none. */
  readonly consumer: Buffer;
}

/** Bytes in front of the entries. */
export function headBytes({ tag, label, consumer }: FrameNames): number {
  return FRAME_HEADER_BYTES + (consumer.length > 0 ? 8 : 0) + tag.length + label.length + consumer.length;
}

export function nameBytes(name: string): Buffer {
  const bytes = Buffer.from(name, 'utf8');
  return bytes.length <= MAX_NAME_BYTES ? bytes : bytes.subarray(0, MAX_NAME_BYTES);
}

export interface FrameHead {
  readonly kind: number;
  readonly level: Level;
  readonly count: number;
  readonly position: number;
  readonly enteredMs: number;
  /** Only with a consumer. */
  readonly intervalMs: number;
}

/** Writes what stands in front of the entries, without checksum and length. @returns where the entries go */
export function writeHead(into: Buffer, at: number, head: FrameHead, names: FrameNames): number {
  const { tag, label, consumer } = names;
  into.writeUInt32LE(MARKER_NUMBER, at);
  into.writeDoubleLE(head.position, at + 16);
  into.writeUIntLE(head.enteredMs, at + 24, 6);
  into[at + 30] = head.kind;
  into[at + 31] = LEVEL_NUMBERS[head.level];
  into.writeUInt32LE(tag.length, at + 32);
  into.writeUInt16LE(label.length, at + 36);
  into.writeUInt16LE(consumer.length, at + 38);
  let next = at + FRAME_HEADER_BYTES;
  if (consumer.length > 0) next = into.writeDoubleLE(head.intervalMs, next);
  for (const name of [tag, label, consumer]) {
    into.set(name, next);
    next += name.length;
  }
  return next;
}

/** Fills in what is known when the last entry is there. */
export function sealFrame(into: Buffer, at: number, end: number, count: number, seed: number): void {
  into.writeUInt32LE(end - at, at + 8);
  into.writeUInt32LE(count, at + 12);
  into.writeUInt32LE(checksum(into, at, end, seed), at + 4);
}

/** Replaced in tests that show what it is good for. */
export type Checksum = (bytes: Buffer, at: number, end: number, seed: number) => number;

export const checksum: Checksum = (bytes, at, end, seed) => crc32(bytes.subarray(at + 8, end), seed);

/** Enough of a frame's header to know its length, or why it is none. */
export function frameLength(bytes: Buffer, at: number): number | undefined {
  if (bytes.readUInt32LE(at) !== MARKER_NUMBER) return undefined;
  const length = bytes.readUInt32LE(at + 8);
  const names = bytes.readUInt32LE(at + 32) + bytes.readUInt16LE(at + 36) + bytes.readUInt16LE(at + 38);
  const interval = bytes.readUInt16LE(at + 38) > 0 ? 8 : 0;
  return length >= FRAME_HEADER_BYTES + interval + names ? length : undefined;
}
