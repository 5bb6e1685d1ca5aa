import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { Output } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, makeBatch, makeChunk, testContext } from '../../engine/testing/driver.ts';
import { elasticsearch } from './elasticsearch.ts';
import { config } from './settings.ts';

describe('elasticsearch output', () => {
  let server: Server;
  let url: string;
  let seen = { url: '', body: '' };
  let answer = { status: 200, text: '' };
  before(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        seen = { url: request.url ?? '', body };
        response.writeHead(answer.status).end(answer.text);
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });

  const stored = { status: 200, text: '{"errors":false,"items":[{"create":{"status":201}}]}' };
  const { signal } = new AbortController();
  async function write(settings: Fields, tag = 'App.Web'): Promise<unknown> {
    const output = create<Output>(elasticsearch, { hosts: url, ...settings }, testContext(elasticsearch));
    await output.start?.();
    try {
      return await output.write(makeChunk([makeBatch([{ record: { a: 1 }, time: 1_431_857_103 }], tag)]), signal);
    } finally {
      await output.stop?.();
      await output.stop?.();
    }
  }
  const action = (): unknown => JSON.parse(seen.body.split('\n')[0] ?? '');
  const FILTER = 'filter_path=errors,items.*.status,items.*.error,items.*.failure_store';

  for (const [name, settings, path, line] of [
    ['the default stream', {}, '/logs-millrace-default/_bulk', { create: {} }],
    ['a stream', { data_stream_name: 'logs-Shop-default' }, '/logs-shop-default/_bulk', { create: {} }],
    ['a stream by tag', { data_stream_name: 'logs-${tag}-x' }, '/_bulk', { create: { _index: 'logs-app.web-x' } }],
    ['an index by day', { index_name: 'a-%Y.%m.%d' }, '/_bulk', { create: { _index: 'a-2015.05.17' } }],
    ['logstash_format', { logstash_format: true }, '/_bulk', { create: { _index: 'logstash-2015.05.17' } }],
    ['index', { index_name: 'a', write_operation: 'index' }, '/a/_bulk', { index: {} }],
    ['behind a proxy', { hosts: 'PATH' }, '/es/logs-millrace-default/_bulk', { create: {} }],
  ] as const) {
    test(`target: ${name}`, async () => {
      answer = stored;
      const verdict = await write('hosts' in settings ? { hosts: `${url}/es/` } : settings);
      assert.equal(verdict, 'delivered');
      assert.equal(seen.url, `${path}?${FILTER}`);
      assert.deepEqual(action(), line);
    });
  }

  test('a pipeline is named in the URL, whatever its name', async () => {
    answer = stored;
    await write({ pipeline: 'a&b' });
    assert.equal(seen.url, `/logs-millrace-default/_bulk?${FILTER}&pipeline=a%26b`);
  });

  test('the tag goes into the event', async () => {
    answer = stored;
    await write({ include_tag_key: true, tag_key: 'from' });
    assert.equal((JSON.parse(seen.body.split('\n')[1] ?? '') as Fields)['from'], 'App.Web');
  });

  test('nobody there: all of it again, with the reason', async () => {
    const verdict = await write({ hosts: 'http://127.0.0.1:1' });
    assert.deepEqual((verdict as { retry: unknown }).retry, [0]);
    assert.match((verdict as { reason: string }).reason, /^no answer from http:\/\/127\.0\.0\.1:1: /);
  });

  for (const [status, want] of [
    [200, undefined],
    [401, { code: 'MR_AUTH' }],
    [403, { code: 'MR_AUTH' }],
    [404, { code: 'MR_PROTOCOL' }],
  ] as const) {
    test(`probe answered with ${status}`, async () => {
      answer = { status, text: '{}' };
      const output = create<Output>(elasticsearch, { hosts: url }, testContext(elasticsearch));
      await output.start?.();
      const probed = output.probe?.(signal);
      await (want === undefined ? probed : assert.rejects(probed ?? Promise.resolve(), want));
      await output.stop?.();
    });
  }
});

describe('settings that do not go together', () => {
  for (const [settings, want] of [
    [{}, []],
    [{ index_name: 'a', logstash_format: true }, ['name one of data_stream_name, index_name and logstash_format']],
    [{ write_operation: 'index' }, ['a data stream takes only write_operation create']],
    [{ client_cert: 'a.pem' }, ['client_cert and client_key belong together']],
    [{ client_key: 'a.pem' }, ['client_cert and client_key belong together']],
    [{ ssl_min_version: 'TLSv1_3', ssl_max_version: 'TLSv1_2' }, ['ssl_min_version is newer than ssl_max_version']],
    [{ ssl_min_version: 'TLSv1_2', ssl_max_version: 'TLSv1_2' }, []],
    [{ api_key: 'a', user: 'b' }, ['give either api_key or user and password']],
  ] as const) {
    test(JSON.stringify(settings), () => assert.deepEqual(elasticsearch.check?.(config.parse(settings)), want));
  }
});
