import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Consumer } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { create, makeBatch, testContext, type TestContext } from '../../engine/testing/driver.ts';
import { logToMetric } from './log-to-metric.ts';

const START = 1_700_000_000_000;

function make(config: Fields): { consumer: Consumer; ctx: TestContext } {
  const ctx = testContext(logToMetric);
  return { consumer: create<Consumer>(logToMetric, config, ctx), ctx };
}

function observe(consumer: Consumer, records: readonly Fields[], { tag = 'web.a', atMs = START } = {}): void {
  const cursor = new EventCursor();
  cursor.open(
    makeBatch(
      records.map((record) => ({ record })),
      tag,
    ),
  );
  records.forEach((_, n) => {
    cursor.next(n);
    consumer.observe(cursor, atMs);
  });
}

/** What the main thread makes of all published parts: interval start in seconds, then `name;tag=value value`. */
function totals(config: Fields, contexts: readonly TestContext[]): Record<string, string[]> {
  const parts = new Map<number, unknown[]>();
  for (const { intervalMs, data } of contexts.flatMap((ctx) => ctx.published))
    parts.set(intervalMs, [...(parts.get(intervalMs) ?? []), structuredClone(data)]);
  const result: Record<string, string[]> = {};
  for (const [intervalMs, data] of parts) {
    const merged = logToMetric.merge?.(logToMetric.config.parse(config), intervalMs, data);
    assert.equal(merged?.timeMs, intervalMs + 10_000);
    result[(intervalMs - START) / 1000] = (merged?.records ?? [])
      .map(
        ({ name, value, tags }) =>
          `${String(name)}${Object.entries(tags ?? {})
            .map(([k, v]) => `;${k}=${String(v)}`)
            .join('')} ${String(value)}`,
      )
      .sort();
  }
  return result;
}

/** One run over one interval. */
async function run(config: Fields, records: readonly Fields[], tag?: string): Promise<string[]> {
  const { consumer, ctx } = make(config);
  observe(consumer, records, tag === undefined ? {} : { tag });
  consumer.close?.(Infinity);
  return totals(config, [ctx])['0'] ?? [];
}

