import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import type { Chunk, Output, Verdict } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';
import { decode, skipValue } from '../../engine/events/msgpack.ts';
import { create, makeBatch, makeChunk, readBatch, testContext, type TestContext } from '../../engine/testing/driver.ts';
import { forward } from './forward.ts';

interface Message {
  readonly tag: string;
  readonly records: readonly Fields[];
  readonly size: number;
  readonly compressed: string | undefined;
  readonly chunk: string | undefined;
}

interface FakeServer {
  readonly port: number;
  readonly messages: Message[];
  connections: number;
  /** Resolves when so many messages have come in all. */
  received(count: number): Promise<void>;
  close(): Promise<void>;
}

const never = new AbortController().signal;
const ending: (() => unknown)[] = [];

const pack = (value: unknown): Buffer => {
  const into = new ByteWriter(64);
  writeValue(into, value);
  return into.copy();
};
const ack = (socket: Socket, { chunk }: Message): void => void socket.write(pack({ ack: chunk }));

/** Reads requests and does with each what the test says; by default it acknowledges. */
async function fakeServer(onMessage = ack, onConnect: (socket: Socket) => void = () => undefined): Promise<FakeServer> {
  const sockets = new Set<Socket>();
  const waiters = new Set<() => void>();
  const server = createServer((socket) => {
    fake.connections++;
    sockets.add(socket);
    socket.on('error', () => undefined);
    onConnect(socket);
    let kept: Buffer = Buffer.alloc(0);
    socket.on('data', (data: Buffer) => {
      kept = Buffer.concat([kept, data]);
      for (let end = skipValue(kept, 0, kept.length); end > 0; end = skipValue(kept, 0, kept.length)) {
        const message = read(kept.subarray(0, end));
        kept = kept.subarray(end);
        fake.messages.push(message);
        for (const wake of waiters) wake();
        onMessage(socket, message);
        if (kept.length === 0) break;
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const fake: FakeServer = {
    port: (server.address() as AddressInfo).port,
    messages: [],
    connections: 0,
    async received(count) {
      while (fake.messages.length < count) await new Promise<void>((resolve) => waiters.add(resolve));
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      if (!server.listening) return;
      server.close();
      await once(server, 'close');
    },
  };
  ending.push(() => fake.close());
  return fake;
}

function read(bytes: Buffer): Message {
  // The body is a text on the wire that holds anything: taken out before the rest is decoded.
  assert.equal(bytes[0], 0x93);
  const bodyAt = skipValue(bytes, 1, bytes.length);
  assert.equal(bytes[bodyAt], 0xdb, 'the body is str 32, as Fluentd writes it');
  const optionAt = skipValue(bytes, bodyAt, bytes.length);
  const tag = decode(bytes, 1, bodyAt) as string;
  const option = decode(bytes, optionAt) as { size: number; compressed?: string; chunk?: string };
  const wire = bytes.subarray(bodyAt + 5, optionAt);
  const body = option.compressed === 'gzip' ? gunzipSync(wire) : wire;
  const batch = { tag, bytes: body, start: 0, end: body.length, count: option.size };
  return {
    tag,
    records: readBatch(batch).map(({ record }) => record),
    size: option.size,
    compressed: option.compressed,
    chunk: option.chunk,
  };
}

function makeOutput(config: Fields, servers: readonly (FakeServer | Fields)[]): { output: Output; ctx: TestContext } {
  const ctx = testContext(forward);
  const server = servers.map((one) => ('messages' in one ? { host: '127.0.0.1', port: one['port'] } : one));
  const output = create<Output>(forward, { ...config, server }, ctx);
  ending.push(() => output.stop?.());
  return { output, ctx };
}

const chunkOf = (tags: Readonly<Record<string, readonly Fields[]>>, attempt = 0): Chunk =>
  makeChunk(
    Object.entries(tags).map(([tag, records]) =>
      makeBatch(
        records.map((record) => ({ record })),
        tag,
      ),
    ),
    attempt,
  );

const ACKS = { require_ack_response: true };
const ONE = chunkOf({ 'app.web': [{ message: '你好', n: 1 }, { n: 2 }] });

/** The verdict without the port, which is another one each time. */
const plain = (verdict: Verdict): unknown =>
  verdict === 'delivered' ? verdict : { ...verdict, reason: verdict.reason?.replaceAll(/127\.0\.0\.1:\d+/g, 'SERVER') };

describe('forward', () => {
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  for (const compress of ['text', 'gzip'] as const)
    test(`one request per tag, ${compress}`, async () => {
      const server = await fakeServer();
      const { output, ctx } = makeOutput({ ...ACKS, compress }, [server]);
      const batches = [...chunkOf({ a: [{ n: 1 }], b: [{ n: 2 }] }).batches, ...chunkOf({ a: [{ message: '北京' }] }).batches];
      assert.equal(await output.write(makeChunk(batches), never), 'delivered');
      const seen = server.messages.map(({ chunk: _chunk, ...message }) => message);
      const compressed = compress === 'gzip' ? 'gzip' : undefined;
      assert.deepEqual(seen, [
        { tag: 'a', records: [{ n: 1 }, { message: '北京' }], size: 2, compressed },
        { tag: 'b', records: [{ n: 2 }], size: 1, compressed },
      ]);
      const ids = server.messages.map(({ chunk }) => chunk ?? '');
      assert.equal(new Set(ids).size, 2);
      for (const id of ids) assert.match(id, /^[A-Za-z0-9+/]{22}==$/);
      assert.equal(server.connections, 1);
      assert.equal(ctx.values['requests'], 2);
    });

  test('without acknowledgements no id is sent, and a server that reads to the end has it', async () => {
    const server = await fakeServer(() => undefined);
    const { output } = makeOutput({}, [server]);
    assert.equal(await output.write(ONE, never), 'delivered');
    assert.deepEqual(
      server.messages.map(({ chunk, records }) => [chunk, records.length]),
      [[undefined, 2]],
    );
  });

  test('an empty chunk needs no server', async () => {
    const { output } = makeOutput(ACKS, [{ host: '127.0.0.1', port: 1 }]);
    assert.equal(await output.write(makeChunk([]), never), 'delivered');
  });

  for (const [name, config, onMessage, reason] of [
    [
      'an id that was not sent',
      ACKS,
      (socket: Socket) => void socket.write(pack({ ack: 'other' })),
      'SERVER acknowledged something that was not sent',
    ],
    [
      'the id twice',
      ACKS,
      (socket: Socket, { chunk }: Message) =>
        void socket.write(Buffer.concat([pack({ ack: `${chunk}\n` }), pack({ ack: chunk })])),
      'SERVER acknowledged something that was not sent',
    ],
    [
      'a close in place of an answer',
      ACKS,
      (socket: Socket) => void socket.end(),
      'SERVER closed the connection before it had acknowledged everything',
    ],
    ['a reset', ACKS, (socket: Socket) => void socket.resetAndDestroy(), 'SERVER broke off (ECONNRESET)'],
    [
      'a reset, no acknowledgement asked for',
      {},
      (socket: Socket) => void socket.resetAndDestroy(),
      'SERVER broke off (ECONNRESET)',
    ],
    [
      'an answer of another protocol',
      ACKS,
      (socket: Socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      'SERVER sent an answer that is no acknowledgement',
    ],
    [
      'an endless answer',
      ACKS,
      (socket: Socket) => void socket.write(Buffer.concat([Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(100_000)])),
      'SERVER sent an endless answer',
    ],
    [
      'a greeting',
      ACKS,
      (socket: Socket) => void socket.write(pack(['HELO', { nonce: 'x', auth: '' }])),
      'SERVER asks for a handshake (<security>), which millrace cannot do yet',
    ],
    [
      'a greeting, no acknowledgement asked for',
      {},
      (socket: Socket) => void socket.write(pack(['HELO', {}])),
      'SERVER asks for a handshake (<security>), which millrace cannot do yet',
    ],
  ] as const)
    test(`${name}: everything again`, async () => {
      const server = await fakeServer(onMessage);
      const { output, ctx } = makeOutput(config, [server]);
      assert.deepEqual(plain(await output.write(ONE, never)), { retry: 'all', reason });
      assert.equal(ctx.values['failures'], 1);
      assert.equal(ctx.values['servers_down'], 1);
    });

  test('no answer in time: again, under the same id', async () => {
    let isDeaf = true;
    const server = await fakeServer((socket, message) => {
      if (!isDeaf) ack(socket, message);
    });
    const { output, ctx } = makeOutput({ ...ACKS, ack_response_timeout: 5 }, [server]);
    const seen: Verdict[] = [];
    void output.write(ONE, never).then((verdict) => seen.push(verdict));
    await server.received(1);
    // The deadline runs from the moment the last byte has left, which the server may see earlier than we do.
    while (seen.length === 0) {
      await new Promise((resolve) => setImmediate(resolve));
      ctx.clock.advance(5000);
    }
    assert.deepEqual(seen.map(plain), [
      {
        retry: 'all',
        reason: 'SERVER did not acknowledge within 5000 ms (ack_response_timeout)',
      },
    ]);
    isDeaf = false;
    assert.equal(await output.write({ ...ONE, attempt: 1 }, never), 'delivered');
    assert.equal(server.messages[0]?.chunk, server.messages[1]?.chunk);
    assert.equal(ctx.values['servers_down'], 0);
  });

  test('what was acknowledged is not sent again; the rest keeps its ids in the chunk that is left of it', async () => {
    let answers = 2;
    const server = await fakeServer((socket, message) => {
      if (answers-- > 0) ack(socket, message);
      else socket.end();
    });
    const { output } = makeOutput(ACKS, [server]);
    const place = { incarnation: 7n, segment: 1_700_000_000_000, enteredMs: 0 };
    const batches = ['a', 'b', 'c', 'a', 'd'].map((tag, n) => ({
      ...makeBatch([{ record: { n } }], tag),
      place: { ...place, offset: n * 100 },
    }));
    assert.deepEqual(plain(await output.write(makeChunk(batches), never)), {
      retry: [2, 4],
      reason: 'SERVER closed the connection before it had acknowledged everything',
    });
    const before = new Map(server.messages.map(({ tag, chunk }) => [tag, chunk]));
    answers = 9;
    server.messages.length = 0;
    const rest = { ...makeChunk([batches[2], batches[4]].filter((batch) => batch !== undefined)), id: 'ff'.repeat(16) };
    assert.equal(await output.write(rest, never), 'delivered');
    assert.deepEqual(
      server.messages.map(({ tag, chunk }) => [tag, chunk]),
      [
        ['c', before.get('c')],
        ['d', before.get('d')],
      ],
    );
  });

  test('a server that does not read', async () => {
    const server = await fakeServer(undefined, (socket) => void socket.pause());
    const { output } = makeOutput({ ...ACKS, send_timeout: '50ms' }, [server]);
    const big = chunkOf({ t: [{ big: 'x'.repeat(20_000_000) }] });
    assert.deepEqual(plain(await output.write(big, never)), { retry: 'all', reason: 'SERVER did not read on within 50 ms' });
  });

  test('the end of the pipeline ends the waiting', async () => {
    const server = await fakeServer(() => undefined);
    const { output, ctx } = makeOutput(ACKS, [server]);
    const abort = new AbortController();
    const written = output.write(ONE, abort.signal);
    await server.received(1);
    abort.abort();
    assert.deepEqual(plain(await written), { retry: 'all', reason: 'SERVER was given up: the pipeline stops' });
    assert.equal(ctx.values['failures'], 0);
  });

  describe('connections', () => {
    for (const [name, config, want] of [
      ['one for each chunk', ACKS, 3],
      ['one for all', { ...ACKS, keepalive: true }, 1],
      ['one for all, without acknowledgements', { keepalive: true }, 1],
    ] as const)
      test(name, async () => {
        const server = await fakeServer((socket, message) => {
          if (message.chunk !== undefined) ack(socket, message);
        });
        const { output, ctx } = makeOutput(config, [server]);
        for (let n = 0; n < 3; n++) assert.equal(await output.write(chunkOf({ t: [{ n }] }), never), 'delivered');
        await server.received(3);
        assert.deepEqual([server.connections, ctx.values['connections']], [want, want]);
      });

    test('one that was idle for too long is closed', async () => {
      const ends: Promise<unknown>[] = [];
      const server = await fakeServer(ack, (socket) => void ends.push(once(socket, 'close')));
      const { output, ctx } = makeOutput({ ...ACKS, keepalive: true, keepalive_timeout: 20 }, [server]);
      assert.equal(await output.write(ONE, never), 'delivered');
      ctx.clock.advance(20_000);
      await ends[0];
      assert.equal(await output.write(ONE, never), 'delivered');
      assert.equal(server.connections, 2);
    });

    test('two chunks at the same time have one each', async () => {
      const held: (() => void)[] = [];
      const server = await fakeServer((socket, message) => void held.push(() => ack(socket, message)));
      const { output } = makeOutput({ ...ACKS, keepalive: true }, [server]);
      const both = [output.write(chunkOf({ a: [{ n: 1 }] }), never), output.write(chunkOf({ b: [{ n: 2 }] }), never)];
      await server.received(2);
      for (const release of held.reverse()) release();
      assert.deepEqual(await Promise.all(both), ['delivered', 'delivered']);
      assert.equal(server.connections, 2);
    });
  });

  describe('several servers', () => {
    test('nobody listens on the first: the next one has it at once', async () => {
      const gone = await fakeServer();
      await gone.close();
      const server = await fakeServer();
      const { output, ctx } = makeOutput(ACKS, [gone, server]);
      for (let n = 0; n < 3; n++) assert.equal(await output.write(chunkOf({ t: [{ n }] }), never), 'delivered');
      assert.equal(server.messages.length, 3);
      assert.equal(ctx.values['failures'], 1, 'it is not tried again while another one works');
      assert.deepEqual(
        ctx.lines.map(({ message }) => message),
        ['a server failed, the others take its share'],
      );
    });

    test('what may have arrived is not sent to the next one before the wait', async () => {
      const broken = await fakeServer((socket) => void socket.destroy());
      const server = await fakeServer();
      const { output } = makeOutput(ACKS, [broken, server]);
      assert.notEqual(await output.write(ONE, never), 'delivered');
      assert.deepEqual([broken.messages.length, server.messages.length], [1, 0]);
      assert.equal(await output.write({ ...ONE, attempt: 1 }, never), 'delivered');
      assert.deepEqual([broken.messages.length, server.messages.length], [1, 1]);
    });

    test('nobody listens at all: every reason is named', async () => {
      const [first, second] = [await fakeServer(), await fakeServer()];
      await first.close();
      await second.close();
      const { output } = makeOutput(ACKS, [first, { host: '127.0.0.1', port: second.port, name: 'spare', standby: true }]);
      assert.deepEqual(plain(await output.write(ONE, never)), {
        retry: 'all',
        reason: 'SERVER cannot be reached: ECONNREFUSED; spare (SERVER) cannot be reached: ECONNREFUSED',
      });
      await assert.rejects(output.probe?.(never) ?? Promise.resolve(), /cannot be reached: ECONNREFUSED; spare/);
    });

    for (const type of ['transport', 'none'] as const)
      test(`a server that is back gets its share again after recover_wait, heartbeat_type ${type}`, async () => {
        let isBroken = true;
        let heartbeats = 0;
        const flaky = await fakeServer(
          (socket, message) => (isBroken ? socket.destroy() : ack(socket, message)),
          (socket) => socket.once('end', () => heartbeats++),
        );
        const server = await fakeServer();
        const { output, ctx } = makeOutput({ ...ACKS, heartbeat_type: type, recover_wait: 10 }, [flaky, server]);
        await output.start?.();
        assert.notEqual(await output.write(ONE, never), 'delivered');
        isBroken = false;
        ctx.clock.advance(9000);
        for (let n = 0; n < 3; n++) assert.equal(await output.write(chunkOf({ t: [{ n }] }), never), 'delivered');
        assert.equal(flaky.messages.length, 1);
        ctx.clock.advance(1000);
        // The heartbeat is a connection that the server sees come and go.
        if (type === 'transport') while (ctx.values['servers_down'] !== 0) await new Promise((resolve) => setImmediate(resolve));
        for (let n = 0; n < 4; n++) assert.equal(await output.write(chunkOf({ t: [{ n }] }), never), 'delivered');
        assert.equal(flaky.messages.length, 3);
        assert.ok(type === 'none' || heartbeats >= 1);
        assert.equal(ctx.lines.at(-1)?.message, 'a server works again');
      });
  });

  test('a probe finds a server that wants a handshake', async () => {
    const server = await fakeServer(undefined, (socket) => void socket.write(pack(['HELO', { nonce: 'n', auth: 'a' }])));
    const { output } = makeOutput({}, [server]);
    await assert.rejects(output.probe?.(never) ?? Promise.resolve(), /asks for a handshake/);
  });

  test('a probe of a server that works', async () => {
    const server = await fakeServer();
    const { output } = makeOutput({ keepalive: true }, [server]);
    await output.probe?.(never);
    assert.equal(server.messages.length, 0);
  });

  test('stop works twice and without start', async () => {
    const { output } = makeOutput({}, [{ host: '127.0.0.1' }]);
    await output.stop?.();
    await output.stop?.();
  });
});

describe('configuration', () => {
  const server = { host: 'h' };
  for (const [input, want] of [
    [{ server: [server] }, []],
    [{ server: [server], phi_threshold: '16', read_interval_msec: '50', heartbeat_type: 'udp' }, []],
    [
      { server: [server], transport: 'tls' },
      ['transport tls: TLS is not supported yet; leave transport out to send in the clear'],
    ],
    [
      { server: [server], security: [{ shared_key: 'x' }] },
      ['<security>, shared_key and username: the handshake with shared keys is not supported yet'],
    ],
    [
      { server: [{ ...server, shared_key: 'x' }] },
      ['<security>, shared_key and username: the handshake with shared keys is not supported yet'],
    ],
    [
      { server: [server], service_discovery: [{ '@type': 'file' }] },
      ['<service_discovery> is not supported yet; name each server in a <server> section'],
    ],
    [{ server: [{ ...server, weight: 0 }] }, ['every <server> has weight 0, so none would be used']],
  ] as const)
    test(JSON.stringify(input), () => assert.deepEqual(forward.check?.(forward.config.parse(input)), want));

  for (const input of [
    {},
    { server: [{}] },
    { server: [server], compress: 'zstd' },
    { server: [server], ack_response_timeout: 0 },
  ])
    test(`${JSON.stringify(input)} is refused`, () => assert.equal(forward.config.safeParse(input).success, false));
});
