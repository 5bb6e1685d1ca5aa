import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Fields } from '../../engine/events/batch.ts';
import { create, testContext, type SeenEvent, type TestContext } from '../../engine/testing/driver.ts';
import { dropsOf, kernelDrops } from './listen.ts';
import { tagFields } from './naming.ts';
import type { StatsdServer } from './server.ts';
import { listenTcp } from './listen.ts';
import { statsd } from './statsd.ts';

function make(config: Fields): { server: StatsdServer; ctx: TestContext } {
  const ctx = testContext(statsd);
  return { server: create<StatsdServer>(statsd, { port: 0, flush_interval: 10, ...config }, ctx), ctx };
}

const values = (events: readonly SeenEvent[]): Record<string, unknown> =>
  Object.fromEntries(events.map(({ record }) => [String(record['name']), record['value']]));

describe('flush', () => {
  test('events carry name, value, type, tags and the time of the flush', async () => {
    const { server, ctx } = make({ legacy_namespace: false });
    server.receive(Buffer.from('pay/ms:7|g|#dc:a,new'));
    ctx.clock.advance(10_000);
    await server.flush();
    const events = ctx.events();
    const gauge = events.find(({ record }) => record['name'] === 'stats.gauges.pay-ms');
    assert.deepEqual(gauge, {
      tag: 'metrics.statsd',
      seconds: 1_700_000_010,
      nanoseconds: 0,
      record: { name: 'stats.gauges.pay-ms', value: 7, type: 'gauge', tags: { dc: 'a', new: 'true' } },
    });
    assert.equal(values(events)['stats.counters.statsd.packets_received.count'], 1);
    assert.equal(values(events)['stats.statsd.numStats'], 4);
    await server.stop();
  });

  test('own metrics count lines, bad samples and refused names', async () => {
    const { server, ctx } = make({ max_series: 10 });
    for (let n = 0; n < 12; n++) server.receive(Buffer.from(`n${n}:1|c\nbad`));
    await server.flush();
    // Three names are the server's own.
    assert.deepEqual(
      { ...ctx.values, receive_buffer_bytes: 0 },
      {
        packets: 12,
        lines: 24,
        bad_lines: 12,
        refused_connections: 0,
        refused: 5,
        events: 0,
        series: 10,
        kernel_drops: 0,
        receive_buffer_bytes: 0,
      },
    );
    assert.equal(values(ctx.events())['stats_counts.statsd.bad_lines_seen'], 12);
    await server.stop();
  });

  test('a full pipeline is waited for and nothing is lost', async () => {
    const gate = Promise.withResolvers<void>();
    const ctx = testContext(statsd, { emit: () => false });
    Object.assign(ctx, { ready: () => gate.promise });
    const server = create<StatsdServer>(statsd, { port: 0, flush_interval: 10, protocol: 'udp' }, ctx);
    await server.start();
    server.receive(Buffer.from('a:1|c'));
    ctx.clock.advance(10_000);
    server.receive(Buffer.from('a:2|c'));
    ctx.clock.advance(10_000);
    assert.equal(ctx.emitted.length, 1);
    gate.resolve();
    await server.drain();
    const counts = ctx.events().filter(({ record }) => record['name'] === 'stats_counts.a');
    assert.deepEqual(
      counts.map(({ record }) => record['value']),
      [1, 2],
    );
    await server.stop();
  });

  test('the flush at the end carries the time at which its interval would have ended', async () => {
    const { server, ctx } = make({});
    await server.start();
    server.receive(Buffer.from('a:5|c'));
    ctx.clock.advance(10_000);
    server.receive(Buffer.from('a:1|c'));
    ctx.clock.advance(3000);
    await server.drain();
    const counts = ctx.events().filter(({ record }) => record['name'] === 'stats_counts.a');
    assert.deepEqual(
      counts.map(({ seconds, record }) => [seconds - 1_700_000_000, record['value']]),
      [
        [10, 5],
        [20, 1],
      ],
    );
    await server.stop();
  });

  test('infinite sums are not sent', async () => {
    const { server, ctx } = make({ legacy_namespace: false });
    server.receive(Buffer.from('t:1e200|ms'));
    await server.flush();
    const seen = values(ctx.events());
    assert.equal(seen['stats.timers.t.sum'], 1e200);
    assert.equal('stats.timers.t.sum_squares' in seen, false);
    await server.stop();
  });
});

