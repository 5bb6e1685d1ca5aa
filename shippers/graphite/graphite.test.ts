import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import type { Output, Verdict } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, makeBatch, makeChunk, testContext, type TestContext } from '../../engine/testing/driver.ts';
import { CarbonClient } from './client.ts';
import { graphite } from './graphite.ts';

/** A carbon that keeps what it reads; `serve` may do worse. */
async function carbon(
  serve?: (socket: Socket) => void,
): Promise<{ server: Server; port: number; received: () => string; close(): Promise<void> }> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    if (serve !== undefined) return serve(socket);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', () => socket.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    server,
    port: (server.address() as AddressInfo).port,
    received: () => Buffer.concat(chunks).toString('utf8'),
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const never = new AbortController().signal;

async function deliver(config: Fields, records: readonly Fields[], attempt = 0): Promise<{ verdict: Verdict; ctx: TestContext }> {
  const ctx = testContext(graphite);
  const output = create<Output>(graphite, config, ctx);
  const half = Math.ceil(records.length / 2);
  const batches = [records.slice(0, half), records.slice(half)].map((part) =>
    makeBatch(
      part.map((record) => ({ record })),
      'app.web',
    ),
  );
  const verdict = await output.write(makeChunk(batches, attempt), never);
  await output.stop?.();
  return { verdict, ctx };
}

describe('output', () => {
  test('bad events are refused with their reason, the others are sent', async () => {
    const fake = await carbon();
    const { verdict, ctx } = await deliver({ port: fake.port, prefix: 'm.${tag}.' }, [
      { name: 'a', value: 1 },
      { name: 'b' },
      { value: 2 },
      { name: 'c', value: 'x' },
      { name: 'd', value: '4', tags: { k: 'v' } },
      { name: 'e f', value: 5.5, tags: 'none' },
    ]);
    assert.deepEqual(verdict, {
      refused: [
        { index: 1, reason: 'the field value is missing' },
        { index: 2, reason: 'the field name is missing or no text' },
        { index: 3, reason: 'the value is no finite number: "x"' },
      ],
    });
    assert.equal(fake.received(), 'm.app.web.a 1 1700000000\nm.app.web.d;k=v 4 1700000000\nm.app.web.e_f 5.5 1700000000\n');
    assert.equal(ctx.values['points'], 3);
    await fake.close();
  });

  test('nothing but bad events: no connection is made', async () => {
    const { verdict } = await deliver({ port: 1 }, [{ name: 'a' }]);
    assert.deepEqual(verdict, { refused: [{ index: 0, reason: 'the field value is missing' }] });
  });

  for (const [config, want] of [
    [{ name_keys: 'ms,bytes' }, 'app.web.ms 1.5 1700000000\napp.web.bytes 7 1700000000\n'],
    [{ name_keys: 'ms', tag_for: 'suffix' }, 'ms.app.web 1.5 1700000000\n'],
    [{ name_key_pattern: '/^b/', tag_for: 'ignore', prefix: 'p.' }, 'p.bytes 7 1700000000\n'],
  ] as const)
    test(`fields as points: ${JSON.stringify(config)}`, async () => {
      const fake = await carbon();
      const { verdict } = await deliver({ port: fake.port, ...config }, [{ ms: 1.5, bytes: 7, bad: 'text', path: '/' }]);
      assert.equal(verdict, 'delivered');
      assert.equal(fake.received(), want);
      await fake.close();
    });

  test('a field that is no number is named, the others of the event are sent', async () => {
    const fake = await carbon();
    const { verdict } = await deliver({ port: fake.port, name_keys: 'ms,bad,none' }, [{ ms: 1, bad: 'x' }, { other: 1 }]);
    assert.deepEqual(verdict, {
      refused: [
        { index: 0, reason: 'bad: the value is no finite number: "x"' },
        { index: 1, reason: 'none of the fields ms, bad, none is there' },
      ],
    });
    assert.equal(fake.received(), 'app.web.ms 1 1700000000\n');
    await fake.close();
  });

  test('nobody listens: everything again, later', async () => {
    const fake = await carbon();
    await fake.close();
    const { verdict } = await deliver({ port: fake.port }, [{ name: 'a', value: 1 }]);
    assert.deepEqual(verdict, { retry: 'all', reason: `cannot connect to 127.0.0.1:${fake.port}: ECONNREFUSED` });
  });

  test('a server that reads but never closes: again, and in the end delivered without a confirmation', async () => {
    const fake = await carbon((socket) => void socket.resume());
    const config = { port: fake.port, send_timeout: 0.05 };
    const first = await deliver(config, [{ name: 'a', value: 1 }]);
    assert.deepEqual(first.verdict, { retry: 'all', reason: `127.0.0.1:${fake.port} did not close within 50 ms` });
    const last = await deliver(config, [{ name: 'a', value: 1 }], 2);
    assert.equal(last.verdict, 'delivered');
    assert.equal(last.ctx.values['unconfirmed'], 1);
    await fake.close();
  });

  test('both ways to choose fields are one too many', () => {
    const config = graphite.config.parse({ name_keys: 'a', name_key_pattern: '/b/' });
    assert.deepEqual(graphite.check?.(config), ['name_keys and name_key_pattern cannot both be given']);
  });
});

