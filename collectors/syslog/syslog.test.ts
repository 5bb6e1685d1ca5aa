import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import type { Definition, Parser, Source } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, testContext, type TestContext, type TestContextOptions } from '../../engine/testing/driver.ts';
import { syslogSource } from './syslog.ts';

/** A stand-in: all of the text as `message`; `!` in it is refused. */
const parser: Parser = {
  parse(bytes, start, end, into) {
    if (bytes.subarray(start, end).includes(0x21)) return 'refused';
    into.begin();
    into.keyName('message');
    into.utf8(bytes, start, end);
    into.commit();
    return undefined;
  },
};

const definition = syslogSource as unknown as Definition;
let running: Source[] = [];
let clients: Socket[] = [];

interface Served {
  readonly ctx: TestContext;
  readonly source: Source;
  readonly port: number;
}

async function serve(config: Fields = {}, options: TestContextOptions = {}): Promise<Served> {
  const ctx = testContext(definition, { parser: () => parser, ...options });
  const source = create<Source>(definition, { port: 0, tag: 'sys', receive_buffer_size: 4096, ...config }, ctx);
  running.push(source);
  await source.start();
  return { ctx, source, port: Number(source.addresses?.()[0]?.split(':').at(-1)) };
}

async function sendUdp(port: number, messages: readonly (string | Buffer)[]): Promise<void> {
  const socket = createSocket('udp4');
  for (const message of messages) await new Promise<void>((resolve) => socket.send(message, port, '127.0.0.1', () => resolve()));
  socket.close();
}

function dial(port: number): Socket {
  const socket = connect(port, '127.0.0.1');
  clients.push(socket);
  return socket;
}

const seen = (ctx: TestContext): unknown[] => ctx.events().map(({ tag, record }) => [tag, record]);

