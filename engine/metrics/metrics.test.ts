import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Aggregate } from './aggregate.ts';
import { ByteTable, hashBytes, type Slot } from './byte-table.ts';
import { Distinct } from './distinct.ts';
import { Samples } from './samples.ts';
import { timerStats, type TimerStatsOptions } from './timer-stats.ts';

const OPTIONS: TimerStatsOptions = { intervalMs: 10_000, percentThreshold: [90], histogram: [], keep: undefined };

function statsOf(samples: Samples, options: Partial<TimerStatsOptions> = {}, name = 't'): Record<string, number> {
  const stats: Record<string, number> = {};
  const values = samples.count === 0 ? undefined : samples.ranked();
  timerStats(name, values, { ...OPTIONS, ...options }, (stat, value) => (stats[stat] = value));
  return stats;
}

function samplesOf(values: readonly number[], exact = 1e6, weight = 1): Samples {
  const samples = new Samples({ exact, budget: { left: 1e6 } });
  for (const value of values) samples.add(value, weight);
  return samples;
}

describe('statistics of a timer', () => {
  for (const [title, values, options, want] of [
    ['nothing', [], {}, { count: 0, count_ps: 0 }],
    ['nothing that is wanted', [], { keep: new Set(['mean']) }, {}],
    [
      'four values',
      [8, 2, 4, 6],
      { percentThreshold: [50] },
      {
        count_50: 2,
        mean_50: 3,
        upper_50: 4,
        sum_50: 6,
        sum_squares_50: 20,
        std: Math.sqrt(5),
        upper: 8,
        lower: 2,
        count: 4,
        count_ps: 0.4,
        sum: 20,
        sum_squares: 120,
        mean: 5,
        median: 5,
      },
    ],
    [
      'the upper half',
      [8, 2, 4, 6],
      { percentThreshold: [-50], keep: new Set(['mean_percent', 'lower_percent']) },
      { mean_top50: 7, lower_top50: 6 },
    ],
    ['all of them from above', [1, 2], { percentThreshold: [-100], keep: new Set(['sum_percent']) }, { sum_top100: 3 }],
    ['a threshold below the first value', [1, 2, 3], { percentThreshold: [1], keep: new Set(['count_percent']) }, {}],
    [
      'a fraction cannot be named',
      [1, 2],
      { percentThreshold: [99.5], keep: new Set(['count_percent', 'median']) },
      { median: 1.5 },
    ],
    [
      'a histogram of the first rule that fits',
      [1, 2, 3, 50],
      {
        keep: new Set(['histogram']),
        histogram: [
          { metric: 'x', bins: [1] },
          { metric: '', bins: [2, 2.5, Infinity] },
        ],
      },
      { 'histogram.bin_2': 1, 'histogram.bin_2_5': 1, 'histogram.bin_inf': 2 },
    ],
  ] as const)
    test(title, () => assert.deepEqual(statsOf(samplesOf(values), options), want));

  test('sampling only scales the counts', () => {
    assert.deepEqual(statsOf(samplesOf([4, 6], 10, 5), { keep: new Set(['count', 'count_ps', 'sum']) }), {
      count: 10,
      count_ps: 1,
      sum: 10,
    });
  });

  test('beyond the exact values, statistics stay within a half per cent', () => {
    const number = fc.oneof(fc.double({ min: 0.001, max: 1e9, noNaN: true }), fc.integer({ min: 1, max: 50 }));
    fc.assert(
      fc.property(fc.array(number, { minLength: 20, maxLength: 300 }), (values) => {
        const [exact, sketched] = [statsOf(samplesOf(values)), statsOf(samplesOf(values, 10))];
        for (const stat of ['upper', 'lower', 'count', 'count_90']) assert.equal(sketched[stat], exact[stat]);
        for (const stat of ['upper_90', 'median', 'sum', 'sum_90', 'mean'])
          assert.ok(
            Math.abs((sketched[stat] as number) / (exact[stat] as number) - 1) < 0.00501,
            `${stat} ${sketched[stat]} ${exact[stat]}`,
          );
      }),
    );
  });

  test('parts merged are the same as the whole', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.integer({ min: -50, max: 50 }), { maxLength: 12 }), { maxLength: 5 }),
        fc.constantFrom(1000, 20, 9),
        (parts, exact) => {
          const whole = samplesOf(parts.flat(), exact);
          const merged = samplesOf([], exact);
          for (const part of parts) merged.merge(structuredClone(samplesOf(part, exact).data()));
          const [a, b] = [statsOf(whole), statsOf(merged)];
          assert.deepEqual(Object.keys(a), Object.keys(b));
          // A sketch of a sketch has the same bins; only a change from exact to sketch in between moves a value.
          for (const stat of ['count', 'upper', 'lower']) assert.equal(a[stat], b[stat]);
          if (exact === 1000) assert.deepEqual(a, b);
        },
      ),
    );
  });

  test('when the budget is used up, growing timers go on as sketches and give their memory back', () => {
    const budget = { left: 24 };
    const samples = new Samples({ exact: 1000, budget });
    for (let n = 1; n <= 100; n++) samples.add(n, 1);
    assert.equal(samples.data().values, undefined);
    assert.equal(budget.left, 24);
    assert.equal(samples.ranked().max, 100);
  });
});

