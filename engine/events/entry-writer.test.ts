import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Batch, Fields } from './batch.ts';
import { EntryWriter, encodeKey } from './entry-writer.ts';
import { readBatch } from '../testing/driver.ts';

const taken = (writer: EntryWriter): Batch => {
  const batch = writer.take('t');
  assert.ok(batch);
  return batch;
};
const records = (writer: EntryWriter): Fields[] => readBatch(taken(writer)).map(({ record }) => record);

describe('values', () => {
  for (const [name, write, want] of [
    ['utf8', (w: EntryWriter) => w.utf8(Buffer.from('a中文b'), 1, 7), '中文'],
    ['utf8 of 300 bytes', (w: EntryWriter) => w.utf8(Buffer.alloc(300, 'x'), 0, 300), 'x'.repeat(300)],
    ['text', (w: EntryWriter) => w.text('中文'), '中文'],
    ['integer', (w: EntryWriter) => w.integer(-70_000), -70_000],
    ['float', (w: EntryWriter) => w.float(2), 2],
    ['bool', (w: EntryWriter) => w.bool(false), false],
    ['nil', (w: EntryWriter) => w.nil(), null],
    ['value', (w: EntryWriter) => w.value({ a: [1] }), { a: [1] }],
    ['raw', (w: EntryWriter) => w.raw(Uint8Array.of(0, 0x92, 1, 2), 1, 4), [1, 2]],
  ] as const) {
    test(name, () => {
      const writer = new EntryWriter(1);
      writer.begin();
      writer.key(encodeKey('k'));
      write(writer);
      writer.keyName('钥');
      write(writer);
      writer.commit();
      assert.deepEqual(records(writer), [{ k: want, 钥: want }]);
    });
  }

  test('bytes that are not UTF-8 stay what they are', () => {
    const writer = new EntryWriter(1);
    writer.begin();
    writer.keyName('k');
    writer.utf8(Buffer.from('d6d0', 'hex'), 0, 2);
    writer.commit();
    assert.deepEqual(records(writer), [{ k: Uint8Array.of(0xd6, 0xd0) }]);
  });
});

describe('entries', () => {
  test('a time of their own, else the default', () => {
    const writer = new EntryWriter();
    writer.defaultTimeMs(1_500_000_000_250);
    writer.begin();
    writer.commit();
    writer.begin();
    writer.time(4_294_967_295, 999_999_999);
    writer.commit();
    writer.begin();
    writer.commit();
    assert.deepEqual(
      readBatch(taken(writer)).map(({ seconds, nanoseconds }) => [seconds, nanoseconds]),
      [
        [1_500_000_000, 250_000_000],
        [4_294_967_295, 999_999_999],
        [1_500_000_000, 250_000_000],
      ],
    );
  });

  test('what was aborted, or begun and not committed, is gone', () => {
    const writer = new EntryWriter(1);
    for (const end of ['commit', 'abort', 'neither', 'commit'] as const) {
      writer.begin();
      writer.keyName('end');
      writer.text(end);
      if (end !== 'neither') writer[end]();
    }
    writer.abort();
    assert.deepEqual(records(writer), [{ end: 'commit' }, { end: 'commit' }]);
  });

  test('a batch owns its bytes', () => {
    const writer = new EntryWriter(1);
    const add = (n: number): void => {
      writer.begin();
      writer.record({ n });
      writer.commit();
    };
    add(1);
    const first = taken(writer);
    add(2);
    const second = taken(writer);
    assert.deepEqual([readBatch(first)[0]?.record, readBatch(second)[0]?.record], [{ n: 1 }, { n: 2 }]);
    assert.equal(writer.take('t'), undefined);
  });

  for (const fields of [65_535, 65_536])
    test(`a record of ${fields} fields between records of one`, () => {
      const writer = new EntryWriter(1);
      const one = (count: number): void => {
        writer.begin();
        writer.time(5, 6);
        for (let n = 0; n < count; n++) {
          writer.keyName(`k${n}`);
          writer.integer(n);
        }
        writer.commit();
      };
      one(1);
      one(fields);
      one(1);
      writer.setTimes(0, 7, 8);
      const seen = readBatch(taken(writer));
      assert.deepEqual(
        seen.map(({ seconds, nanoseconds, record }) => [seconds, nanoseconds, Object.keys(record).length]),
        [1, fields, 1].map((count) => [7, 8, count]),
      );
      assert.equal(seen[1]?.record[`k${fields - 1}`], fields - 1);
      assert.deepEqual(seen[2]?.record, { k0: 0 });
    });
});
