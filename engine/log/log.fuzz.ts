import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { makeBatch } from '../testing/driver.ts';
import type { FuzzTarget } from '../testing/fuzz.ts';
import type { DiskFile } from './disk.ts';
import { headBytes, KIND, MARKER, nameBytes, sealFrame, writeHead } from './frame.ts';
import { MillraceError } from '../errors.ts';
import { frameOf, SegmentScanner } from './scanner.ts';
import { decodeHeader, encodeHeader, seedOf, SEGMENT_HEADER_BYTES } from './segment.ts';

const HEADER = { incarnation: 5n, createdMs: 1_700_000_000_000, placeOffset: 0, configHash: '', geoHash: '' };
const SEED = seedOf(HEADER);

/** A file that holds only these bytes. */
const fileOf = (bytes: Buffer): DiskFile => ({
  write: () => Promise.reject(new Error('read only')),
  datasync: () => Promise.resolve(),
  truncate: () => Promise.resolve(),
  readSync: (into, start, length, offset) => bytes.copy(into, start, offset, Math.min(bytes.length, offset + length)),
  sizeSync: () => bytes.length,
  close: () => Promise.resolve(),
});

function frame(at: number, tag: string, label: string, consumer: string, n: number): Buffer {
  const { bytes, start, end, count } = makeBatch([{ record: { n, text: '中文' } }], tag);
  const names = { tag: nameBytes(tag), label: nameBytes(label), consumer: nameBytes(consumer) };
  const into = Buffer.alloc(headBytes(names) + end - start);
  const head = {
    kind: KIND.events,
    level: 'fsync',
    count,
    position: at,
    enteredMs: 1_700_000_000_001,
    intervalMs: 60_000,
  } as const;
  into.set(bytes.subarray(start, end), writeHead(into, 0, head, names));
  sealFrame(into, 0, into.length, count, SEED);
  return into;
}

function segment(): Buffer {
  const parts = [encodeHeader(HEADER)];
  const add = (tag: string, label: string, consumer: string): void => {
    const at = parts.reduce((sum, part) => sum + part.length, 0);
    parts.push(frame(at, tag, label, consumer, parts.length));
  };
  add('web.access', '', '');
  add('标签', '@甲', '');
  add('metrics', '', 'log_to_metric-1');
  return Buffer.concat(parts);
}

/** Gives the header, and every frame that says where it ends, checksums that are right. */
function seal(bytes: Buffer): void {
  if (bytes.length < SEGMENT_HEADER_BYTES) return;
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 124)), 124);
  for (let at = bytes.indexOf(MARKER, SEGMENT_HEADER_BYTES); at >= 0; at = bytes.indexOf(MARKER, at + 1)) {
    if (at + 12 > bytes.length) return;
    const end = at + bytes.readUInt32LE(at + 8);
    if (end > at + 12 && end <= bytes.length) bytes.writeUInt32LE(crc32(bytes.subarray(at + 8, end), SEED), at + 4);
  }
}

/** Reads what may be a segment. Every byte of it is in a frame or told as damage, once and in order. */
function readSegment(bytes: Buffer): string {
  let header;
  try {
    header = decodeHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES), 'fuzz');
  } catch (error) {
    if (error instanceof MillraceError) return error.code;
    throw error;
  }
  if (header === undefined) return 'no header';
  let end = SEGMENT_HEADER_BYTES;
  let damaged = 0;
  let frames = 0;
  const scanner = new SegmentScanner({
    file: fileOf(bytes),
    header: { ...header, incarnation: HEADER.incarnation, createdMs: HEADER.createdMs },
    onDamage: (from, to) => {
      assert.equal(from, end, 'damage begins where the last frame ended');
      assert.ok(to > from);
      end = to;
      damaged++;
    },
  });
  while (scanner.next(bytes.length)) {
    assert.equal(scanner.at, end);
    assert.ok(scanner.end > scanner.at && scanner.start <= scanner.stop);
    end = scanner.end;
    frames++;
    frameOf(scanner, { path: '', sequence: 1, header, base: scanner.base ?? 0, end, frames: 0, events: 0 });
  }
  assert.equal(end, Math.max(SEGMENT_HEADER_BYTES, bytes.length));
  return `${frames} frames, ${Math.min(3, damaged)} damaged`;
}

const whole = segment();

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'log/segment',
    seeds: [whole, whole.subarray(0, 300), whole.subarray(0, SEGMENT_HEADER_BYTES)],
    words: [MARKER, 'MILLRACE', Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.alloc(8)],
    run: readSegment,
  },
  {
    name: 'log/segment-sealed',
    seeds: [whole],
    words: [MARKER, Buffer.from([0xff, 0xff, 0xff, 0xff]), Buffer.alloc(8)],
    run(bytes) {
      seal(bytes);
      return readSegment(bytes);
    },
  },
];
