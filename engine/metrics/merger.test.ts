import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Merged } from '../component.ts';
import { readBatch } from '../testing/driver.ts';
import { Cell, mergeParts, type IntervalPart } from './interval.ts';
import { MetricMerger, mergedBatch, type MergerOptions } from './merger.ts';

const LENGTH = 10_000;
const rule = {
  merge: (intervalMs: number, parts: readonly unknown[]): Merged => ({
    tag: 'm',
    timeMs: intervalMs + LENGTH,
    records: mergeParts(parts as IntervalPart[], { intervalMs: LENGTH, percentThreshold: [90], histogram: [], keep: undefined }),
  }),
};
const merger = (options: Partial<MergerOptions> = {}): MetricMerger => new MetricMerger(new Map([['c', rule]]), options);

const count = (name: string, value: number): IntervalPart => ({ rows: [{ name, tags: undefined, count: value }] });
const totals = (merged: readonly Merged[]): unknown[] =>
  merged.map(({ timeMs, records }) => [timeMs, ...records.map(({ name, value }) => `${String(name)}=${String(value)}`)]);

describe('merger', () => {
  test('parts of all workers are one total, once the grace is over', () => {
    const m = merger();
    m.add({ consumer: 'c', worker: 0, intervalMs: 0, data: count('a', 1) }, 10_000);
    m.add({ consumer: 'c', worker: 1, intervalMs: 0, data: count('a', 2) }, 10_400);
    assert.deepEqual(m.flushDue(10_999), []);
    assert.deepEqual(totals(m.flushDue(11_000)), [[10_000, 'a=3']]);
    assert.deepEqual(m.flushDue(20_000), []);
  });

  test('a late part gives the corrected total at the same time', () => {
    const m = merger();
    m.add({ consumer: 'c', worker: 0, intervalMs: 0, data: count('a', 1) }, 10_000);
    m.flushDue(11_000);
    m.add({ consumer: 'c', worker: 1, intervalMs: 0, data: count('a', 5) }, 30_000);
    assert.deepEqual(totals(m.flushAll()), [[10_000, 'a=6']]);
  });

  test('what would replace a total by less is refused', () => {
    const m = merger({ keptIntervals: 2 });
    for (const intervalMs of [0, 10_000, 20_000]) {
      m.add({ consumer: 'c', worker: 0, intervalMs, data: count('a', 1) }, intervalMs + LENGTH);
      m.flushAll();
    }
    assert.equal(m.add({ consumer: 'c', worker: 1, intervalMs: 0, data: count('a', 1) }, 40_000), false);
    assert.equal(m.add({ consumer: 'c', worker: 1, intervalMs: 10_000, data: count('a', 1) }, 40_000), true);
    assert.equal(m.add({ consumer: '?', worker: 1, intervalMs: 10_000, data: undefined }, 40_000), false);
    assert.equal(m.refused, 2);
    assert.deepEqual(totals(m.flushAll()), [[20_000, 'a=2']]);
  });

  test('many intervals at once wait for the other workers, up to a bound', () => {
    const m = merger({ keptIntervals: 1 });
    for (let n = 0; n < 20; n++) m.add({ consumer: 'c', worker: 0, intervalMs: n * LENGTH, data: count('a', 1) }, 1000);
    assert.equal(m.flushDue(1500).length, 4);
    for (let n = 0; n < 20; n++) m.add({ consumer: 'c', worker: 1, intervalMs: n * LENGTH, data: count('a', 1) }, 1600);
    assert.equal(m.refused, 4);
    assert.equal(totals(m.flushDue(2600)).filter((total) => (total as string[])[1] === 'a=2').length, 16);
  });

  test('an interval takes so many parts and no more', () => {
    const m = merger({ maxParts: 3 });
    const taken = [1, 2, 4, 8].map((value) => m.add({ consumer: 'c', worker: 0, intervalMs: 0, data: count('a', value) }, 0));
    assert.deepEqual(taken, [true, true, true, false]);
    assert.deepEqual(totals(m.flushAll()), [[10_000, 'a=7']]);
  });

  test('however events are dealt out to workers and parts, the last total of an interval is the true one', () => {
    const event = fc.record({
      interval: fc.integer({ min: 0, max: 3 }),
      worker: fc.integer({ min: 0, max: 2 }),
      name: fc.constantFrom('a', 'b'),
      kind: fc.constantFrom('count', 'timer', 'set'),
      value: fc.integer({ min: 0, max: 20 }),
      flushes: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const m = merger();
        const last = new Map<number, unknown>();
        const truth = new Map<number, IntervalPart[]>();
        const note = (merged: readonly Merged[]): void =>
          merged.forEach(({ timeMs, records }) => last.set(timeMs, sorted(records)));
        for (const { interval, worker, name, kind, value, flushes } of events) {
          const cell = new Cell(name, undefined);
          if (kind === 'set') cell.unique(String(value));
          else cell.add(kind as 'count' | 'timer', value, 0);
          const data = { rows: [cell.row()] };
          const intervalMs = interval * LENGTH;
          truth.set(intervalMs, [...(truth.get(intervalMs) ?? []), data]);
          m.add({ consumer: 'c', worker, intervalMs, data: structuredClone(data) }, 0);
          if (flushes) note(m.flushAll());
        }
        note(m.flushAll());
        const want = [...truth].map(([intervalMs, parts]): [number, unknown] => [
          intervalMs + LENGTH,
          sorted(rule.merge(intervalMs, parts).records),
        ]);
        assert.deepEqual(last, new Map(want));
      }),
    );
  });
});

const sorted = (records: Merged['records']): unknown =>
  records.map(({ name, value }) => `${String(name)} ${String(value)}`).sort();

test('a merged interval as a batch', () => {
  const batch = mergedBatch(rule.merge(1_700_000_000_000, [count('a', 3)]));
  assert.deepEqual(batch && readBatch(batch), [
    { tag: 'm', seconds: 1_700_000_010, nanoseconds: 0, record: { name: 'a', value: 3, type: 'count' } },
  ]);
  assert.equal(mergedBatch({ tag: 'm', timeMs: 0, records: [] }), undefined);
});

describe('gauges', () => {
  test('the later value stays, whatever the order of the parts', () => {
    const part = (value: number, atMs: number): IntervalPart => ({
      rows: [{ name: 'g', tags: { k: 'v' }, gauge: { value, atMs } }],
    });
    for (const parts of [
      [part(1, 5), part(2, 9)],
      [part(2, 9), part(1, 5)],
    ])
      assert.deepEqual(rule.merge(0, parts).records, [{ name: 'g', value: 2, type: 'gauge', tags: { k: 'v' } }]);
  });
});
