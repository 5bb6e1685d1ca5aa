/** StatsD clients that are not ours against our collector, over real sockets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { StatsD, type ClientOptions } from 'hot-shots';
import { statsd } from '../../collectors/statsd/statsd.ts';
import type { StatsdServer } from '../../collectors/statsd/server.ts';
import { create, testContext } from '../../engine/testing/driver.ts';

type Metrics = Map<string, unknown>;

/** Starts a collector, lets the client send, and gives name -> value of its flush. */
async function collect(
  protocol: 'udp' | 'tcp',
  options: Omit<ClientOptions, 'protocol'>,
  send: (client: StatsD) => void,
): Promise<Metrics> {
  const ctx = testContext(statsd);
  const config = { port: 0, protocol, legacy_namespace: false, flush_interval: 10, percent_threshold: '50' };
  const server = create<StatsdServer>(statsd, config, ctx);
  await server.start();
  const port = Number(server.addresses()[0]?.split(':').at(-1));
  const client = new StatsD({ host: '127.0.0.1', port, protocol, mock: false, includeDatadogTelemetry: false, ...options });
  const errors: Error[] = [];
  client.socket?.on?.('error', (error: Error) => errors.push(error));
  send(client);
  await new Promise<void>((resolve, reject) => client.close((error) => (error ? reject(error) : resolve())));
  await server.drain();
  await server.stop();
  assert.deepEqual(errors, []);
  return new Map(
    ctx.events().map(({ record }): [string, unknown] => {
      const tags = Object.entries((record['tags'] ?? {}) as Record<string, string>);
      return [`${String(record['name'])}${tags.map(([key, value]) => `;${key}=${value}`).join('')}`, record['value']];
    }),
  );
}

function sendEverything(client: StatsD): void {
  for (let n = 0; n < 500; n++) client.increment('orders.created');
  client.increment('orders.created', 500, ['region:eu', 'vip']);
  client.decrement('stock', 3);
  client.gauge('queue', 17);
  client.gaugeDelta('queue', -5);
  for (const ms of [10, 20, 30, 40]) client.timing('pay.time', ms);
  client.histogram('size', 7);
  client.distribution('size', 9);
  for (const user of ['anna', 'bert', 'anna']) client.set('users', user);
  client.increment('sampled', 1, 1);
}

const WANT = [
  ['stats.counters.orders.created.count', 500],
  ['stats.counters.orders.created.count;region=eu;vip=true', 500],
  ['stats.counters.stock.count', -3],
  ['stats.gauges.queue', 12],
  ['stats.timers.pay.time.count', 4],
  ['stats.timers.pay.time.mean', 25],
  ['stats.timers.pay.time.upper_50', 20],
  ['stats.timers.size.count', 2],
  ['stats.timers.size.sum', 16],
  ['stats.sets.users.count', 2],
  ['stats.counters.sampled.count', 1],
  ['stats.counters.statsd.bad_lines_seen.count', 0],
] as const;

describe('hot-shots', () => {
  for (const [title, protocol, options] of [
    ['a datagram for each metric', 'udp', {}],
    ['many metrics in a datagram', 'udp', { maxBufferSize: 1400, bufferFlushInterval: 10 }],
    ['over TCP', 'tcp', {}],
    ['over TCP, buffered', 'tcp', { maxBufferSize: 1400, bufferFlushInterval: 10 }],
  ] as const)
    test(title, async () => {
      const got = await collect(protocol, options, sendEverything);
      assert.deepEqual(
        WANT.map(([name]) => [name, got.get(name)]),
        WANT,
      );
    });

  test('prefix, global tags and sampling', async () => {
    const got = await collect('udp', { prefix: 'shop.', globalTags: { env: 'prod' }, maxBufferSize: 1000 }, (client) => {
      for (let n = 0; n < 2000; n++) client.increment('hits', 1, 0.5);
    });
    // Which of them are sent is chance: 2000 x 0.5 with a standard deviation of 22, each counted twice.
    const hits = Number(got.get('stats.counters.shop.hits.count;env=prod'));
    assert.ok(hits > 1700 && hits < 2300 && hits % 2 === 0, String(hits));
  });

  test('events and checks of DogStatsD are no bad lines', async () => {
    const got = await collect('udp', {}, (client) => {
      client.event('deploy', 'version 2|1', { priority: 'low' }, ['env:prod']);
      client.check('db', client.CHECKS.OK, { message: 'fine' });
      client.increment('after');
    });
    assert.equal(got.get('stats.counters.statsd.bad_lines_seen.count'), 0);
    assert.equal(got.get('stats.counters.after.count'), 1);
  });
});