describe('client', () => {
  const options = { host: '127.0.0.1', connectTimeoutMs: 2000, idleTimeoutMs: 2000 };
  const big = Buffer.from('metric 1 1\n'.repeat(1_000_000));

  test('a server that hangs up in the middle', async () => {
    const fake = await carbon((socket) => void socket.once('data', () => socket.destroy()));
    const failure = await new CarbonClient({ ...options, port: fake.port, confirm: true }).send(big, never);
    assert.match(failure?.message ?? '', /broke off|closed before/);
    await fake.close();
  });

  test('a server that does not read: progress is waited for, then given up', async () => {
    const fake = await carbon((socket) => void socket.pause());
    const failure = await new CarbonClient({ ...options, idleTimeoutMs: 100, port: fake.port, confirm: true }).send(big, never);
    assert.match(failure?.message ?? '', /did not read on within 100 ms/);
    assert.notEqual(failure?.isUnconfirmed, true);
    await fake.close();
  });

  test('given up by the caller', async () => {
    const fake = await carbon((socket) => void socket.pause());
    const controller = new AbortController();
    const client = new CarbonClient({ ...options, port: fake.port, confirm: true });
    const sent = client.send(big, controller.signal);
    fake.server.once('connection', () => controller.abort());
    assert.match((await sent)?.message ?? '', /given up/);
    assert.match((await client.send(big, controller.signal))?.message ?? '', /given up/);
    await fake.close();
  });

  test('a kept connection is used again, and made anew after the server has closed it', async () => {
    let ended: Socket | undefined;
    const lines: string[] = [];
    const fake = await carbon((socket) => {
      ended = socket;
      socket.on('data', (chunk) => lines.push(chunk.toString()));
    });
    const client = new CarbonClient({ ...options, port: fake.port, confirm: false });
    assert.equal(await client.send(Buffer.from('a 1 1\n'), never), undefined);
    assert.equal(await client.send(Buffer.from('b 1 1\n'), never), undefined);
    assert.equal(client.connections, 1);
    while (lines.join('') !== 'a 1 1\nb 1 1\n') await new Promise((resolve) => setImmediate(resolve));
    ended?.end();
    await once(ended as Socket, 'close');
    assert.equal(await client.send(Buffer.from('c 1 1\n'), never), undefined);
    assert.equal(client.connections, 2);
    while (!lines.join('').endsWith('c 1 1\n')) await new Promise((resolve) => setImmediate(resolve));
    client.close();
    await fake.close();
  });

  test('probe', async () => {
    const fake = await carbon();
    const client = new CarbonClient({ ...options, port: fake.port, confirm: true });
    assert.equal(await client.probe(never), undefined);
    await fake.close();
    assert.match((await client.probe(never))?.message ?? '', /ECONNREFUSED/);
  });
});