describe('distinct texts', () => {
  test('exact up to the limit, then within three standard errors', () => {
    const distinct = new Distinct(100);
    for (let n = 0; n < 100; n++) distinct.add(`user-${n % 100}`);
    assert.equal(distinct.count, 100);
    for (const size of [1000, 20_000, 100_000]) {
      for (let n = 0; n < size; n++) distinct.add(`user-${n}`);
      assert.ok(Math.abs(distinct.count / size - 1) < 0.025, `${distinct.count} of ${size}`);
    }
  });
  test('merged parts count a text once, whatever their form', () => {
    const [few, many, sum] = [new Distinct(1000), new Distinct(10), new Distinct(1000)];
    for (let n = 0; n < 500; n++) few.add(`a${n}`);
    for (let n = 0; n < 1000; n++) many.add(`a${n}`);
    sum.merge(structuredClone(few.data()));
    assert.equal(sum.count, 500);
    sum.merge(structuredClone(many.data()));
    assert.ok(Math.abs(sum.count / 1000 - 1) < 0.03, String(sum.count));
  });
  test('without memory the size stays and the answer is no', () => {
    const budget = { left: 200 };
    const distinct = new Distinct(1000, budget);
    assert.deepEqual(
      ['a', 'b', 'c', 'd', 'e', 'a'].map((member) => distinct.add(member)),
      [true, true, true, true, false, true],
    );
    assert.equal(distinct.count, 4);
    distinct.release();
    assert.equal(budget.left, 200);
  });
});

describe('byte table', () => {
  const slot = (text: string): Slot => {
    const key = Buffer.from(text);
    return { key, hash: hashBytes(key, 0, key.length), next: undefined };
  };
  test('finds what was added, whatever the order, also after pruning', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ maxLength: 6 }), { maxLength: 600 }), (keys) => {
        const table = new ByteTable<Slot>();
        for (const key of keys) table.add(slot(key));
        table.prune((each) => each.key.length % 2 === 0);
        for (const key of keys) {
          const { key: bytes, hash } = slot(key);
          const found = table.find(Buffer.concat([Buffer.from('>'), bytes]), 1, bytes.length + 1, hash);
          assert.equal(found !== undefined, bytes.length % 2 === 0);
        }
        assert.equal(table.size, [...table].length);
      }),
      { numRuns: 30 },
    );
  });
  test('keys made to collide are refused after a while', () => {
    const table = new ByteTable<Slot>();
    const added = Array.from({ length: 100 }, (_, n) => table.add({ key: Buffer.from(`k${n}`), hash: 5, next: undefined }));
    assert.equal(added.filter(Boolean).length, 64);
  });
});

describe('what is kept over flushes', () => {
  const keep = { deleteCounters: false, deleteTimers: false, deleteSets: false, deleteGauges: false };
  const drop = { deleteCounters: true, deleteTimers: true, deleteSets: true, deleteGauges: true };
  function fill(aggregate: Aggregate): void {
    const series = aggregate.named('x');
    assert.ok(series);
    aggregate.count(series, 2);
    aggregate.gauge(series, 3, false);
    aggregate.time(series, 4, 1);
    aggregate.unique(series, 'm');
  }
  const shape = (aggregate: Aggregate, rules: typeof keep): unknown[] =>
    aggregate
      .flush(rules)
      .series.map(({ counter, gauge, timer, members }) => [counter, gauge, timer === 'idle' ? timer : timer?.count, members]);

  for (const [title, rules, ttl, second, third] of [
    ['all of it, at zero', keep, 1, [[0, 3, 'idle', 0]], [[0, 3, 'idle', 0]]],
    ['nothing', drop, 1, [], []],
    ['a gauge for two flushes', drop, 2, [[undefined, 3, undefined, undefined]], []],
    [
      'only gauges',
      { ...drop, deleteGauges: false },
      1,
      [[undefined, 3, undefined, undefined]],
      [[undefined, 3, undefined, undefined]],
    ],
  ] as const)
    test(title, () => {
      const aggregate = new Aggregate({}, ttl);
      fill(aggregate);
      assert.deepEqual(shape(aggregate, rules), [[2, 3, 1, 1]]);
      assert.deepEqual(shape(aggregate, rules), second);
      assert.deepEqual(shape(aggregate, rules), third);
    });

  test("the server's own counters are never forgotten", () => {
    const aggregate = new Aggregate();
    const series = aggregate.named('statsd.packets_received');
    assert.ok(series);
    aggregate.count(series, 1);
    aggregate.flush(drop);
    assert.deepEqual(
      aggregate.flush(drop).series.map(({ counter }) => counter),
      [0],
    );
  });
});
