/** The examples that need no server but a small one of the test's own, run as their first lines say. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cli, endAll, eventually, startMillrace, type Environment, type Running } from './mission-process.ts';

const EXAMPLES = resolve(import.meta.dirname, '..', '..', 'examples');
const WAIT_MS = 30_000;

describe('examples', { concurrency: 2 }, () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-examples-'));
  });
  after(async () => {
    await endAll();
    rmSync(folder, { recursive: true, force: true });
  });

  /** With free ports in place of the usual ones. */
  const start = (name: string, env: Environment): Promise<Running> => {
    const text = readFileSync(join(EXAMPLES, name), 'utf8');
    const file = join(folder, name);
    const isYaml = name.endsWith('.yaml');
    writeFileSync(file, isYaml ? `system: { port: 0 }\n${text}` : `<system>\n  port 0\n</system>\n${text}`);
    return startMillrace(['-c', file], join(folder, `data-${name}`), env);
  };
  const portOf = async (running: Running, kind: string): Promise<number> => {
    const { components } = await running.status();
    const [address] = components.filter(({ type }) => type === kind).flatMap((each) => each.addresses ?? []);
    return Number(address?.split(':').at(-1));
  };
  const finish = async (running: Running): Promise<void> => {
    const { imbalances } = await running.status();
    assert.deepEqual(imbalances, []);
    const { code, err } = await running.stop();
    assert.equal(code, 0, err);
    assert.doesNotMatch(err, /"level":"(error|warn)"/);
  };

  test('nginx-to-stdout.conf', async () => {
    const log = join(folder, 'nginx.log');
    writeFileSync(log, '36.16.0.1 - - [03/Mar/2025:10:00:00 +0800] "GET /%E5%9F%BA%E9%87%91 HTTP/1.1" 200 5 "-" "curl/8"\n');
    const running = await start('nginx-to-stdout.conf', { ACCESS_LOG: log });
    const line = await eventually('an event', WAIT_MS, () => Promise.resolve(/^.*"remote".*\n/m.exec(running.out())?.[0]));
    assert.match(line, /"remote":"36\.16\.0\.1".*"country_iso_code":"CN"/);
    await finish(running);
  });

  test('gbk-errors-to-file.yaml', async () => {
    const logs = join(folder, 'bank');
    mkdirSync(logs);
    // In GBK: 支付失败, 登录成功.
    const failed = Buffer.from([0xd6, 0xa7, 0xb8, 0xb6, 0xca, 0xa7, 0xb0, 0xdc]);
    const logged = Buffer.from([0xb5, 0xc7, 0xc2, 0xbc, 0xb3, 0xc9, 0xb9, 0xa6]);
    const lines = [failed, logged, failed].map((text) =>
      Buffer.concat([Buffer.from('2025-03-03 10:00:00 WARN '), text, Buffer.from('\n')]),
    );
    writeFileSync(join(logs, 'pay.log'), Buffer.concat(lines));
    const running = await start('gbk-errors-to-file.yaml', { BANK_LOGS: logs, OUTPUT: join(folder, 'bank-out') });
    const texts = await eventually('two lines', WAIT_MS, () => {
      const names = readdirSync(folder).filter((name) => name.startsWith('bank-out.'));
      const all = names.flatMap((name) => readFileSync(join(folder, name), 'utf8').trim().split('\n'));
      return Promise.resolve(all.length >= 2 ? all : undefined);
    });
    assert.deepEqual(
      texts.map((text) => JSON.parse(text) as unknown),
      [1, 2].map(() => ({ level: 'WARN', message: '支付失败', file: join(logs, 'pay.log') })),
    );
    await finish(running);
  });

  test('http-syslog-java-to-stdout.conf', async () => {
    const log = join(folder, 'app.log');
    writeFileSync(log, '2025-03-03 10:00:00 [main] ERROR 支付失败\n\tat cn.shop.Pay.charge(Pay.java:42)\n');
    const running = await start('http-syslog-java-to-stdout.conf', { JAVA_LOG: log, HTTP_PORT: '0', SYSLOG_PORT: '0' });
    const url = `http://127.0.0.1:${await portOf(running, 'http')}/app.web`;
    const headers = { 'content-type': 'application/json' };
    assert.equal((await fetch(url, { method: 'POST', headers, body: '{"message":"订单"}' })).status, 200);
    assert.equal((await fetch(url, { method: 'POST', headers, body: '{' })).status, 400);
    const client = createSocket('udp4');
    const message = '<134>1 2025-03-03T10:00:00Z web1 pay 7 - - 余额不足';
    await new Promise<unknown>(
      (done) => void portOf(running, 'syslog').then((port) => client.send(message, port, '127.0.0.1', done)),
    );
    client.close();
    const out = await eventually('three events', WAIT_MS, () =>
      Promise.resolve(running.out().trim().split('\n').length >= 3 ? running.out() : undefined),
    );
    assert.match(out, /\{"message":"订单"/);
    assert.match(out, /"ident":"pay".*"message":"余额不足".*"severity":"info"/);
    assert.match(out, /"message":"支付失败\\n\\tat cn\.shop\.Pay\.charge\(Pay\.java:42\)"/);
    const { imbalances } = await running.status();
    assert.deepEqual(imbalances, []);
    const { code, err } = await running.stop();
    assert.equal(code, 0, err);
  });

  test('statsd-to-graphite.yaml', async () => {
    let points = '';
    const sockets = new Set<Socket>();
    const carbon = createServer((socket) => {
      sockets.add(socket);
      socket.setEncoding('utf8').on('data', (text: string) => (points += text));
    })
      .listen(0, '127.0.0.1')
      .unref();
    await new Promise((done) => carbon.once('listening', done));
    const running = await start('statsd-to-graphite.yaml', {
      STATSD_PORT: '0',
      GRAPHITE_PORT: String((carbon.address() as AddressInfo).port),
    });
    const port = await portOf(running, 'statsd');
    const client = createSocket('udp4');
    await new Promise((done) => client.send('orders:3|c\npay:20|ms\npay:40|ms', port, '127.0.0.1', done));
    client.close();
    await eventually('the lines are taken', WAIT_MS, async () => {
      const { components } = await running.status();
      return (components.find(({ type }) => type === 'statsd')?.metrics['lines'] ?? 0) >= 3 || undefined;
    });
    // The end flushes what is there.
    await finish(running);
    for (const pattern of [
      /^stats_counts\.orders 3 \d+$/m,
      /^stats\.timers\.pay\.upper_95 40 \d+$/m,
      /^stats\.timers\.pay\.mean 30 \d+$/m,
    ])
      assert.match(points, pattern);
    for (const socket of sockets) socket.destroy();
    carbon.close();
  });

  test('forward-to-elasticsearch.conf', async () => {
    const bodies: string[] = [];
    const server = createHttpServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        response.setHeader('content-type', 'application/json');
        if (!request.url?.includes('_bulk')) return response.end('{"version":{"number":"8.19.0"}}');
        bodies.push(body);
        const items = body
          .trim()
          .split('\n')
          .filter((_, n) => n % 2 === 0)
          .map(() => ({ create: { status: 201 } }));
        return response.end(JSON.stringify({ errors: false, items }));
      });
    })
      .listen(0, '127.0.0.1')
      .unref();
    await new Promise((done) => server.once('listening', done));
    const running = await start('forward-to-elasticsearch.conf', {
      FORWARD_PORT: '0',
      ELASTICSEARCH_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      PREFIX: 'app',
    });
    await emit(await portOf(running, 'forward'), { message: '订单' });
    await eventually('a bulk request', WAIT_MS, () => Promise.resolve(bodies.length > 0 || undefined));
    await finish(running);
    const [action = '', document = ''] = bodies.join('').split('\n');
    assert.match(action, /^\{"create":\{"_id":"[0-9a-v]{32}","_index":"app-\d{4}\.\d\d\.\d\d"\}\}$/);
    const { message, tag } = JSON.parse(document) as { message: string; tag: string };
    assert.deepEqual([message, tag], ['订单', 'app.orders']);
    server.closeAllConnections();
    server.close();
  });

  test('the one-liners of the help', async () => {
    const log = join(folder, 'access.log');
    writeFileSync(log, '36.16.0.1 - - [03/Mar/2025:10:00:00 +0800] "GET / HTTP/1.1" 200 5 "-" "curl/8"\n'.repeat(3));
    const words = ['run', '--from', `tail:${log}`, '--format', 'apache2', '--once', '--to', 'stdout'];
    const { code, out, err } = await cli(words);
    assert.equal(code, 0, err);
    assert.equal(out.trim().split('\n').length, 3);
    const toFile = await cli([...words.slice(0, -1), `file:${join(folder, 'out.ndjson')}`]);
    assert.equal(toFile.code, 0, toFile.err);
    assert.equal(readFileSync(join(folder, 'out.ndjson'), 'utf8').trim().split('\n').length, 3);
  });
});

/** Through `fluent-logger`, until it is acknowledged. */
async function emit(port: number, record: object): Promise<void> {
  interface Sender {
    emit(label: string, record: object, done: (error?: Error) => void): void;
    end(label: null, data: null, done: () => void): void;
  }
  const library = createRequire(import.meta.url)('fluent-logger') as { createFluentSender(tag: string, options: object): Sender };
  const sender = library.createFluentSender('app', { host: '127.0.0.1', port, requireAckResponse: true });
  await new Promise<void>((done, fail) => sender.emit('orders', record, (error) => (error ? fail(error) : done())));
  await new Promise<void>((done) => sender.end(null, null, done));
}