describe('what is counted', () => {
  const requests = [
    { code: '200', ms: 10, user: 'anna', path: '/a' },
    { code: '200', ms: 30, user: 'bert', path: '/b' },
    { code: 404, ms: '20', user: 'anna', path: '/a' },
    { code: 'x y.z', ms: 'slow', path: '/订单' },
    { ms: 1 },
  ];
  for (const [metric, ...want] of [
    [{ name: 'hits' }, 'hits 5'],
    [{ name: 'hits.${code}' }, 'hits.200 2', 'hits.404 1', 'hits.x_y_z 1'],
    [{ name: 'hits.${record["code"]}' }, 'hits.200 2', 'hits.404 1', 'hits.x_y_z 1'],
    [{ name: '${tag}.hits' }, 'web.a.hits 5'],
    [{ name: '${tag_parts[-1]}.${tag[0]}' }, 'a.web 5'],
    [{ name: 'p${path}' }, 'p-a 2', 'p-b 1', 'p-订单 1'],
    [
      { name: 'hits', tags: { code: '${code}', dc: 'eu' } },
      'hits;code=200;dc=eu 2',
      'hits;code=404;dc=eu 1',
      'hits;code=x y.z;dc=eu 1',
    ],
    [{ name: 'time', value_key: 'ms' }, 'time 61'],
    [{ name: 'last', type: 'gauge', value_key: 'ms', scale: 1000 }, 'last 1000'],
    [{ name: 'users', type: 'set', value_key: 'user' }, 'users.count 2'],
    [{ name: 'minus', type: 'decrement' }, 'minus -5'],
    [{ name: 'minus', type: 'decrement', value_key: 'ms' }, 'minus -61'],
    [{ name: 'ok', if_key: 'code', if_pattern: '/^2/' }, 'ok 2'],
    [{ name: 'known', if_key: 'code' }, 'known 4'],
    [{ statsd_type: 'count', statsd_key: 'sent', statsd_val: '3' }, 'sent 15'],
    [{ statsd_type: 'gauge', statsd_key: 'ms', statsd_val: "${record['ms'].to_f / 10}" }, 'ms 0.1'],
    [{ statsd_type: 'set', statsd_key: 'u', statsd_val: '${record["user"]}', statsd_rate: '0.5' }, 'u.count 2'],
  ] as const)
    test(JSON.stringify(metric), async () => assert.deepEqual(await run({ metric: [metric] }, requests), [...want].sort()));

  test('a timer has the statistics of StatsD', async () => {
    const config = {
      prefix: 'app',
      metric: [{ name: 't', type: 'timing', value_key: 'ms' }],
      calculated_timer_metrics: 'count,mean,upper_percent',
      percent_threshold: '50',
    };
    assert.deepEqual(await run(config, requests), ['app.t.count 4', 'app.t.mean 15.25', 'app.t.upper_50 10']);
  });

  test('two sections of one name add up', async () => {
    const metric = [
      { name: 'n', type: 'increment' },
      { name: 'n', value_key: 'ms' },
    ];
    assert.deepEqual(await run({ metric }, [{ ms: 2 }, { ms: 3 }]), ['n 7']);
  });

  test('a missing field is skipped and counted', async () => {
    const { consumer, ctx } = make({ metric: [{ name: '${code}' }, { name: 'ms', value_key: 'ms' }] });
    observe(consumer, [{ code: null }, { ms: [] }, { code: 1, ms: 1 }]);
    consumer.close?.(Infinity);
    assert.equal(ctx.values['skipped'], 4);
  });

  test('events that say themselves what they count', async () => {
    const records = [
      { statsd_type: 'timing', statsd_key: 'url.a', statsd_timing: '0.25' },
      { statsd_type: 'count', statsd_key: 'n', statsd_count: 4 },
      { statsd_type: 'increment', statsd_key: 'n' },
      { statsd_type: 'decrement', statsd_key: 'Ns::Class' },
      { statsd_type: 'set', statsd_key: 's', statsd_set: 'x' },
      { statsd_type: 'gauge', statsd_key: 'g', statsd_gauge: 7 },
      { statsd_type: 'else', statsd_key: 'g' },
      { message: 'no metric' },
    ];
    assert.deepEqual(
      await run({ timing_scale: 1000, calculated_timer_metrics: 'upper' }, records),
      ['Ns.Class -1', 'g 7', 'n 5', 's.count 1', 'url.a.upper 250'].sort(),
    );
  });
});

describe('intervals', () => {
  test('the time at which an event entered decides; an interval is published once it is closed', () => {
    const { consumer, ctx } = make({ metric: [{ name: 'n' }] });
    observe(consumer, [{}, {}, {}], { atMs: START + 9_999 });
    observe(consumer, [{}], { atMs: START + 10_000 });
    consumer.close?.(START + 9_999);
    assert.equal(ctx.published.length, 0);
    consumer.close?.(START + 10_000);
    assert.deepEqual(totals({}, [ctx]), { 0: ['n 3'] });
    observe(consumer, [{}], { atMs: START + 15_000 });
    consumer.close?.(START + 30_000);
    consumer.close?.(START + 60_000);
    assert.deepEqual(totals({}, [ctx]), { 0: ['n 3'], 10: ['n 2'] });
    assert.equal(ctx.published.length, 2);
  });

  test('workers add up', async () => {
    const config = { metric: [{ name: 'n.${k}' }, { name: 'users', type: 'set', value_key: 'k' }] };
    const workers = [make(config), make(config)];
    for (const { consumer } of workers) {
      observe(consumer, [{ k: 'a' }, { k: 'b' }, { k: 'a' }]);
      consumer.close?.(Infinity);
    }
    assert.deepEqual(
      totals(
        config,
        workers.map(({ ctx }) => ctx),
      ),
      { 0: ['n.a 4', 'n.b 2', 'users.count 2'] },
    );
  });

  test('a snapshot brings an open interval over restarts', () => {
    const config = { metric: [{ name: 'n' }, { name: 't', type: 'timer', value_key: 'v' }], calculated_timer_metrics: 'sum' };
    const before = make(config);
    observe(before.consumer, [{ v: 1 }, { v: 2 }]);
    const after = make(config);
    after.consumer.restore?.(before.consumer.snapshot?.());
    observe(after.consumer, [{ v: 4 }]);
    const last = make(config);
    last.consumer.restore?.(after.consumer.snapshot?.());
    observe(last.consumer, [{ v: 8 }]);
    observe(last.consumer, [{ v: 1 }], { atMs: START + 10_000 });
    last.consumer.close?.(Infinity);
    assert.deepEqual(totals(config, [last.ctx]), { 0: ['n 4', 't.sum 15'], 10: ['n 1', 't.sum 1'] });
    assert.equal(last.ctx.published.length, 2);
  });

  test('a clock that jumps about does not fill the memory', () => {
    const { consumer, ctx } = make({ metric: [{ name: 'n' }] });
    for (let n = 0; n < 200; n++) observe(consumer, [{}], { atMs: START + n * 10_000 });
    assert.equal(ctx.published.length, 136);
  });
});

