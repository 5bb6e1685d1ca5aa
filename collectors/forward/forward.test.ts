import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import type { Ack, Source } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import type { Batch, Fields } from '../../engine/events/batch.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { writePackedForward } from '../../engine/events/forward.ts';
import { decode } from '../../engine/events/msgpack.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';
import { create, makeBatch, testContext, type TestContext, type TestContextOptions } from '../../engine/testing/driver.ts';
import { Spares } from './connection.ts';
import { forward } from './forward.ts';
import { ForwardSession } from './session.ts';

const pack = (value: unknown): Buffer => {
  const into = new ByteWriter(64);
  writeValue(into, value);
  return into.copy();
};

const ending: (() => unknown)[] = [];

interface Open {
  readonly ctx: TestContext<(typeof forward)['metrics']>;
  readonly source: Source;
  readonly port: number;
  readonly client: () => Promise<Socket>;
}

async function open(config: Fields = {}, options: TestContextOptions = {}): Promise<Open> {
  const ctx = testContext(forward, options);
  const source = create<Source>(forward, { port: 0, ...config }, ctx);
  ending.push(() => source.stop());
  await source.start();
  const port = Number(source.addresses?.()[0]?.split(':').at(-1));
  return {
    ctx,
    source,
    port,
    client: async () => {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => undefined);
      ending.push(() => socket.destroy());
      await once(socket, 'connect');
      return socket;
    },
  };
}

/** What the server answers, or undefined when it closes instead. */
async function answer(socket: Socket): Promise<unknown> {
  const data = await new Promise<Buffer | undefined>((done) => {
    socket.once('data', done);
    socket.once('close', () => done(undefined));
  });
  return data === undefined ? undefined : decode(data);
}

/** Resolves when the connection is over, in whatever way. */
const closing = (socket: Socket): Promise<void> => new Promise((resolve) => void socket.once('close', () => resolve()));

