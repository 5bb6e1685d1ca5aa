import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { FluentServer } from '@fluent-org/logger';
import { clientAddress, describeAccess, type Access } from './access-log.ts';
import { makeLogs } from './logging.ts';
import { startService, type ServiceOptions } from './start.ts';

interface Entry {
  readonly tag: string;
  readonly record: Record<string, unknown>;
}

/** A collector that is not ours: keeps what arrives. */
async function openCollector() {
  const server = new FluentServer({ listenOptions: { host: '127.0.0.1', port: 0 } });
  const entries: Entry[] = [];
  server.on('entry', (tag: string, _time: unknown, record: Record<string, unknown>) => entries.push({ tag, record }));
  await server.listen();
  return { server, entries, fluent: { host: '127.0.0.1', port: server.port ?? 0 } };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('telemetry of the core service', () => {
  let directory = '';
  const start = (more: Omit<ServiceOptions, 'directory'>) =>
    startService({ directory, fsync: false, latencyScale: 0, accounts: 2, ...more });
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'core-'));
  });
  after(() => rmSync(directory, { recursive: true }));

  test('requests, audit and application reach a forward input under three tags, none lost at the stop', async () => {
    const { server, entries, fluent } = await openCollector();
    const service = await start({ fluent });
    const path = `/products?q=${encodeURIComponent('基金')}`;
    await fetch(`http://127.0.0.1:${service.port}${path}`, {
      headers: { 'x-forwarded-for': '1.202.3.4', 'user-agent': 'test/1' },
    });
    const body = JSON.stringify({ account: 'u0001', password: 'wrong' });
    await fetch(`http://127.0.0.1:${service.port}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    await fetch(`http://127.0.0.1:${service.port}/health`);
    await service.stop();
    await server.close();
    assert.deepEqual(service.stats().logs.dropped, 0);

    const of = (tag: string) => entries.filter((entry) => entry.tag === tag).map(({ record }) => record);
    const [visit, login, ...more] = of('core.access');
    assert.deepEqual(more, []);
    const { event, source, url, http, log, user_agent: agent } = visit as Record<string, Record<string, unknown>>;
    assert.deepEqual(
      [event?.['action'], event?.['outcome'], source, agent],
      ['product-list', 'success', { ip: '1.202.3.4' }, { original: 'test/1' }],
    );
    assert.deepEqual(url, { original: path, path: '/products', query: path.slice(10) });
    assert.deepEqual(log, { level: 'info', logger: 'core.access' });
    assert.match(JSON.stringify(http?.['response']), /"status_code":200/);
    assert.deepEqual((login as Record<string, Record<string, unknown>>)['user'], { id: 'u0001' });
    assert.equal((login as Record<string, Record<string, unknown>>)['event']?.['reason'], 'credentials_wrong');

    const audit = of('core.audit').map((record) => (record['event'] as Record<string, unknown>)['action']);
    assert.deepEqual(audit, ['account-open', 'account-open', 'account-open', 'account-open', 'login-failure']);
    assert.ok(!JSON.stringify(of('core.audit')).includes('salt'), 'no secret leaves the audit file');
    assert.deepEqual(
      of('core.app').map((record) => record['message']),
      ['listening', 'stopped'],
    );
  });

  test('counters, timers and gauges reach StatsD over UDP', async () => {
    const socket = createSocket('udp4');
    let text = '';
    socket.on('message', (message) => (text += `${message.toString()}\n`));
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const service = await start({ statsd: { host: '127.0.0.1', port: socket.address().port } });
    await fetch(`http://127.0.0.1:${service.port}/products`);
    await fetch(`http://127.0.0.1:${service.port}/nowhere`);
    await service.stop();
    while (!text.includes('balance.held_cents')) await once(socket, 'message');
    socket.close();
    const lines = text.split('\n');
    assert.ok(lines.includes('core.http.requests:1|c|#action:product-list,status:200'), text);
    assert.ok(lines.includes('core.http.requests:1|c|#action:unknown,status:404'), text);
    assert.match(text, /^core\.http\.duration:[0-9.]+\|ms\|#action:product-list$/m);
    assert.ok(lines.includes('core.balance.customers_cents:4000000|g'), text);
  });

  test('without a collector and without StatsD the service answers, counts what is lost, and stops within 2 s', async () => {
    const nobody = { host: '127.0.0.1', port: await freePort() };
    const service = await start({ fluent: nobody, statsd: nobody });
    assert.equal((await fetch(`http://127.0.0.1:${service.port}/products`)).status, 200);
    const begin = performance.now();
    await service.stop();
    assert.ok(performance.now() - begin < 2000);
    const { sent, dropped, pending } = service.stats().logs;
    assert.deepEqual({ sent, dropped: dropped >= 3, pending }, { sent: 0, dropped: true, pending: 0 });
  });

  test('the log queue is bounded: the newest are dropped, and counted', async () => {
    const logs = makeLogs({ fluent: { host: '127.0.0.1', port: await freePort() }, fallback: 'nothing' });
    for (let n = 0; n < 10_007; n += 1) logs.app.info('hello');
    assert.deepEqual(logs.counts(), { sent: 0, dropped: 7, pending: 10_000 });
    await logs.close();
    assert.deepEqual(logs.counts(), { sent: 0, dropped: 10_007, pending: 0 });
    logs.app.info('too late');
    assert.equal(logs.counts().dropped, 10_008);
  });

  for (const [trustProxy, forwarded, want] of [
    ['loopback', '1.202.3.4', '1.202.3.4'],
    ['loopback', '9.9.9.9, 1.202.3.4', '1.202.3.4'],
    ['loopback', '240e:300::1', '240e:300::1'],
    ['loopback', 'unknown', '127.0.0.1'],
    ['loopback', '"><script>', '127.0.0.1'],
    ['none', '1.202.3.4', '127.0.0.1'],
    ['10.0.0.0/8', '1.202.3.4', '127.0.0.1'],
    ['127.0.0.1', '1.202.3.4', '1.202.3.4'],
  ] as const) {
    test(`X-Forwarded-For ${forwarded}, believed from ${trustProxy}: ${want}`, async () => {
      const { server, entries, fluent } = await openCollector();
      const service = await start({ fluent, trustProxy });
      await fetch(`http://127.0.0.1:${service.port}/products`, { headers: { 'x-forwarded-for': forwarded } });
      await service.stop();
      await server.close();
      assert.deepEqual(entries.find(({ tag }) => tag === 'core.access')?.record['source'], { ip: want });
    });
  }
});

