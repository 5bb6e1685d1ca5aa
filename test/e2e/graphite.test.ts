/**
 * Against a real carbon with graphite-web, retention of a second:
 * `CARBON=127.0.0.1:2003 GRAPHITE_WEB=http://127.0.0.1:8085 node --test test/e2e/graphite.test.ts`.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Consumer, Output } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { MetricMerger, mergedBatch, type MergedInterval } from '../../engine/metrics/merger.ts';
import { create, FakeClock, makeBatch, makeChunk, testContext, type TestEvent } from '../../engine/testing/driver.ts';
import { statsd } from '../../collectors/statsd/statsd.ts';
import type { StatsdServer } from '../../collectors/statsd/server.ts';
import { logToMetric } from '../../plugins/filter/log-to-metric.ts';
import { graphite } from '../../shippers/graphite/graphite.ts';

// It has no types.
const require = createRequire(import.meta.url);
const CARBON = process.env['CARBON'] ?? '';
const WEB = process.env['GRAPHITE_WEB'] ?? '';
const skip = CARBON === '' || WEB === '' ? 'needs CARBON and GRAPHITE_WEB' : false;
const [host = '', port = ''] = CARBON.split(':');
/** Series of other runs stay apart. */
const RUN = `millrace.e2e${randomBytes(4).toString('hex')}`;
const DEADLINE_MS = 30_000;
const never = new AbortController().signal;

interface Series {
  readonly target: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly datapoints: readonly (readonly [number | null, number])[];
}

/** Points of a target, asked for until `isThere` likes them: carbon writes a little later. */
async function render(target: string, isThere: (series: readonly Series[]) => boolean): Promise<Series[]> {
  const query = new URLSearchParams({ target, format: 'json', from: '-10min', noNullPoints: '1', noCache: '1' });
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const answer = await fetch(`${WEB}/render?${String(query)}`);
    assert.equal(answer.status, 200);
    const series = (await answer.json()) as Series[];
    if (isThere(series)) return series;
    assert.ok(Date.now() < end, `${target} did not come: ${JSON.stringify(series)}`);
    await sleep(200);
  }
}

const points = (series: readonly Series[]): unknown =>
  Object.fromEntries(series.map(({ target, datapoints }) => [target, datapoints]));

async function ship(events: readonly TestEvent[], config: Fields = {}): Promise<void> {
  const ctx = testContext(graphite);
  const output = create<Output>(graphite, { host, port, prefix: `${RUN}.`, ...config }, ctx);
  assert.equal(await output.write(makeChunk([makeBatch(events)]), never), 'delivered');
  assert.equal(ctx.values['unconfirmed'], 0);
  await output.stop?.();
}