describe('the forward input', () => {
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end();
  });

  for (const [name, config, tag, record] of [
    ['as it comes', {}, 'app', { n: 1 }],
    ['a prefix', { add_tag_prefix: 'remote' }, 'remote.app', { n: 1 }],
    ['another tag', { tag: 'all' }, 'all', { n: 1 }],
    ['another tag with a prefix', { tag: 'all', add_tag_prefix: 'x' }, 'x.all', { n: 1 }],
    ['the address', { source_address_key: 'from' }, 'app', { n: 1, from: '127.0.0.1' }],
    ['the address in place of a field', { source_address_key: 'n' }, 'app', { n: '127.0.0.1' }],
    [
      'the name, which is not looked up',
      { source_hostname_key: 'host', resolve_hostname: false },
      'app',
      { n: 1, host: '127.0.0.1' },
    ],
  ] as const)
    test(`an event ${name}`, async () => {
      const { ctx, client } = await open(config);
      (await client()).write(pack(['app', 1_700_000_000, { n: 1 }]));
      const [event] = await ctx.waitForEvents(1);
      assert.deepEqual([event?.tag, event?.record], [tag, record]);
    });

  test('a late acknowledgement names its own chunk, although other bytes have come into the same buffer', () => {
    const acks: (Ack | undefined)[] = [];
    const ctx = testContext(forward, { emit: (_batch, ack) => acks.push(ack) > 0 });
    const answers: unknown[] = [];
    const peer = { write: (bytes: Buffer) => void answers.push(decode(bytes)), end: () => undefined, destroy: () => undefined };
    const options = forward.config.parse({});
    const session = new ForwardSession(options, ctx, { address: '', hostname: '' }, peer, () => undefined, new Spares());
    for (const chunk of ['first', 'other', 'third']) {
      const bytes = pack(['t', 1, { n: 1 }, { chunk }]);
      session.push(bytes.subarray(0, 5));
      session.push(bytes.subarray(5));
    }
    for (const ack of acks) ack?.();
    assert.deepEqual(answers, [{ ack: 'first' }, { ack: 'other' }, { ack: 'third' }]);
  });

  test('a chunk is acknowledged when it is safe, not before', async () => {
    const acks: (Ack | undefined)[] = [];
    const taken = Promise.withResolvers<void>();
    const { ctx, client } = await open(
      {},
      {
        emit: (_batch: Batch, ack) => {
          acks.push(ack);
          taken.resolve();
          return true;
        },
      },
    );
    const socket = await client();
    let isAnswered = false;
    const answered = answer(socket).then((reply) => {
      isAnswered = true;
      return reply;
    });
    socket.write(writePackedForward('t', [makeBatch([{ record: { n: 1 } }])], 'id 1\n', undefined));
    await taken.promise;
    for (let n = 0; n < 3; n++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isAnswered, false);
    acks[0]?.();
    assert.deepEqual(await answered, { ack: 'id 1\n' });
    assert.equal(ctx.values['acks'], 1);
  });

  test('a chunk that could not be kept: the connection is cut, so that it is sent again', async () => {
    const { client } = await open(
      {},
      {
        emit: (_batch, ack) => {
          ack?.(new MillraceError('MR_DISK', 'full'));
          return true;
        },
      },
    );
    const socket = await client();
    socket.write(pack(['t', 1, { n: 1 }, { chunk: 'x' }]));
    assert.equal(await answer(socket), undefined);
  });

  test('a full log: nothing more is read until it is ready', async () => {
    const room = Promise.withResolvers<void>();
    const { ctx, client } = await open(
      {},
      {
        emit: (_batch, ack) => {
          ack?.();
          return false;
        },
      },
    );
    ctx.ready = () => room.promise;
    const socket = await client();
    socket.write(pack(['t', 1, { n: 1 }, { chunk: 'a' }]));
    // What came is taken and acknowledged; the next one stays in the socket.
    assert.deepEqual(await answer(socket), { ack: 'a' });
    socket.write(pack(['t', 1, { n: 2 }, { chunk: 'b' }]));
    const second = answer(socket);
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(ctx.events().length, 1);
    room.resolve();
    assert.deepEqual(await second, { ack: 'b' });
    assert.equal(ctx.events().length, 2);
  });

  test('events that are none are counted, and acknowledged: sending them again would not help', async () => {
    const { ctx, client } = await open();
    const socket = await client();
    socket.write(
      pack([
        't',
        [
          [1, 'text'],
          ['x', {}],
          [1, { n: 3 }],
        ],
        { chunk: 'c' },
      ]),
    );
    assert.deepEqual(await answer(socket), { ack: 'c' });
    assert.deepEqual(ctx.drops, { 'invalid event': 2 });
    assert.equal(ctx.events().length, 1);
  });

  test('skip_invalid_event false: the connection is cut', async () => {
    const { ctx, client } = await open({ skip_invalid_event: false });
    const socket = await client();
    socket.write(pack(['t', [[1, 'text']], { chunk: 'c' }]));
    assert.equal(await answer(socket), undefined);
    assert.equal(ctx.values['bad_messages'], 1);
  });

  test('a message beyond chunk_size_limit is not kept and not acknowledged; the next one is', async () => {
    const { ctx, client } = await open({ chunk_size_limit: '1k' });
    const socket = await client();
    socket.write(
      Buffer.concat([pack(['t', 1, { big: 'x'.repeat(2000) }, { chunk: 'big' }]), pack(['t', 1, { n: 1 }, { chunk: 'small' }])]),
    );
    assert.deepEqual(await answer(socket), { ack: 'small' });
    assert.equal(ctx.values['oversize_messages'], 1);
    assert.equal(ctx.lines.find(({ level }) => level === 'error')?.message, 'message larger than chunk_size_limit, not kept');
  });

  test('one that sends rubbish is cut off, the others are not, and the log is not flooded', async () => {
    const { ctx, client } = await open();
    const good = await client();
    for (let n = 0; n < 20; n++) {
      const bad = await client();
      bad.write(Buffer.of(0xc1));
      assert.equal(await answer(bad), undefined);
    }
    good.write(pack(['t', 1, { n: 1 }, { chunk: 'c' }]));
    assert.deepEqual(await answer(good), { ack: 'c' });
    assert.equal(ctx.values['bad_messages'], 20);
    assert.equal(ctx.lines.length, 5);
  });

  test('JSON is answered in JSON', async () => {
    const { client } = await open();
    const socket = await client();
    socket.write('["t",1,{"message":"你好"},{"chunk":"c"}]');
    const [data] = (await once(socket, 'data')) as [Buffer];
    assert.deepEqual(JSON.parse(data.toString('utf8')), { ack: 'c' });
  });

  test('deny_keepalive: the connection ends after its first message', async () => {
    const { client } = await open({ deny_keepalive: true });
    const socket = await client();
    socket.write(pack(['t', 1, { n: 1 }, { chunk: 'c' }]));
    const closed = once(socket, 'close');
    assert.deepEqual(await answer(socket), { ack: 'c' });
    await closed;
  });

  test('more connections than max_connections are closed at once', async () => {
    const { ctx, client } = await open({ max_connections: 1 });
    const first = await client();
    first.write(pack(['t', 1, { n: 1 }]));
    await ctx.waitForEvents(1);
    const second = await client();
    assert.equal(await answer(second), undefined);
    assert.equal(ctx.values['connections'], 1);
    assert.equal(ctx.values['refused_connections'], 1);
    first.write(pack(['t', 1, { n: 2 }]));
    await ctx.waitForEvents(2);
  });

  for (const [name, begun] of [
    ['MessagePack', (bytes: number) => Buffer.concat([Buffer.of(0x93, 0xa1, 0x74, 0xc6, 0, 1, 0, 0), Buffer.alloc(bytes)])],
    ['JSON', (bytes: number) => Buffer.from(`["t",1,{"n":"${'x'.repeat(bytes)}`)],
  ] as const)
    test(`unfinished messages beyond incomplete_limit_size (${name}): the largest goes, the others are taken`, async () => {
      const { ctx, client } = await open({ chunk_size_limit: 65_536 * 2, incomplete_limit_size: 150_000 });
      const small = await client();
      const large = await client();
      small.write(pack(['t', 1, { n: 1 }]));
      await ctx.waitForEvents(1);
      const event = pack(['t', 1, { n: 2 }]);
      small.write(event.subarray(0, 5));
      const cut = closing(large);
      large.write(begun(60_000));
      // Whichever comes last, the small one is never the largest.
      const third = await client();
      const cutToo = closing(third);
      third.write(begun(55_000));
      const fourth = await client();
      fourth.write(begun(50_000));
      await Promise.race([cut, cutToo]);
      small.write(event.subarray(5));
      await ctx.waitForEvents(2);
      assert.ok((ctx.values['incomplete_closed'] ?? 0) >= 1);
    });

  test('a client that never reads its acknowledgements is cut off', async () => {
    const { ctx, client } = await open({}, { emit: (_batch, ack) => (ack?.(), true) });
    const socket = await client();
    socket.pause();
    const cut = closing(socket);
    const chunk = writePackedForward('t', [makeBatch([{ record: { n: 1 } }])], 'i'.repeat(60_000), undefined);
    const more = (): void => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on('drain', more);
    more();
    await cut;
    assert.equal(ctx.values['unread_closed'], 1);
  });

  test('a heartbeat over UDP is answered with one byte', async () => {
    const { port } = await open();
    const udp = createSocket('udp4');
    ending.push(() => udp.close());
    udp.send(Buffer.of(0), port, '127.0.0.1');
    const [reply] = (await once(udp, 'message')) as [Buffer];
    assert.deepEqual([...reply], [0]);
  });

  test('a port that is taken, in one sentence', async () => {
    const { port } = await open();
    const other = create<Source>(forward, { port }, testContext(forward));
    await assert.rejects(other.start(), (error) => error instanceof MillraceError && error.code === 'MR_PORT_TAKEN');
    await other.stop();
  });

  test('drain closes connections and the port; stop works twice, and without start', async () => {
    const { source, client, port } = await open();
    const socket = await client();
    const closed = once(socket, 'close');
    await source.drain?.();
    await closed;
    await source.stop();
    await source.stop();
    const late = connect(port, '127.0.0.1');
    const [error] = (await once(late, 'error')) as [NodeJS.ErrnoException];
    assert.equal(error.code, 'ECONNREFUSED');
    await create<Source>(forward, {}, testContext(forward)).stop();
  });
});
