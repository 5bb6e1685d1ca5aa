import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { ForwardError, writePackedForward, type ForwardRequest } from '../../engine/events/forward.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';
import { makeBatch, readBatch } from '../../engine/testing/driver.ts';
import { ForwardConnection, Spares } from './connection.ts';

const LIMITS = { messageBytes: 100_000, decompressedBytes: 100_000 };
const NOW = 1_700_000_000_000;

const pack = (value: unknown): Buffer => {
  const into = new ByteWriter(64);
  writeValue(into, value);
  return into.copy();
};

interface Seen {
  readonly requests: ForwardRequest[];
  readonly oddities: string[];
}

/** What a request points to is used again when its handler has returned. */
function copied(request: ForwardRequest): ForwardRequest {
  const { batch } = request;
  if (batch === undefined) return request;
  const bytes = Uint8Array.from(batch.bytes.subarray(batch.start, batch.end));
  return { ...request, batch: { ...batch, bytes, start: 0, end: bytes.length } };
}

function run(pieces: readonly Buffer[], limits = LIMITS): Seen {
  const seen: Seen = { requests: [], oddities: [] };
  const connection = new ForwardConnection(
    limits,
    { request: (request) => void seen.requests.push(copied(request)), oddity: (what) => void seen.oddities.push(what) },
    () => NOW,
  );
  for (const piece of pieces) connection.push(piece);
  return seen;
}

const records = (seen: Seen): unknown[] =>
  seen.requests.flatMap(({ batch }) => (batch === undefined ? [] : readBatch(batch).map(({ record }) => record)));

describe('requests', () => {
  const record = { message: '你好', n: 1 };
  for (const [name, bytes, want] of [
    ['message', pack(['t', 1, record]), { records: [record], skipped: 0 }],
    ['message with a text for a record', pack(['t', 1, 'text']), { records: [], skipped: 1 }],
    [
      'forward',
      pack([
        't',
        [
          [1, record],
          [2, record],
        ],
      ]),
      { records: [record, record], skipped: 0 },
    ],
    [
      'forward with one bad entry',
      pack([
        't',
        [
          [1, record],
          ['x', record],
        ],
      ]),
      { records: [record], skipped: 1 },
    ],
    ['forward with the metadata of Fluent Bit', pack(['t', [[[1, {}], record]]]), { records: [record], skipped: 0 }],
    ['a group marker of Fluent Bit', pack(['t', [[[-1, {}], record]]]), { records: [], skipped: 0 }],
    [
      'packed',
      writePackedForward('t', [makeBatch([{ record }, { record }])], undefined, undefined),
      { records: [record, record], skipped: 0 },
    ],
    ['json', Buffer.from(JSON.stringify(['t', 1, record])), { records: [record], skipped: 0 }],
    [
      'two json documents',
      Buffer.from(`${JSON.stringify(['t', 1, record])} ${JSON.stringify(['t', [[1, record]]])}`),
      { records: [record, record], skipped: 0 },
    ],
  ] as const) {
    test(name, () => {
      const seen = run([bytes]);
      assert.deepEqual(records(seen), want.records);
      assert.equal(
        seen.requests.reduce((sum, { skipped }) => sum + skipped, 0),
        want.skipped,
      );
    });
  }

  for (const [name, bytes] of [
    ['a byte that is never used', Buffer.from([0xc1])],
    ['an option that is no map', pack(['t', 1, {}, 'option'])],
    ['a gzip body that is none', pack(['t', 'plain', { compressed: 'gzip' }])],
    [
      'nesting without end',
      Buffer.concat([
        pack('x').subarray(0, 0),
        Buffer.from([0x93, 0xa1, 0x74, 0x01]),
        Buffer.alloc(200, 0x91),
        Buffer.from([0x01]),
      ]),
    ],
    ['json that is none', Buffer.from('[nonsense]')],
  ] as const) {
    test(`${name} ends the connection or is skipped, and is never kept`, () => {
      try {
        assert.deepEqual(records(run([bytes])), []);
      } catch (error) {
        assert.ok(error instanceof ForwardError, String(error));
      }
    });
  }
});

describe('the stream', () => {
  const messages = fc.array(fc.record({ n: fc.integer(), text: fc.string({ maxLength: 400 }), packed: fc.boolean() }), {
    minLength: 1,
    maxLength: 6,
  });

  test('the pieces in which bytes come make no difference', () => {
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1 }), (list, sizes) => {
        const bytes = Buffer.concat(
          list.map(({ packed, ...record }) =>
            packed ? writePackedForward('t', [makeBatch([{ record }])], 'id', undefined) : pack(['t', [[5, record]]]),
          ),
        );
        const pieces: Buffer[] = [];
        for (let at = 0, n = 0; at < bytes.length; n++) {
          const size = sizes[n % sizes.length] as number;
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        const want = list.map(({ packed: _packed, ...record }) => record);
        assert.deepEqual(records(run(pieces)), want);
        assert.deepEqual(records(run([bytes])), want);
      }),
      { numRuns: 200 },
    );
  });

  test('the next message comes into the buffer of the last one, on any connection', () => {
    const spares = new Spares();
    const buffers = new Set<ArrayBufferLike>();
    const bytes = pack(['t', [[1, { big: 'x'.repeat(5000) }]]]);
    for (let n = 0; n < 5; n++) {
      const handlers = {
        request: ({ batch }: ForwardRequest): void => void buffers.add(batch?.bytes.buffer as ArrayBufferLike),
        oddity: () => undefined,
      };
      const connection = new ForwardConnection(LIMITS, handlers, () => NOW, spares);
      for (let at = 0; at < 3; at++) {
        connection.push(bytes.subarray(0, 2000));
        connection.push(bytes.subarray(2000));
        assert.equal(connection.keptBytes, 0);
      }
      connection.push(bytes.subarray(0, 100));
      connection.close();
    }
    assert.equal(buffers.size, 1);
  });

  test('a large message byte by byte is copied a bounded number of times', () => {
    const bytes = pack(['t', 1, { big: Array.from({ length: 1000 }, () => 'x'.repeat(200)) }]);
    const connection = new ForwardConnection(
      { ...LIMITS, messageBytes: 1 << 20 },
      { request: () => undefined, oddity: () => undefined },
      () => NOW,
    );
    let copied = 0;
    let kept = 0;
    for (let at = 0; at < bytes.length; at++) {
      connection.push(bytes.subarray(at, at + 1));
      copied++;
      if (connection.keptBytes > kept) copied += kept;
      kept = connection.keptBytes;
    }
    assert.equal(kept, 0);
    assert.ok(copied < bytes.length * 4, `${copied} bytes copied for ${bytes.length}`);
  });

  test('a message beyond the limit is read past, in whatever pieces, and the next one is kept', () => {
    const bytes = Buffer.concat([pack(['t', 1, { big: 'x'.repeat(5000) }, { chunk: 'c' }]), pack(['t', 1, { small: 1 }])]);
    for (const size of [1, 7, 100, 100_000]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));
      const seen = run(pieces, { ...LIMITS, messageBytes: 1000 });
      assert.deepEqual(records(seen), [{ small: 1 }], `pieces of ${size}`);
      assert.deepEqual(seen.oddities, ['too-large']);
    }
  });

  test('no bytes make it throw anything but a ForwardError', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }), (pieces) => {
        try {
          run(pieces.map((piece) => Buffer.from(piece)));
        } catch (error) {
          assert.ok(error instanceof ForwardError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