describe('carbon', { skip }, () => {
  const now = Math.floor(Date.now() / 1000);

  test('points come back as they were sent, confirmed or on a kept connection', async () => {
    const values = [0, -1.5, 0.1 + 0.2, 1e21, 1e-7, 123_456_789.125];
    for (const confirm of [true, false]) {
      const events = values.map((value, n) => ({ time: now - 20 + n, record: { name: `values.${confirm}`, value } }));
      await ship(events, { confirm });
      const [series] = await render(`${RUN}.values.${confirm}`, (found) => found[0]?.datapoints.length === values.length);
      assert.deepEqual(
        series?.datapoints,
        values.map((value, n) => [value, now - 20 + n]),
      );
    }
  });

  test('tags, Chinese names, and a name that tries to be a second line', async () => {
    await ship([
      { time: now - 5, record: { name: 'tagged', value: 3, tags: { region: '浙江', code: '200' } } },
      { time: now - 5, record: { name: '订单.金额', value: 4 } },
      { time: now - 5, record: { name: `x 1 ${now}\n${RUN}.evil`, value: 5 } },
    ]);
    const target = `seriesByTag('name=${RUN}.tagged')`;
    const [tagged] = await render(target, (found) => found.length > 0 && found[0]?.datapoints.length === 1);
    assert.equal(tagged?.tags['region'], '浙江');
    assert.equal(tagged?.tags['code'], '200');
    const series = await render(`${RUN}.*.*`, (found) => found.some(({ target: name }) => name.endsWith('.订单.金额')));
    assert.ok(series.length > 0);
    // All of it is one name, below ours.
    await render(`${RUN}.x_1_*.*.evil`, (found) => found.length === 1);
    assert.deepEqual(await render(`${RUN}.evil`, () => true), []);
  });

  test('the npm package `graphite` as second writer gives equal figures', async () => {
    interface PeerClient {
      write(metrics: object, timeMs: number, done: (error?: Error) => void): void;
      end(): void;
    }
    const peer = require('graphite') as { createClient(url: string): PeerClient };
    const values = Array.from({ length: 50 }, (_, n) => ({ time: now - 60 + n, value: n * 1.25 }));
    await ship(values.map(({ time, value }) => ({ time, record: { name: 'peers.ours', value } })));
    const client = peer.createClient(`plaintext://${CARBON}/`);
    for (const { time, value } of values)
      await new Promise<void>((resolve, reject) =>
        client.write({ [`${RUN}.peers.theirs`]: value }, time * 1000, (error) => (error ? reject(error) : resolve())),
      );
    client.end();
    const isWhole = (found: readonly Series[]): boolean =>
      found.length === 2 && found.every((each) => each.datapoints.length === values.length);
    const [ours, theirs] = await render(`${RUN}.peers.{ours,theirs}`, isWhole);
    assert.deepEqual(ours?.datapoints, theirs?.datapoints);
  });

  test('statsd: from a datagram to /render', async () => {
    const ctx = testContext(statsd, { clock: new FakeClock((now - 10) * 1000) });
    const server = create<StatsdServer>(
      statsd,
      { legacy_namespace: false, flush_interval: 1, global_prefix: `${RUN}.stats` },
      ctx,
    );
    for (let n = 1; n <= 4; n++) {
      server.receive(Buffer.from(`hits:${n}|c\nhits:1|c|#dc:a\nload:${n}|g`));
      ctx.clock.advance(1000);
      await server.flush();
    }
    await server.stop();
    const output = create<Output>(graphite, { host, port }, testContext(graphite));
    assert.equal(await output.write(makeChunk(ctx.emitted), never), 'delivered');
    const found = await render(`${RUN}.stats.counters.hits.count`, (series) => series[0]?.datapoints.length === 4);
    assert.deepEqual(points(found), {
      [`${RUN}.stats.counters.hits.count`]: [1, 2, 3, 4].map((value, n) => [value, now - 9 + n]),
    });
    const tagged = await render(
      `seriesByTag('name=${RUN}.stats.counters.hits.count','dc=a')`,
      (series) => series[0]?.datapoints.length === 4,
    );
    assert.deepEqual(
      tagged[0]?.datapoints.map(([value]) => value),
      [1, 1, 1, 1],
    );
  });

  test('log_to_metric on two workers: one total, and sent again it stays what it is', async () => {
    const config = { prefix: `${RUN}.log`, flush_interval: 1, metric: [{ name: 'status.${code}' }] };
    const startMs = (now - 30) * 1000;
    const parsed = logToMetric.config.parse(config);
    const rule = {
      merge: (intervalMs: number, parts: readonly unknown[]) =>
        logToMetric.merge?.(parsed, intervalMs, parts) ?? { tag: '', timeMs: 0, records: [] },
    };
    const merger = new MetricMerger(new Map([['c', rule]]), [0, 1]);
    const count = async (worker: number, codes: readonly number[]): Promise<void> => {
      const ctx = testContext(logToMetric);
      const consumer = create<Consumer>(logToMetric, config, ctx);
      const cursor = new EventCursor();
      cursor.open(makeBatch(codes.map((code) => ({ record: { code } }))));
      codes.forEach((_, n) => {
        cursor.next(n);
        consumer.observe(cursor, startMs + n);
      });
      consumer.close?.(Infinity);
      for (const part of ctx.published) merger.add({ consumer: 'c', worker, ...part });
      merger.close(worker, startMs + 60_000);
    };
    const flush = async (complete: readonly MergedInterval[]): Promise<void> => {
      const batches = complete.map(({ merged }) => mergedBatch(merged)).filter((batch) => batch !== undefined);
      const output = create<Output>(graphite, { host, port }, testContext(graphite));
      assert.equal(await output.write(makeChunk(batches), never), 'delivered');
    };
    const want = (ok: number, missing: number): unknown => ({
      [`${RUN}.log.status.200`]: [[ok, now - 29]],
      [`${RUN}.log.status.404`]: [[missing, now - 29]],
    });
    await count(0, [200, 200, 404]);
    await count(1, [200, 404, 404]);
    const complete = merger.takeComplete();
    const isSum = (sum: number) => (found: readonly Series[]) =>
      found.reduce((total, { datapoints }) => total + (datapoints[0]?.[0] ?? 0), 0) === sum;
    for (let time = 0; time < 2; time++) {
      await flush(complete);
      assert.deepEqual(points(await render(`${RUN}.log.status.*`, isSum(6))), want(3, 3));
    }
  });

  test('a server that is not there is retried', async () => {
    const output = create<Output>(graphite, { host, port: 1 }, testContext(graphite));
    const verdict = await output.write(makeChunk([makeBatch([{ record: { name: 'a', value: 1 } }])]), never);
    assert.ok(typeof verdict === 'object' && verdict.retry === 'all');
  });
});
