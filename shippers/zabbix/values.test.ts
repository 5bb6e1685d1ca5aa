import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { addReplies, carry, clockOf, clockOfMs, renderAny, renderValue, splitBatches, spreadNanoseconds } from './values.ts';

describe('values for items', () => {
  for (const [type, value, want] of [
    ['float', 1.25, '1.25'],
    ['float', -0, '0'],
    ['float', '7e-3', '7e-3'],
    ['float', ' 5 ', '5'],
    ['float', 12n, '12'],
    ['float', Number.NaN, 'refuse not-finite'],
    ['float', '1e999', 'refuse not-finite'],
    ['float', '3K', 'refuse not-a-number'],
    ['float', true, 'refuse not-a-number'],
    ['float', null, 'refuse no-value'],
    ['uint', 0, '0'],
    ['uint', '18446744073709551615', '18446744073709551615'],
    ['uint', '2e3', '2000'],
    ['uint', -1, 'refuse range'],
    ['uint', '-1', 'refuse range'],
    ['uint', '0.5', 'refuse fraction'],
    ['uint', 2 ** 70, 'refuse range'],
    ['uint', 'x', 'refuse not-a-number'],
    ['text', '', ''],
    ['text', false, 'false'],
    ['text', { a: '甲' }, '{"a":"甲"}'],
    ['text', '\0\0', ''],
    ['char', '😀'.repeat(300), '😀'.repeat(255)],
    ['log', 'x'.repeat(70_000), 'x'.repeat(65_535)],
  ] as const) {
    test(`${type} ${(typeof value === 'bigint' ? String(value) : JSON.stringify(value)).slice(0, 30)}`, () => {
      const got = renderValue(value, type);
      assert.equal('send' in got ? got.send : `refuse ${got.refuse}`, want);
    });
  }
  test('without a type numbers are numbers and the rest is text', () => {
    assert.deepEqual(
      [renderAny(1.5), renderAny('x'), renderAny(Infinity)],
      [{ send: '1.5' }, { send: 'x' }, { refuse: 'not-finite' }],
    );
  });
  test('any value: text without NUL and lone surrogates, or a refusal', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: false }), fc.constantFrom('float', 'uint', 'char', 'text', 'log'), (value, type) => {
        if (typeof value === 'object' && value !== null) return;
        const got = renderValue(value, type);
        if ('send' in got) assert.ok(got.send.isWellFormed() && !got.send.includes('\0'));
      }),
    );
  });
});

describe('times for records', () => {
  for (const [name, got, want] of [
    ['whole seconds', clockOf(100), { clock: 100, ns: 0 }],
    ['a fraction', clockOf(1_700_000_000.25), { clock: 1_700_000_000, ns: 250_000_000 }],
    ['a fraction that rounds up', clockOf(5.999_999_9), { clock: 6, ns: 0 }],
    ['before the epoch', clockOf(-1), undefined],
    ['milliseconds given as seconds', clockOf(1_700_000_000_000), undefined],
    ['not a number', clockOf(Number.NaN), undefined],
    ['milliseconds', clockOfMs(1_700_000_000_007), { clock: 1_700_000_000, ns: 7_000_000 }],
    ['ns of two seconds', carry(5, 2e9 + 1), { clock: 7, ns: 1 }],
  ] as const) {
    test(name, () => assert.deepEqual(got, want));
  }
  test('the same time of one key is spread, others keep theirs', () => {
    const at = (key: string, clock: number, ns: number) => ({ host: 'h', key, value: '', clock, ns });
    const spread = spreadNanoseconds([
      at('a', 1, 5),
      at('b', 1, 5),
      at('a', 1, 5),
      at('a', 2, 5),
      at('a', 2, 999_999_999),
      at('a', 2, 999_999_999),
    ]);
    assert.deepEqual(
      spread.map(({ clock, ns }) => [clock, ns]),
      [
        [1, 5],
        [1, 5],
        [1, 6],
        [2, 5],
        [2, 999_999_999],
        [3, 0],
      ],
    );
  });
});

describe('requests', () => {
  test('nothing is lost by splitting, order stays', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'b', 'c')),
        fc.integer({ min: 1, max: 7 }),
        fc.boolean(),
        (hosts, maxRecords, byHost) => {
          const items = hosts.map((host, n) => ({ host, n }));
          const batches = splitBatches(items, { maxRecords, byHost });
          assert.ok(batches.every((batch) => batch.length > 0 && batch.length <= maxRecords));
          if (byHost) assert.ok(batches.every((batch) => new Set(batch.map((item) => item.host)).size === 1));
          assert.deepEqual(
            batches.flat().sort((a, b) => a.n - b.n),
            items,
          );
        },
      ),
    );
  });
  test('answers add up', () => {
    const unsaid = { processed: undefined, failed: undefined, total: undefined };
    assert.deepEqual(addReplies([{ processed: 1, failed: 2, total: 3 }, unsaid, { processed: 4, failed: 0, total: 4 }]), {
      processed: 5,
      failed: 2,
      total: 7,
    });
  });
});
