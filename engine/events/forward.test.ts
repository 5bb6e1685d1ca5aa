import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { ByteWriter } from './byte-writer.ts';
import { ForwardError, packedRequest, readRequest, writeAck, writePackedForward, type ForwardRequest } from './forward.ts';
import { EventTimeValue, decode } from './msgpack.ts';
import { writeValue } from './msgpack-write.ts';
import { makeBatch, readBatch } from '../testing/driver.ts';

const LIMITS = { decompressedBytes: 4096 };
const NOW_MS = 1_600_000_000_000;
const time = new EventTimeValue(5, 6);

function encode(...values: readonly unknown[]): Buffer {
  const into = new ByteWriter(16);
  for (const value of values) writeValue(into, value);
  return into.copy();
}

const read = (bytes: Uint8Array): ForwardRequest | string => readRequest(bytes, 0, bytes.length, LIMITS, NOW_MS);

/** A request in short: tag, records, and what is told beside them. */
function summary(request: ForwardRequest | string): unknown {
  if (typeof request === 'string') return request;
  const { batch, skipped, truncated, chunk } = request;
  return {
    ...(batch === undefined ? {} : { tag: batch.tag, records: readBatch(batch).map(({ seconds, record }) => [seconds, record]) }),
    ...(skipped === 0 ? {} : { skipped }),
    ...(truncated ? { truncated } : {}),
    ...(chunk === undefined ? {} : { chunk: decode(chunk) }),
  };
}

const entries = encode([time, { a: 1 }], [7, { b: 2 }]);
const both = [
  [5, { a: 1 }],
  [7, { b: 2 }],
];
const asText = entries.toString('latin1');

describe('requests', () => {
  for (const [name, bytes, want] of [
    ['message', encode(['t', time, { a: 1 }]), { tag: 't', records: [[5, { a: 1 }]] }],
    ['message, whole seconds', encode(['t', 9, { a: 1 }]), { tag: 't', records: [[9, { a: 1 }]] }],
    ['message, time 0', encode(['t', 0, { a: 1 }]), { tag: 't', records: [[1_600_000_000, { a: 1 }]] }],
    ['message with a chunk', encode(['t', 9, {}, { chunk: 'c1' }]), { tag: 't', records: [[9, {}]], chunk: 'c1' }],
    ['message, option nil', encode(['t', 9, {}, null]), { tag: 't', records: [[9, {}]] }],
    ['message, tag in Chinese', encode(['应用.日志', 9, {}]), { tag: '应用.日志', records: [[9, {}]] }],
    ['message, tag as bin', encode([Buffer.from('t'), 9, {}]), { tag: 't', records: [[9, {}]] }],
    ['message, no record', encode(['t', 9]), { skipped: 1 }],
    ['message, a list as record', encode(['t', 9, [1]]), { skipped: 1 }],
    ['message, a float as time', encode(['t', 1.5, {}]), { skipped: 1 }],
    ['message, nil as time', encode(['t', null, {}]), { skipped: 1 }],
    [
      'forward',
      encode([
        't',
        [
          [time, { a: 1 }],
          [7, { b: 2 }],
        ],
      ]),
      { tag: 't', records: both },
    ],
    ['forward, nothing in it', encode(['t', [], { chunk: 'c1' }]), { chunk: 'c1' }],
    ['forward, one entry is none', encode(['t', [[time, { a: 1 }], 5, [7, { b: 2 }]]]), { tag: 't', records: both, skipped: 1 }],
    ['packed, bin', encode(['t', entries, { size: 2, chunk: 'c1' }]), { tag: 't', records: both, chunk: 'c1' }],
    ['packed, wrong size', encode(['t', entries, { size: 9 }]), { tag: 't', records: both }],
    ['packed, empty', encode(['t', Buffer.alloc(0), { chunk: 'c1' }]), { chunk: 'c1' }],
    ['packed, cut off', encode(['t', entries.subarray(0, -1)]), { tag: 't', records: both.slice(0, 1), truncated: true }],
    ['gzip', encode(['t', gzipSync(entries), { compressed: 'gzip' }]), { tag: 't', records: both }],
    ['gzip that is not announced', encode(['t', gzipSync(entries)]), { tag: 't', records: both }],
    ['zstd', encode(['t', zstdCompressSync(entries), { compressed: 'zstd' }]), { tag: 't', records: both }],
    ['compressed "text" is a plain body', encode(['t', entries, { compressed: 'text' }]), { tag: 't', records: both }],
    ['a chunk that is no text', encode(['t', 9, {}, { chunk: 5 }]), { tag: 't', records: [[9, {}]], chunk: 5 }],
    ['a chunk that is nil', encode(['t', 9, {}, { chunk: null }]), { tag: 't', records: [[9, {}]] }],
    ['nil', encode(null), 'nil'],
    ['a number', encode(5), 'not-an-array'],
    ['a map', encode({ a: 1 }), 'not-an-array'],
    ['an empty list', encode([]), { skipped: 1 }],
    ['a tag alone', encode(['t']), { skipped: 1 }],
    ['a number as tag', encode([5, 9, {}]), { skipped: 1 }],
  ] as const) {
    test(name, () => assert.deepEqual(summary(read(bytes)), want));
  }

  test('packed, entries as str', () => {
    const bytes = packedRequest('t', Buffer.from(asText, 'latin1'), { count: 2, chunk: undefined, isGzip: false });
    assert.deepEqual(summary(read(bytes)), { tag: 't', records: both });
  });

  test('a sound packed body is shared with the frame', () => {
    const bytes = encode(['t', entries]);
    const request = read(bytes);
    assert.ok(typeof request !== 'string' && request.batch !== undefined);
    assert.equal(request.batch.bytes, bytes);
    assert.equal(request.batch.end - request.batch.start, entries.length);
  });
});