describe('bounds', () => {
  test('series beyond the bound are counted together, and the sum is true', async () => {
    const config = { max_series: 3, metric: [{ name: 'u.${user}', tags: { t: '${user}' } }] };
    const { consumer, ctx } = make(config);
    observe(
      consumer,
      Array.from({ length: 100 }, (_, n) => ({ user: `u${n % 10}` })),
    );
    consumer.close?.(Infinity);
    const seen = totals(config, [ctx])['0'];
    assert.deepEqual(seen, ['u._other;t=_other 70', 'u.u0;t=u0 10', 'u.u1;t=u1 10', 'u.u2;t=u2 10']);
    assert.equal(ctx.values['overflow'], 70);
  });

  test('idle series make room', async () => {
    const config = { max_series: 2, metric: [{ name: 'u.${user}' }] };
    const { consumer, ctx } = make(config);
    for (let interval = 0; interval < 10; interval++) {
      observe(consumer, [{ user: 'often' }, { user: interval === 0 ? 'once' : 'later' }], { atMs: ctx.clock.now() });
      ctx.clock.advance(10_000);
      consumer.close?.(ctx.clock.now());
    }
    const seen = totals(config, [ctx]);
    assert.deepEqual(seen['10'], ['u._other 1', 'u.often 1']);
    assert.deepEqual(seen['90'], ['u.later 1', 'u.often 1']);
  });

  test('a long value is cut, and what is the same up to there is one series', async () => {
    const long = '长'.repeat(100);
    const seen = await run({ metric: [{ name: 'v.${v}' }] }, [{ v: `${long}a` }, { v: `${long}b` }]);
    assert.deepEqual(seen, [`v.${'长'.repeat(85)} 2`]);
  });
});

describe('configuration', () => {
  for (const [metric, want] of [
    [{}, '<metric> 1: name is missing'],
    [
      { name: 'a', statsd_type: 'histogram' },
      '<metric> 1: unknown type histogram; one of count, increment, decrement, gauge, timer, timing, set',
    ],
    [{ name: 'a', type: 'timer' }, '<metric> 1: a timer needs value_key'],
    [{ name: 'a.${x.upcase + 1}' }, '<metric> 1: placeholder not understood (no Ruby is run): ${x.upcase + 1}'],
    [{ name: 'a', tags: { t: '${}' } }, '<metric> 1: tag t: placeholder not understood (no Ruby is run): ${}'],
    [{ name: 'a', statsd_val: '${`rm`}' }, '<metric> 1: statsd_val: not understood (no Ruby is run): ${`rm`}'],
    [{ name: 'a', if_pattern: '/x/' }, '<metric> 1: if_pattern needs if_key'],
  ] as const)
    test(JSON.stringify(metric), () =>
      assert.deepEqual(logToMetric.check?.(logToMetric.config.parse({ metric: [metric] })), [want]),
    );
});
