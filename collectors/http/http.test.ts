import assert from 'node:assert/strict';
import { request as send, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { deflateSync, gzipSync, zstdCompressSync } from 'node:zlib';
import type { Ack, Definition, Parser, Source } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, testContext, type TestContext, type TestContextOptions } from '../../engine/testing/driver.ts';
import { httpSource } from './http.ts';

/** A stand-in for the parser of JSON: whole bodies, and the field `time` as seconds. */
const parser: Parser = {
  parse(bytes, start, end, into) {
    try {
      const parsed = JSON.parse(Buffer.from(bytes).toString('utf8', start, end)) as Fields | Fields[];
      for (const record of Array.isArray(parsed) ? parsed : [parsed]) {
        if (record['time'] === 'never') return 'invalid time';
        into.begin();
        into.record(record);
        into.commit();
      }
      return undefined;
    } catch {
      return 'invalid JSON';
    }
  },
};

const definition = httpSource as unknown as Definition;
let running: Source[] = [];

interface Served {
  readonly ctx: TestContext;
  readonly source: Source;
  readonly port: number;
}

async function serve(config: Fields = {}, options: TestContextOptions = {}): Promise<Served> {
  const ctx = testContext(definition, { parser: () => parser, ...options });
  const source = create<Source>(definition, { port: 0, ...config }, ctx);
  running.push(source);
  await source.start();
  return { ctx, source, port: Number(source.addresses?.()[0]?.split(':').at(-1)) };
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function post(port: number, path: string, body: string | Buffer, headers: OutgoingHttpHeaders = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = send(
      { port, path, method: 'POST', headers: { 'content-type': 'application/json', ...headers }, agent: false },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece: string) => (text += piece));
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

describe('http', () => {
  afterEach(async () => {
    for (const source of running) {
      await source.stop();
      await source.stop();
    }
    running = [];
  });

  test('answers when the events are safe, not before', async () => {
    const acks: Ack[] = [];
    let onEmit = (): void => undefined;
    const emitted = new Promise<void>((resolve) => (onEmit = resolve));
    const { port, ctx } = await serve(
      {},
      {
        emit: (_, ack) => {
          if (ack !== undefined) acks.push(ack);
          onEmit();
          return true;
        },
      },
    );
    let isAnswered = false;
    const answer = post(port, '/shop/orders', '[{"a":"订单"},{"b":1}]').finally(() => (isAnswered = true));
    await emitted;
    assert.equal(isAnswered, false);
    acks[0]?.();
    assert.equal((await answer).status, 200);
    assert.deepEqual(
      ctx.events().map(({ tag, record }) => [tag, record]),
      [
        ['shop.orders', { a: '订单' }],
        ['shop.orders', { b: 1 }],
      ],
    );
  });

  test('503 with Retry-After while the log is full, and when it refuses', async () => {
    let isFull = true;
    let open = (): void => undefined;
    const ready = new Promise<void>((resolve) => (open = resolve));
    const served = await serve({}, { emit: (_, ack) => (ack?.(), !isFull) });
    (served.ctx as { ready: () => Promise<void> }).ready = () => ready;
    assert.equal((await post(served.port, '/t', '{}')).status, 200);
    const refused = await post(served.port, '/t', '{}');
    assert.deepEqual([refused.status, refused.headers['retry-after']], [503, '1']);
    isFull = false;
    open();
    await ready;
    assert.equal((await post(served.port, '/t', '{}')).status, 200);
    assert.equal(served.ctx.events().length, 2);

    const failing = await serve({}, { emit: (_, ack) => (ack?.(new MillraceError('MR_DISK', 'the disk is full')), true) });
    assert.equal((await post(failing.port, '/t', '{}')).status, 503);
    assert.equal(failing.ctx.values['busy_requests'], 1);
  });

  describe('bodies', () => {
    const body = '{"a":1}';
    for (const [encoding, packed, status, config] of [
      ['gzip', gzipSync(body), 200, {}],
      ['deflate', deflateSync(body), 200, {}],
      ['zstd', zstdCompressSync(body), 200, {}],
      ['br', Buffer.from(body), 415, {}],
      ['gzip', Buffer.from('no gzip'), 400, {}],
      ['gzip', gzipSync(Buffer.alloc(1 << 20)), 413, { decompression_size_limit: 1000 }],
      ['identity', Buffer.from(body), 413, { body_size_limit: 6 }],
      ['identity', Buffer.from(body), 200, { body_size_limit: 7 }],
    ] as const) {
      test(`${encoding} ${status}`, async () => {
        const { port, ctx } = await serve(config);
        for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
          const answer = await post(port, '/t', packed, { 'content-encoding': encoding, ...headers });
          assert.equal(answer.status, status);
        }
        assert.equal(ctx.events().length, status === 200 ? 2 : 0);
      });
    }

    test('what cannot be read is counted, and refused where that is wanted', async () => {
      const lenient = await serve();
      assert.equal((await post(lenient.port, '/t', '{')).status, 200);
      assert.deepEqual(lenient.ctx.drops, { 'invalid JSON': 1 });
      assert.equal((await post(lenient.port, '/t', '{"time":"never"}')).status, 400);
      const strict = await serve({ refuse_unreadable: true });
      const answer = await post(strict.port, '/t', '{');
      assert.deepEqual([answer.status, answer.body], [400, '400 Bad Request\ninvalid JSON\n']);
      const lines = await post(strict.port, '/t', '{"a":1}\n\n{\n', { 'content-type': 'application/x-ndjson' });
      assert.equal(lines.status, 400);
      assert.deepEqual(strict.ctx.events(), []);
    });

    test('bytes that are no UTF-8 are repaired', async () => {
      const { port, ctx } = await serve();
      const gbk = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xd6, 0xd0]), Buffer.from('"}')]);
      assert.equal((await post(port, '/t', gbk)).status, 200);
      assert.equal(ctx.values['repaired'], 1);
      assert.match(String(ctx.events()[0]?.record['a']), /^\uFFFD+/);
    });

    test('times of the request', async () => {
      const { port, ctx } = await serve();
      await post(port, '/t?time=1700000001.25', '[{"a":1},{"a":2}]');
      await post(port, '/t?time=0', '{"a":3}');
      assert.deepEqual(
        ctx.events().map(({ seconds, nanoseconds }) => [seconds, nanoseconds]),
        [
          [1_700_000_001, 250_000_000],
          [1_700_000_001, 250_000_000],
          [1_700_000_000, 0],
        ],
      );
    });
  });

  test('fields from the request', async () => {
    const { port, ctx } = await serve({
      add_http_headers: true,
      add_query_params: true,
      add_remote_addr: true,
      add_tag_prefix: 'in',
    });
    await post(port, '/a/?my-key=%E4%B8%AD', '{"REMOTE_ADDR":"old"}', {
      'x-forwarded-for': '198.51.100.7, 10.0.0.1',
      'x-id': '7',
    });
    const [event] = ctx.events();
    assert.equal(event?.tag, 'in.a');
    const { HTTP_X_ID: id, QUERY_MY_KEY: key, REMOTE_ADDR: address, HTTP_CONTENT_TYPE: type } = event.record;
    assert.deepEqual([id, key, address, type], ['7', '中', '198.51.100.7', 'application/json']);
  });

  test('a request on its way is answered at the end, a further one is not taken', async () => {
    const acks: Ack[] = [];
    let onEmit = (): void => undefined;
    const emitted = new Promise<void>((resolve) => (onEmit = resolve));
    const { port, source } = await serve({}, { emit: (_, ack) => (acks.push(ack as Ack), onEmit(), true) });
    const answer = post(port, '/t', '{}');
    await emitted;
    const drained = source.drain?.();
    assert.equal((await post(port, '/t', '{}')).status, 503);
    acks[0]?.();
    const { status, headers } = await answer;
    assert.deepEqual([status, headers.connection], [200, 'close']);
    await drained;
    await assert.rejects(post(port, '/t', '{}'));
  });

  test('a sender that dawdles is cut off', async () => {
    const { port, ctx } = await serve({ header_timeout: '50ms', request_timeout: '50ms' });
    const socket = connect(port, '127.0.0.1');
    const answer = new Promise<string>((resolve) => {
      let text = '';
      socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
      socket.on('close', () => resolve(text));
      socket.on('error', () => resolve(text));
    });
    socket.write('POST /t HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{');
    assert.match(await answer, /^(HTTP\/1\.1 408|$)/);
    assert.deepEqual(ctx.events(), []);
  });

  test('keys that do not go together', () => {
    const problems = (config: Fields): readonly string[] => httpSource.check?.(httpSource.config.parse(config)) ?? [];
    assert.deepEqual(problems({}), []);
    assert.equal(problems({ transport: { protocol: 'tls' } }).length, 2);
    assert.equal(problems({ cors_allow_credentials: true }).length, 1);
    assert.equal(problems({ cors_allow_credentials: true, cors_allow_origins: '*' }).length, 1);
  });
});
