import assert from 'node:assert/strict';
import { MillraceError } from '../errors.ts';
import { makeBatch } from '../testing/driver.ts';
import type { FuzzTarget } from '../testing/fuzz.ts';
import type { DiskFile } from './disk.ts';
import { KIND, MARKER, nameBytes, sealFrame, writeHead } from './frame.ts';
import { SegmentScanner } from './scanner.ts';
import { decodeHeader, encodeHeader, seedOf, SEGMENT_HEADER_BYTES, sequenceOf } from './segment.ts';

const HEADER = { incarnation: 7n, createdMs: 1_700_000_000_000, placeOffset: 0, configHash: 'ab', geoHash: '' };
const SEED = seedOf(HEADER);
const BASE = 1000;
const NONE = Buffer.alloc(0);

function frame(at: number, count: number, consumer: string): Buffer {
  const batch = makeBatch(Array.from({ length: count }, (_, n) => ({ record: { n, text: '中文' } })));
  const into = Buffer.alloc(64 + 32 + batch.end - batch.start);
  const names = { tag: nameBytes('app.web'), label: count > 1 ? nameBytes('@A') : NONE, consumer: nameBytes(consumer) };
  const head = { kind: KIND.events, level: 'fsync' as const, count, position: BASE + at, enteredMs: 5, intervalMs: 60_000 };
  const start = writeHead(into, 0, head, names);
  into.set(batch.bytes.subarray(batch.start, batch.end), start);
  const end = start + batch.end - batch.start;
  sealFrame(into, 0, end, count, SEED);
  return into.subarray(0, end);
}

function segment(): Buffer {
  let bytes = encodeHeader(HEADER);
  for (const [count, consumer] of [
    [1, ''],
    [3, 'metric'],
    [10, ''],
  ] as const)
    bytes = Buffer.concat([bytes, frame(bytes.length, count, consumer)]);
  return bytes;
}

const fileOf = (bytes: Buffer): DiskFile => ({
  readSync: (into, start, length, offset) =>
    offset >= bytes.length ? 0 : bytes.copy(into, start, offset, Math.min(bytes.length, offset + length)),
  sizeSync: () => bytes.length,
  write: () => Promise.resolve(0),
  datasync: () => Promise.resolve(),
  truncate: () => Promise.resolve(),
  close: () => Promise.resolve(),
});

/** Reads all of it: frames and damage must make up the whole without a gap. */
function scan(bytes: Buffer, base: number | undefined, trusts: boolean): string {
  const file = fileOf(bytes);
  let at = SEGMENT_HEADER_BYTES;
  let [frames, damaged, events] = [0, 0, 0];
  const scanner = new SegmentScanner({
    file,
    header: { ...HEADER, version: 1 },
    base,
    onDamage(from, to) {
      assert.equal(from, at, 'damage begins where the frame before it ends');
      assert.ok(to > from && to <= bytes.length);
      at = to;
      damaged++;
    },
    ...(trusts ? { checksum: (block: Buffer, start: number) => block.readUInt32LE(start + 4) } : {}),
  });
  while (scanner.next(bytes.length)) {
    assert.equal(scanner.at, at, 'nothing is passed over in silence');
    assert.ok(scanner.end > at && scanner.end <= bytes.length);
    assert.ok(scanner.start <= scanner.stop && scanner.stop <= scanner.bytes.length, 'the entries lie inside the frame');
    at = scanner.end;
    frames++;
    events += scanner.count;
  }
  assert.equal(at, Math.max(SEGMENT_HEADER_BYTES, bytes.length), 'all of it was looked at');
  return `${frames} ${damaged} ${32 - Math.clz32(events)}`;
}

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'log/segment',
    seeds: [segment(), segment().subarray(0, 300)],
    words: [
      MARKER,
      Buffer.concat([MARKER, Buffer.alloc(36)]),
      Buffer.alloc(40),
      ...['ffffffff', '28000000', '00', '40'].map((hex) => Buffer.from(hex, 'hex')),
    ],
    run(bytes) {
      let header: unknown;
      try {
        header = decodeHeader(bytes.subarray(0, SEGMENT_HEADER_BYTES), 'f');
      } catch (error) {
        if (!(error instanceof MillraceError) || error.code !== 'MR_LOG_FORMAT') throw error;
        header = 'newer';
      }
      sequenceOf(bytes.toString('latin1', 0, 16));
      // As it is, with its position known and not; and as if every checksum were right.
      return [typeof header, scan(bytes, BASE, false), scan(bytes, undefined, false), scan(bytes, undefined, true)].join('; ');
    },
  },
];
