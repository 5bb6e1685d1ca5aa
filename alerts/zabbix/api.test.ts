import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { Code } from '../../engine/errors.ts';
import { isAtLeast, ZabbixApi, type ZabbixApiOptions } from './api.ts';

interface Call {
  readonly method: string;
  readonly params: unknown;
  readonly auth?: string;
  readonly headers: IncomingHttpHeaders;
  readonly path: string | undefined;
}
type Answer = { readonly result: unknown } | { readonly error: unknown } | ((response: ServerResponse) => void);

async function frontend(answer: (call: Call) => Answer) {
  const calls: Call[] = [];
  const server = createServer((incoming, response) => {
    let body = '';
    incoming.setEncoding('utf8');
    incoming.on('data', (chunk: string) => (body += chunk));
    incoming.on('end', () => {
      const call = { ...(JSON.parse(body) as Omit<Call, 'headers' | 'path'>), headers: incoming.headers, path: incoming.url };
      calls.push(call);
      const given = answer(call);
      if (typeof given === 'function') given(response);
      else response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id: 1, ...given }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    calls,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const zabbixOf =
  (version: string) =>
  ({ method }: Call): Answer => {
    if (method === 'apiinfo.version') return { result: version };
    return { result: method === 'user.login' ? 'the-session' : [] };
  };
const LOGIN = { user: 'Admin', password: 's3cret' };

describe('sessions by version', () => {
  for (const [version, way] of [
    ['6.0.14', 'body'],
    ['6.2.9', 'body'],
    ['6.4.0', 'header'],
    ['7.0.22', 'header'],
    ['7.4.0', 'header'],
    ['8.0.0alpha1', 'header'],
  ] as const) {
    test(version, async () => {
      await using server = await frontend(zabbixOf(version));
      const api = await ZabbixApi.connect({ url: `${server.url}/zabbix/`, ...LOGIN });
      assert.deepEqual(await api.list('host.get', {}), []);
      await api.close();
      await api.close();
      const [asked, loggedIn, got, ended] = server.calls;
      assert.deepEqual(
        server.calls.map((call) => call.method),
        ['apiinfo.version', 'user.login', 'host.get', 'user.logout'],
      );
      assert.equal(asked?.path, '/zabbix/api_jsonrpc.php');
      for (const call of [asked, loggedIn]) assert.ok(call?.auth === undefined && call?.headers.authorization === undefined);
      assert.deepEqual(loggedIn?.params, { username: 'Admin', password: 's3cret' });
      for (const call of [got, ended]) {
        assert.equal(call?.auth, way === 'body' ? 'the-session' : undefined);
        assert.equal(call?.headers.authorization, way === 'header' ? 'Bearer the-session' : undefined);
      }
    });
  }
  test('a token needs no log-in and is not ended', async () => {
    await using server = await frontend(zabbixOf('7.0.0'));
    const api = await ZabbixApi.connect({ url: `${server.url}/api_jsonrpc.php`, token: 'tok' });
    await api.close();
    assert.deepEqual(
      server.calls.map((call) => [call.method, call.headers.authorization]),
      [
        ['apiinfo.version', undefined],
        ['hostgroup.get', 'Bearer tok'],
      ],
    );
  });
  test('versions compare by number', () => {
    assert.ok(
      isAtLeast({ major: 6, minor: 10, text: '' }, 6, 4) &&
        !isAtLeast({ major: 6, minor: 2, text: '' }, 6, 4) &&
        isAtLeast({ major: 7, minor: 0, text: '' }, 6, 4),
    );
  });
});

describe('each wrong thing is one sentence with its code', () => {
  const refusal = (data: string): Answer => ({ error: { code: -32602, message: 'Invalid params.', data } });
  const raw = (status: number, body: string) => (): Answer => (response) => void response.writeHead(status).end(body);
  const on =
    (method: string, answer: Answer) =>
    (call: Call): Answer =>
      call.method === method ? answer : zabbixOf('6.0.0')(call);
  for (const [name, answer, code, message, options] of [
    [
      'wrong password',
      on('user.login', refusal('Incorrect user name or password or account is temporarily blocked.')),
      'MR_AUTH',
      /refused the log-in: wrong user or password/,
      LOGIN,
    ],
    [
      'wrong token',
      on('hostgroup.get', refusal('Session terminated, re-login, please.')),
      'MR_AUTH',
      /does not accept the token or session/,
      { token: 's3cret' },
    ],
    ['neither', zabbixOf('6.0.0'), 'MR_AUTH', /neither user and password nor a token/, {}],
    ['too old', zabbixOf('5.0.30'), 'MR_PROTOCOL', /Zabbix 5\.0\.30 at .* is too old/, LOGIN],
    [
      'a page',
      raw(200, '<html>s3cret</html>'),
      'MR_PROTOCOL',
      /answered with no JSON: is it the address of a Zabbix frontend\?/,
      LOGIN,
    ],
    ['404', raw(404, 'not found'), 'MR_PROTOCOL', /HTTP status 404/, LOGIN],
    ['412 with nothing', raw(412, ''), 'MR_PROTOCOL', /HTTP status 412/, LOGIN],
    ['JSON of something else', raw(200, '{"hello":1}'), 'MR_PROTOCOL', /did not answer as a Zabbix API does/, LOGIN],
    ['null', raw(200, 'null'), 'MR_PROTOCOL', /did not answer as a Zabbix API does/, LOGIN],
    ['a version that is none', on('apiinfo.version', { result: ['x'] }), 'MR_PROTOCOL', /did not say its Zabbix version/, LOGIN],
    ['a session that is none', on('user.login', { result: 5 }), 'MR_PROTOCOL', /did not answer/, LOGIN],
    ['an error without words', on('user.login', { error: null }), 'MR_AUTH', /refused the log-in/, LOGIN],
    ['silence', () => () => {}, 'MR_CONNECT', /no answer within 80 ms/, LOGIN],
    ['a cut', () => (response) => void response.destroy(), 'MR_CONNECT', /cannot reach Zabbix/, LOGIN],
  ] as readonly [string, (call: Call) => Answer, Code, RegExp, Partial<ZabbixApiOptions>][]) {
    test(name, async () => {
      await using server = await frontend(answer);
      const url = `${server.url.replace('http://', 'http://user:s3cret@')}/?x=s3cret`;
      await assert.rejects(
        ZabbixApi.connect({ url, timeoutMs: name === 'silence' ? 80 : 5000, ...options }),
        (error: Error & { code: Code }) => {
          assert.equal(error.code, code);
          assert.match(error.message, message);
          assert.ok(!error.message.includes('s3cret'), error.message);
          return true;
        },
      );
    });
  }
  test('nobody listens', async () => {
    const server = await frontend(zabbixOf('6.0.0'));
    await server[Symbol.asyncDispose]();
    await assert.rejects(ZabbixApi.connect({ url: server.url, ...LOGIN }), {
      code: 'MR_CONNECT',
      message: /^cannot reach Zabbix at http:\/\/127\.0\.0\.1:\d+\/api_jsonrpc\.php: ECONNREFUSED$/,
    });
  });
  test('a call refused says why', async () => {
    await using server = await frontend(on('host.create', refusal('Host with the same name "a" already exists.')));
    const api = await ZabbixApi.connect({ url: server.url, ...LOGIN });
    await assert.rejects(api.call('host.create', {}), {
      code: 'MR_REFUSED',
      message: 'Zabbix refused host.create: Host with the same name "a" already exists',
    });
    await api.close();
  });
});