describe('sockets', () => {
  const sender = createSocket('udp4');
  after(() => sender.close());

  test('UDP: what a client sent before the drain is in the last flush', async () => {
    const { server, ctx } = make({});
    await server.start();
    const [address = ''] = server.addresses();
    const port = Number(address.split(':').at(-1));
    await Promise.all(
      Array.from({ length: 200 }, () => new Promise((resolve) => sender.send('hits:1|c', port, '127.0.0.1', resolve))),
    );
    await server.drain();
    assert.equal(values(ctx.events())['stats_counts.hits'], 200);
    assert.ok((ctx.values['receive_buffer_bytes'] ?? 0) > 0);
    await server.stop();
    await server.stop();
  });

  test('TCP: lines over packet borders, a last one without a line end, a too long one', async () => {
    const { server, ctx } = make({ protocol: 'tcp', max_line: 64 });
    await server.start();
    const port = Number(server.addresses()[0]?.split(':').at(-1));
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.setNoDelay(true);
    for (const piece of ['a:1|', 'c\na:2|c\n', 'x'.repeat(100), `${'y'.repeat(100)}:1|c\na:4|c\n`, 'a:8|c']) {
      await new Promise((resolve) => socket.write(piece, resolve));
      await turn();
    }
    socket.end();
    await once(socket, 'close');
    await server.drain();
    const seen = values(ctx.events());
    assert.equal(seen['stats_counts.a'], 15);
    assert.equal(seen['stats_counts.statsd.bad_lines_seen'], 1);
    await server.stop();
  });

  test('more TCP connections than max_connections are closed at once and counted', async () => {
    const { server, ctx } = make({ protocol: 'tcp', max_connections: 1 });
    await server.start();
    const port = Number(server.addresses()[0]?.split(':').at(-1));
    const sockets = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    await Promise.race(sockets.map((socket) => once(socket, 'close')));
    assert.equal(ctx.values['refused_connections'], 1);
    for (const socket of sockets) socket.destroy();
    await server.stop();
  });

  test('a TCP connection that says nothing is closed', async () => {
    const ignore = (): void => undefined;
    const options = { bind: '127.0.0.1', port: 0, maxLine: 64, maxConnections: 1, idleMs: 20, onRefused: ignore };
    const listening = await listenTcp(options, ignore);
    await once(connect(listening.port, '127.0.0.1'), 'close');
    await listening.close();
  });

  test('both transports share a port; a second server is told that it is taken', async () => {
    const { server } = make({ protocol: 'both' });
    await server.start();
    const [udp, tcp] = server.addresses();
    assert.equal(udp, tcp);
    const port = Number(udp?.split(':').at(-1));
    for (const protocol of ['udp', 'tcp']) {
      const second = make({ protocol, port }).server;
      await assert.rejects(second.start(), { code: 'MR_PORT_TAKEN' });
      await second.stop();
    }
    await server.stop();
  });

  test('an address that is not ours', async () => {
    const { server } = make({ bind: '203.0.113.1' });
    await assert.rejects(server.start(), { code: 'MR_LISTEN' });
    await server.stop();
  });
});

describe('kernel drops', () => {
  const table = [
    '   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops',
    '  17: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 411 2 0000000000000000 42',
    '  18: 00000000:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 412 2 0000000000000000 8',
    '  19: 0100007F:1FBE 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 413 2 0000000000000000 7',
    '  20: short',
  ].join('\n');
  for (const [port, want] of [
    [8125, 50],
    [8126, 7],
    [1, 0],
  ] as const)
    test(`port ${port}`, () => assert.equal(dropsOf(table, port), want));
  test('of this machine', async () => assert.equal((await kernelDrops(1)) ?? 0, 0));
});

describe('configuration', () => {
  for (const [config, want] of [
    [{ percent_threshold: '90,0' }, ['percent_threshold: 0 is no percentile']],
    [{ histogram: [{ metric: 'a', bins: '1,2,inf' }] }, []],
    [{ histogram: [{ bins: '1,x' }] }, ['histogram: bins are numbers or inf, not 1,x']],
    [{ histogram: [{ bins: '5,1' }] }, ['histogram: bins must rise, not 5,1']],
    [{ histogram: [{ bins: '' }] }, []],
  ] as const)
    test(JSON.stringify(config), () => assert.deepEqual(statsd.check?.(statsd.config.parse(config)), want));

  for (const [tags, want] of [
    ['', undefined],
    [';a=b;c=d=e', { a: 'b', c: 'd=e' }],
    [';flag', { flag: 'true' }],
    [';;=x', undefined],
  ] as const)
    test(`tags ${tags}`, () => assert.deepEqual(tagFields(tags), want));
});
