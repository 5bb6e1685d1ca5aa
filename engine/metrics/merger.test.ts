import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Merged } from '../component.ts';
import { readBatch } from '../testing/driver.ts';
import { Cell, mergeParts, type IntervalPart } from './interval.ts';
import { MetricMerger, mergedBatch, type MergedInterval } from './merger.ts';

const LENGTH = 10_000;
const rule = {
  merge: (intervalMs: number, parts: readonly unknown[]): Merged => ({
    tag: 'm',
    timeMs: intervalMs + LENGTH,
    records: mergeParts(parts as IntervalPart[], { intervalMs: LENGTH, percentThreshold: [90], histogram: [], keep: undefined }),
  }),
};
const merger = (workers: readonly number[] = [0, 1]): MetricMerger => new MetricMerger(new Map([['c', rule]]), workers);

const count = (name: string, value: number): IntervalPart => ({ rows: [{ name, tags: undefined, count: value }] });
const totals = (intervals: readonly MergedInterval[]): unknown[] =>
  intervals.map(({ merged: { timeMs, records } }) => [
    timeMs,
    ...records.map(({ name, value }) => `${String(name)}=${String(value)}`),
  ]);
const put = (m: MetricMerger, worker: number, intervalMs: number, data: unknown): boolean =>
  m.add({ consumer: 'c', worker, intervalMs, data });

describe('merger', () => {
  test('parts of all workers are one total, once all have closed the interval', () => {
    const m = merger();
    put(m, 0, 0, count('a', 1));
    assert.deepEqual(m.takeComplete(), []);
    m.close(0, 10_250);
    assert.deepEqual(m.takeComplete(), [], 'worker 1 may still count for it');
    put(m, 1, 0, count('a', 2));
    m.close(1, 10_100);
    assert.deepEqual(totals(m.takeComplete()), [[10_000, 'a=3']]);
    m.close(1, 20_000);
    m.close(0, 20_000);
    assert.deepEqual(m.takeComplete(), [], 'each is given once');
  });

  test('a worker that had nothing to count only says so', () => {
    const m = merger();
    put(m, 0, 0, count('a', 1));
    m.close(0, 10_250);
    m.close(1, 9_999);
    assert.deepEqual(m.takeComplete(), []);
    m.close(1, 10_250);
    assert.deepEqual(totals(m.takeComplete()), [[10_000, 'a=1']]);
  });

  test('a worker that is far behind holds everything back, in order', () => {
    const m = merger();
    for (const interval of [0, 1, 2]) {
      put(m, 0, interval * LENGTH, count('a', 1));
      m.close(0, (interval + 1) * LENGTH);
    }
    assert.deepEqual(m.takeComplete(), []);
    put(m, 1, LENGTH, count('a', 5));
    m.close(1, 2 * LENGTH);
    assert.deepEqual(totals(m.takeComplete()), [
      [10_000, 'a=1'],
      [20_000, 'a=6'],
    ]);
    m.leave(1);
    assert.deepEqual(totals(m.takeComplete()), [[30_000, 'a=1']]);
  });

  test('a consumer that nobody knows is refused', () => {
    const m = merger();
    assert.equal(m.add({ consumer: '?', worker: 0, intervalMs: 0, data: undefined }), false);
    assert.equal(m.refused, 1);
  });

  test('however events are dealt out to workers, each interval is given once, with its true total', () => {
    const event = fc.record({
      interval: fc.integer({ min: 0, max: 3 }),
      worker: fc.integer({ min: 0, max: 2 }),
      name: fc.constantFrom('a', 'b'),
      kind: fc.constantFrom('count', 'timer', 'set'),
      value: fc.integer({ min: 0, max: 20 }),
    });
    const order = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 30 });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), order, (events, closings) => {
        const m = merger([0, 1, 2]);
        const given = new Map<number, unknown>();
        const truth = new Map<number, IntervalPart[]>();
        const waiting = new Map<number, { worker: number; part: IntervalPart }[]>();
        for (const { interval, worker, name, kind, value } of events) {
          const cell = new Cell(name, undefined);
          if (kind === 'set') cell.unique(String(value));
          else cell.add(kind as 'count' | 'timer', value, 0);
          const part = { rows: [cell.row()] };
          truth.set(interval, [...(truth.get(interval) ?? []), part]);
          waiting.set(interval, [...(waiting.get(interval) ?? []), { worker, part }]);
        }
        const take = (): void => {
          for (const { origin, merged } of m.takeComplete()) {
            assert.ok(!given.has(origin.intervalMs), 'given twice');
            given.set(origin.intervalMs, sorted(merged.records));
          }
        };
        // Every worker closes interval after interval, the workers in any order.
        const at = [0, 0, 0];
        const close = (worker: number): void => {
          const interval = at[worker] ?? 0;
          at[worker] = interval + 1;
          for (const one of waiting.get(interval) ?? [])
            if (one.worker === worker) put(m, worker, interval * LENGTH, structuredClone(one.part));
          m.close(worker, (interval + 1) * LENGTH + worker);
          take();
        };
        for (const worker of closings) close(worker);
        for (const worker of [0, 1, 2]) while ((at[worker] as number) < 5) close(worker);
        const want = [...truth].map(([interval, parts]): [number, unknown] => [
          interval * LENGTH,
          sorted(rule.merge(interval * LENGTH, parts).records),
        ]);
        assert.deepEqual(given, new Map(want));
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