describe('access log', () => {
  const access: Access = {
    action: 'payment',
    method: 'POST',
    url: '/payments',
    httpVersion: '1.1',
    status: 201,
    bytes: 80,
    ms: 12.5,
    requestId: 'r1',
    address: '1.202.3.4',
    userAgent: undefined,
    user: undefined,
    failure: undefined,
  };
  for (const [status, level, outcome] of [
    [200, 'info', 'success'],
    [304, 'info', 'success'],
    [402, 'warn', 'failure'],
    [500, 'error', 'failure'],
  ] as const) {
    test(`status ${status} is ${level}, ${outcome}`, () => {
      const { level: got, fields } = describeAccess({ ...access, status });
      assert.deepEqual([got, (fields['event'] as Record<string, unknown>)['outcome']], [level, outcome]);
    });
  }
  test('long values are cut, durations are whole nanoseconds', () => {
    const { fields } = describeAccess({ ...access, url: `/${'a'.repeat(5000)}?b`, userAgent: 'u'.repeat(5000) });
    assert.equal(JSON.stringify(fields).length < 4000, true);
    assert.equal((fields['event'] as Record<string, unknown>)['duration'], 12_500_000);
  });
  for (const [claimed, socket, want] of [
    ['1.2.3.4', '127.0.0.1', '1.2.3.4'],
    ['::ffff:1.2.3.4', undefined, '1.2.3.4'],
    ['nonsense', '::1', '::1'],
    ['', undefined, ''],
  ] as const) {
    test(`client address from ${claimed} and ${socket}`, () => assert.equal(clientAddress(claimed, socket), want));
  }
});
