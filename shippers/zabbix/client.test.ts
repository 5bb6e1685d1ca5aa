import assert from 'node:assert/strict';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { exchange, SenderClient } from './client.ts';
import { encodeFrame, encodeRequest, isFailure, parseReply, type SenderFailure, type SenderReply } from './protocol.ts';

const reply = (json: object): Buffer => encodeFrame(JSON.stringify(json));
const success = (n: number): Buffer =>
  reply({ response: 'success', info: `processed: ${n}; failed: 0; total: ${n}; seconds spent: 0.000001` });

/** A peer that does what it is told with each connection once a request has come; ended with the `using` block. */
async function peer(
  onRequest: (socket: Socket, request: Buffer) => void,
): Promise<{ host: string; port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.once('data', (request: Buffer) => onRequest(socket, request));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const kindOf = (outcome: SenderReply | SenderFailure): string => (isFailure(outcome) ? outcome.kind : outcome.response);
const FRAME = encodeFrame(encodeRequest([{ host: 'h', key: 'k', value: 'v' }]));

describe('a conversation with a trapper', () => {
  for (const [name, behave, want] of [
    ['answers', (socket) => socket.end(success(1)), 'success'],
    ['answers and keeps the connection open', (socket) => socket.write(success(1)), 'success'],
    [
      'answers in two pieces',
      (socket) => {
        socket.write(success(1).subarray(0, 20));
        setImmediate(() => socket.end(success(1).subarray(20)));
      },
      'success',
    ],
    ['answers compressed', (socket) => socket.end(encodeFrame('{"response":"success"}', { compress: true })), 'success'],
    ['closes without a word', (socket) => socket.end(), 'closed'],
    ['resets', (socket) => socket.resetAndDestroy(), 'closed'],
    ['closes in the middle', (socket) => socket.end(success(1).subarray(0, 30)), 'truncated'],
    ['stays silent', () => {}, 'timeout'],
    ['sends garbage for ever', (socket) => socket.write('HTTP/1.1 400 Bad Request'), 'protocol'],
    ['announces 4 GiB', (socket) => socket.write(Buffer.from('5a42584401ffffffff00000000', 'hex')), 'too-large'],
    ['sends no JSON', (socket) => socket.end(encodeFrame('nope')), 'json'],
  ] as readonly [string, (socket: Socket) => void, string][]) {
    test(name, async () => {
      await using server = await peer(behave);
      assert.equal(kindOf(await exchange(server, FRAME, { timeoutMs: name === 'stays silent' ? 60 : 5000 })), want);
    });
  }
  test('nobody listens', async () => {
    const server = await peer(() => {});
    await server[Symbol.asyncDispose]();
    const outcome = await exchange(server, FRAME, { timeoutMs: 5000 });
    assert.ok(isFailure(outcome));
    assert.match(outcome.message, /^cannot connect to zabbix at 127\.0\.0\.1:\d+ \(ECONNREFUSED\)$/);
  });
  test('given up', async () => {
    await using server = await peer(() => {});
    const abort = new AbortController();
    const outcome = exchange(server, FRAME, { timeoutMs: 5000, signal: abort.signal });
    abort.abort();
    assert.equal(kindOf(await outcome), 'aborted');
  });
});

describe('several servers', () => {
  const item = [{ host: 'h', key: 'k', value: 'v' }];
  test('a server that does not listen is passed over and the good one remembered', async () => {
    const dead = await peer(() => {});
    await dead[Symbol.asyncDispose]();
    await using good = await peer((socket) => socket.end(success(1)));
    const client = new SenderClient([dead, good], { timeoutMs: 2000 });
    assert.equal(kindOf(await client.send(item)), 'success');
    assert.equal(kindOf(await client.send(item)), 'success');
  });
  test('a redirect is followed and kept, its loss goes back to the list', async () => {
    let direct = 0;
    await using target = await peer((socket) => socket.end(success(1)));
    await using first = await peer((socket) => {
      direct++;
      socket.end(reply({ response: 'failed', redirect: { revision: direct, address: `127.0.0.1:${target.port}` } }));
    });
    const client = new SenderClient([first], { timeoutMs: 2000 });
    assert.equal(kindOf(await client.send(item)), 'success');
    assert.equal(kindOf(await client.send(item)), 'success');
    assert.equal(direct, 1);
  });
  test('two proxies that send us round are left', async () => {
    let revision = 0;
    await using loop = await peer((socket) =>
      socket.end(reply({ response: 'failed', redirect: { revision: ++revision, address: `127.0.0.1:${loop.port}` } })),
    );
    assert.equal(kindOf(await new SenderClient([loop], { timeoutMs: 2000 }).send(item)), 'server');
    assert.ok(revision <= 4);
  });
  test('what is sent is a request', async () => {
    let seen: Buffer = Buffer.alloc(0);
    await using server = await peer((socket, request) => {
      seen = request;
      socket.end(success(1));
    });
    await new SenderClient([server], { timeoutMs: 2000, compress: true }).send(item);
    assert.equal(seen[4], 3);
    assert.ok(!isFailure(parseReply('{"response":"success"}')));
  });
});
