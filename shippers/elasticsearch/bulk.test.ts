import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { IdWriter } from '../../engine/events/event-id.ts';
import { field } from '../../engine/events/field.ts';
import { makeBatch } from '../../engine/testing/driver.ts';
import { BulkWriter } from './bulk.ts';

const place = { incarnation: 0x12345n, segment: 1_700_000_000_000, offset: 77, enteredMs: 0 };
const plain = { operation: 'create', indexOf: undefined, idKey: undefined, timeKey: '@timestamp' } as const;

const idOf = (at: { segment: number; incarnation: bigint; offset: number }, id: number): string => {
  const writer = new IdWriter();
  const into = new ByteWriter();
  writer.frame({ ...at, enteredMs: 0 });
  writer.write(into, id);
  return into.copy().toString();
};

describe('ids', () => {
  test('are 32 characters of base32hex that stand for the 160 bits', () => {
    const bits = (1_700_000_000_000n << 112n) | (0x12345n << 72n) | (77n << 32n) | BigInt((5 << 8) | 3);
    assert.equal(idOf(place, (5 << 8) | 3), bits.toString(32).padStart(32, '0'));
  });

  test('sort as segment, incarnation, offset, index and ordinal do', () => {
    const part = fc.record({
      segment: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      incarnation: fc.bigInt({ min: 0n, max: 2n ** 40n - 1n }),
      offset: fc.integer({ min: 0, max: 2 ** 40 - 1 }),
      id: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    });
    const key = (p: { segment: number; incarnation: bigint; offset: number; id: number }): bigint =>
      (BigInt(p.segment) << 112n) | (p.incarnation << 72n) | (BigInt(p.offset) << 32n) | BigInt(p.id);
    fc.assert(
      fc.property(part, part, (a, b) => {
        const before = key(a) < key(b);
        assert.equal(idOf(a, a.id) < idOf(b, b.id), before);
      }),
    );
  });
});

describe('bodies', () => {
  const lines = (body: { bytes: Buffer }): unknown[] =>
    body.bytes
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);

  test('one action and one document per event, with id and time', () => {
    const batch = { ...makeBatch([{ record: { a: '中"文\n' }, time: { seconds: 1_431_857_103, nanoseconds: 5 } }]), place };
    assert.deepEqual(lines(new BulkWriter(plain).write([batch])), [
      { create: { _id: idOf(place, 0) } },
      { a: '中"文\n', '@timestamp': '2015-05-17T10:05:03.000000005Z' },
    ]);
  });

  test('a time of its own stays, an index and an own id are named', () => {
    const batch = makeBatch([
      { record: { '@timestamp': 'x', key: 'me' } },
      { record: { '@timestamp': 'x', key: 'k'.repeat(600) } },
    ]);
    const writer = new BulkWriter({
      ...plain,
      operation: 'index',
      indexOf: (tag, seconds) => `${tag}-${seconds}`,
      idKey: field('key'),
    });
    const [first, , second] = lines(writer.write([batch]));
    assert.deepEqual(first, { index: { _id: 'me', _index: 'test-1700000000' } });
    assert.deepEqual(second, { index: { _index: 'test-1700000000' } });
  });

  test('bytes that are not UTF-8 cost only themselves', () => {
    const batch = { ...makeBatch([{ record: { a: 'xx' } }, { record: { a: 'ok' } }]), place };
    const bytes = Buffer.from(batch.bytes);
    bytes[bytes.indexOf('xx')] = 0xff;
    const body = new BulkWriter(plain).write([{ ...batch, bytes }]);
    assert.equal((lines(body)[1] as { a: string }).a, '\ufffdx');
    assert.equal((lines(body)[3] as { a: string }).a, 'ok');
    assert.equal(body.ends[1], body.bytes.length);
  });

  test('what was a JSON value comes out as the same JSON value', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 4 }), { noNullPrototype: true }), (record) => {
        const [, document] = lines(new BulkWriter({ ...plain, timeKey: 'no such key' }).write([makeBatch([{ record }])])) as [
          unknown,
          Record<string, unknown>,
        ];
        delete document['no such key'];
        assert.deepEqual(document, JSON.parse(JSON.stringify(record)));
      }),
      { numRuns: 500 },
    );
  });
});