describe('syslog', () => {
  afterEach(async () => {
    for (const client of clients) client.destroy();
    for (const source of running) {
      await source.stop();
      await source.stop();
    }
    running = [];
    clients = [];
  });

  test('datagrams, tagged by facility and severity', async () => {
    const { ctx, port } = await serve();
    await sendUdp(port, ['<34>a', '<34>b\n', '<191>订单\r\n', '<999>c', '<1000>no', 'no', '<>no', '<34>no!']);
    await ctx.waitForEvents(4);
    // UDP keeps the order on this machine; the last three come within the same turns.
    await sendUdp(port, ['<0>end']);
    await ctx.waitForEvents(5);
    assert.deepEqual(
      new Set(seen(ctx).map((one) => JSON.stringify(one))),
      new Set([
        '["sys.auth.crit",{"message":"<34>a"}]',
        '["sys.auth.crit",{"message":"<34>b"}]',
        '["sys.local7.debug",{"message":"<191>订单"}]',
        '["sys..debug",{"message":"<999>c"}]',
        '["sys.kern.emerg",{"message":"<0>end"}]',
      ]),
    );
    assert.deepEqual(ctx.drops, { 'no priority': 3, refused: 1 });
    assert.equal(ctx.values['unmatched'], 4);
    assert.equal(ctx.values['messages'], 9);
  });

  test('other parsers get what stands behind the priority', async () => {
    const { ctx, port } = await serve({ parse: { '@type': 'none' }, emit_unmatched_lines: true });
    await sendUdp(port, ['<13>word', 'nothing', '<13>bad!']);
    await ctx.waitForEvents(3);
    assert.deepEqual(
      new Set(seen(ctx).map((one) => JSON.stringify(one))),
      new Set([
        '["sys.user.notice",{"message":"word"}]',
        '["sys.unmatched",{"unmatched_line":"nothing"}]',
        '["sys.unmatched",{"unmatched_line":"bad!"}]',
      ]),
    );
  });

  test('fields for severity, facility and sender', async () => {
    const { ctx, port } = await serve({
      parse: { with_priority: false },
      severity_key: 'severity',
      facility_key: 'facility',
      source_address_key: 'address',
      source_hostname_key: 'host',
      resolve_hostname: false,
    });
    await sendUdp(port, ['<13>m']);
    const [event] = await ctx.waitForEvents(1);
    assert.deepEqual(event?.record, {
      message: 'm',
      severity: 'notice',
      facility: 'user',
      address: '127.0.0.1',
      host: '127.0.0.1',
    });
  });

  test('GBK is converted where it is said, and repaired and counted where it is not', async () => {
    // In GBK: 中.
    const gbk = Buffer.concat([Buffer.from('<13>'), Buffer.from([0xd6, 0xd0])]);
    const told = await serve({ from_encoding: 'GBK' });
    await sendUdp(told.port, [gbk]);
    assert.deepEqual((await told.ctx.waitForEvents(1))[0]?.record, { message: '<13>中' });
    const untold = await serve();
    await sendUdp(untold.port, [gbk]);
    assert.match(String((await untold.ctx.waitForEvents(1))[0]?.record['message']), /^<13>\uFFFD+$/);
    assert.deepEqual([told.ctx.values['repaired'], untold.ctx.values['repaired']], [0, 1]);
  });

  test('a datagram that is too long is cut', async () => {
    const { ctx, port } = await serve({ message_length_limit: 5 });
    await sendUdp(port, ['<13>abc']);
    assert.deepEqual((await ctx.waitForEvents(1))[0]?.record, { message: '<13>a' });
    assert.equal(ctx.values['truncated'], 1);
  });

  test('lines and counted messages over TCP, a character cut in two, and a last line without its end', async () => {
    const { ctx, port } = await serve({ transport: { protocol: 'tcp' } });
    const socket = dial(port);
    const bytes = Buffer.from('<13>中文\n10 <13>订单<13>last');
    socket.write(bytes.subarray(0, 6));
    await new Promise((resolve) => socket.once('connect', resolve));
    await new Promise<void>((resolve) => socket.write(bytes.subarray(6), () => resolve()));
    socket.end();
    await ctx.waitForEvents(3);
    assert.deepEqual(
      ctx.events().map(({ record }) => record['message']),
      ['<13>中文', '<13>订单', '<13>last'],
    );
    assert.equal(ctx.values['repaired'], 0);
  });

  test('nothing is read while the log is full', async () => {
    let open = (): void => undefined;
    const ready = new Promise<void>((resolve) => (open = resolve));
    let isFull = true;
    const served = await serve({ protocol_type: 'tcp' }, { emit: () => !isFull });
    (served.ctx as { ready: () => Promise<void> }).ready = () => ready;
    const socket = dial(served.port);
    socket.write('<13>one\n');
    await served.ctx.waitForEvents(1);
    socket.write('<13>two\n');
    for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(served.ctx.events().length, 1);
    isFull = false;
    open();
    await served.ctx.waitForEvents(2);
  });

  test('bounds: message, length, connections', async () => {
    const { ctx, port } = await serve({
      transport: { protocol: 'tcp' },
      message_length_limit: 10,
      frame_type: 'octet_count',
      max_connections: 1,
    });
    const socket = dial(port);
    socket.write('20 <13>xxxxxxxxxxxxxxxx6 <13>ok');
    await ctx.waitForEvents(1);
    assert.deepEqual(ctx.drops, { 'message too long': 1 });
    const second = dial(port);
    second.on('error', () => undefined);
    await new Promise((resolve) => second.once('close', resolve));
    assert.equal(ctx.values['refused_connections'], 1);
    socket.on('error', () => undefined);
    socket.write('<13>no length\n');
    await new Promise((resolve) => socket.once('close', resolve));
    assert.equal(ctx.values['bad_frames'], 1);
  });

  test('what was gathered is handed over at the end', async () => {
    const { ctx, port, source } = await serve({ transport: { protocol: 'tcp' } });
    const socket = dial(port);
    socket.write('<13>a');
    await new Promise((resolve) => socket.once('connect', resolve));
    // Until the server has the connection and its bytes.
    while (ctx.values['connections'] === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let n = 0; n < 10; n++) await new Promise((resolve) => setImmediate(resolve));
    await source.drain?.();
    assert.deepEqual(seen(ctx), [['sys.user.notice', { message: '<13>a' }]]);
  });

  test('keys that do not go together', () => {
    const problems = (config: Fields): readonly string[] =>
      syslogSource.check?.(syslogSource.config.parse({ tag: 't', ...config })) ?? [];
    assert.deepEqual(problems({}), []);
    assert.equal(problems({ transport: { protocol: 'tls' } }).length, 2);
    assert.equal(problems({ from_encoding: 'klingon' }).length, 1);
    assert.equal(problems({ delimiter: '' }).length, 1);
  });
});