describe('what ends a connection', () => {
  const bomb = gzipSync(Buffer.alloc(5000));
  const deep = Buffer.concat([Buffer.from('92a174dc0001920581a161', 'hex'), Buffer.alloc(101, 0x91), Buffer.of(0xc0)]);
  for (const [name, bytes] of [
    ['a body that grows beyond the limit', encode(['t', bomb, { compressed: 'gzip' }])],
    ['a damaged gzip body', encode(['t', gzipSync(entries).subarray(0, -9), { compressed: 'gzip' }])],
    ['a body that is not the gzip it is said to be', encode(['t', entries, { compressed: 'gzip' }])],
    ['an option that is no map', encode(['t', entries, 5])],
    ['entries that are no MessagePack', encode(['t', Buffer.of(0xc1)])],
    ['entries nested too deep', deep],
    ['a tag that is cut off', Buffer.of(0x92, 0xd9)],
  ] as const) {
    test(name, () => assert.throws(() => read(bytes), ForwardError));
  }

  test('any bytes: an answer or a ForwardError', () => {
    const known = [encode(['t', entries, { chunk: 'c' }]), encode(['t', [[time, { a: 1 }]], { chunk: 'c' }])];
    const damaged = fc
      .tuple(fc.constantFrom(...known), fc.array(fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 255 })), { maxLength: 4 }))
      .map(([frame, changes]) => {
        const bytes = Buffer.from(frame);
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), damaged), (bytes) => {
        try {
          summary(read(bytes));
        } catch (error) {
          assert.ok(error instanceof ForwardError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('writing', () => {
  test('an answer carries the bytes of the chunk', () => {
    assert.deepEqual(decode(writeAck(encode('c1'))), { ack: 'c1' });
    assert.deepEqual(decode(writeAck(encode(Uint8Array.of(1, 2)))), { ack: Uint8Array.of(1, 2) });
  });

  test('what was packed is read back, plain and gzip', () => {
    const batches = [makeBatch([{ record: { a: '中' } }, { record: { b: 1 } }]), makeBatch([{ record: {} }])];
    for (const compress of [undefined, (body: Buffer) => gzipSync(body)]) {
      const bytes = writePackedForward('标签', batches, 'c1', compress);
      const records = [{ a: '中' }, { b: 1 }, {}].map((record) => [1_700_000_000, record]);
      assert.deepEqual(summary(read(bytes)), { tag: '标签', records, chunk: 'c1' });
      const [, , option] = decode(bytes) as [string, unknown, Record<string, unknown>];
      assert.deepEqual(option, { size: 3, ...(compress === undefined ? {} : { compressed: 'gzip' }), chunk: 'c1' });
    }
  });
});
