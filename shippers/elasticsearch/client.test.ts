import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { createElasticsearchClient, reasonOf, serverOf } from './client.ts';

describe('elasticsearch client', () => {
  let http: HttpServer;
  let url: string;
  let seen: IncomingMessage | undefined;
  /** What the next request is answered with. */
  let answer: { status: number; body: string; type?: string } = { status: 200, body: '{}' };
  before(async () => {
    http = createServer((request, response) => {
      seen = request;
      response.writeHead(answer.status, { 'content-type': answer.type ?? 'application/json' }).end(answer.body);
    }).listen(0, '127.0.0.1');
    await once(http, 'listening');
    url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  });
  after(() => {
    http.closeAllConnections();
    http.close();
  });

  test('sends plain media types and no product check', async () => {
    answer = { status: 200, body: '{"version":{"number":"2.19.6","distribution":"opensearch"}}' };
    const client = createElasticsearchClient({ hosts: [url], apiKey: 'a2V5' });
    assert.deepEqual(await client.server(), { flavour: 'opensearch', version: '2.19.6', major: 2, minor: 19 });
    assert.equal(seen?.headers.accept, 'application/json');
    assert.equal(seen.headers.authorization, 'ApiKey a2V5');
    await client.call('put', (api) => api.cluster.putComponentTemplate({ name: 'x', template: {} }));
    assert.equal(seen.headers['content-type'], 'application/json');
    await client.close();
  });

  for (const [name, status, body, code, message] of [
    ['wrong password', 401, '{"error":{"reason":"missing authentication"}}', 'MR_AUTH', /does not accept these credentials$/],
    [
      'no right',
      403,
      '{"error":{"reason":"action [x] is unauthorized"}}',
      'MR_AUTH',
      /does not let this user put it: action \[x\] is unauthorized$/,
    ],
    [
      'bad request',
      400,
      '{"error":{"reason":"outer","caused_by":{"reason":"no handler for type [甲]"}}}',
      'MR_REFUSED',
      /refused to put it: no handler for type \[甲\]$/,
    ],
    ['overloaded', 503, '{"error":{"reason":"no master"}}', 'MR_CONNECT', /refused to put it: no master$/],
    ['not JSON', 200, '<html>', 'MR_PROTOCOL', /answered put it with something that is not JSON$/],
  ] as const) {
    test(name, async () => {
      answer = { status, body };
      const client = createElasticsearchClient({ hosts: [url] });
      await assert.rejects(
        client.call('put it', (api) => api.cluster.putComponentTemplate({ name: 'x', template: {} })),
        { code, message },
      );
      await client.close();
    });
  }

  test('404 is undefined for find', async () => {
    answer = { status: 404, body: '{"error":{"reason":"not there"}}' };
    const client = createElasticsearchClient({ hosts: [url] });
    assert.equal(await client.find('get it', (api) => api.cluster.getComponentTemplate({ name: 'x' })), undefined);
    await client.close();
  });

  test('nobody there, and the password is not shown', async () => {
    const client = createElasticsearchClient({ hosts: ['http://elastic:hunter2@127.0.0.1:1'] });
    await assert.rejects(client.server(), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'MR_CONNECT');
      assert.match(error.message, /^cannot connect to http:\/\/127\.0\.0\.1:1: /);
      assert.doesNotMatch(error.message, /hunter2/);
      return true;
    });
    await client.close();
  });
});

describe('answer of GET /', () => {
  for (const [info, want] of [
    [{ version: { number: '7.17.29' } }, { flavour: 'elasticsearch', version: '7.17.29', major: 7, minor: 17 }],
    [
      { version: { number: '9.5.3-SNAPSHOT', build_flavor: 'default' } },
      { flavour: 'elasticsearch', version: '9.5.3-SNAPSHOT', major: 9, minor: 5 },
    ],
    [
      { version: { number: '3.8.0', distribution: 'opensearch' } },
      { flavour: 'opensearch', version: '3.8.0', major: 3, minor: 8 },
    ],
  ] as const) {
    test(want.version, () => {
      assert.deepEqual(serverOf(info, 'http://h'), want);
    });
  }
  for (const info of [undefined, '', {}, { version: 'x' }, { version: { number: 'x' } }]) {
    test(`refuses ${JSON.stringify(info)}`, () => {
      assert.throws(() => serverOf(info, 'http://h'), { code: 'MR_PROTOCOL', message: /^http:\/\/h is neither/ });
    });
  }
});

describe('innermost reason', () => {
  for (const [body, want] of [
    [{ error: { reason: 'a' } }, 'a'],
    [{ error: { reason: 'a', caused_by: { reason: 'b', caused_by: { type: 't' } } } }, 'b'],
    [{ error: 'plain' }, 'plain'],
    [{}, undefined],
    ['text', undefined],
  ] as const) {
    test(JSON.stringify(body), () => {
      assert.equal(reasonOf(body), want);
    });
  }
});
