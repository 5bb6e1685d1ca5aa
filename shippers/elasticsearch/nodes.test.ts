import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { FakeClock } from '../../engine/testing/driver.ts';
import { Nodes, retryAfter } from './nodes.ts';
import { config } from './settings.ts';

const TESTDATA = join(import.meta.dirname, 'testdata');
const pem = (name: string): string => readFileSync(join(TESTDATA, `${name}.pem`), 'utf8');
const { signal } = new AbortController();
const BYTES_MAX = 10_000;

describe('nodes', () => {
  const servers: Server[] = [];
  const opened: Nodes[] = [];
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((nodes) => nodes.close()));
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  async function listen(server: Server): Promise<string> {
    servers.push(server);
    if (!server.listening) await once(server.listen(0, '127.0.0.1'), 'listening');
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  const serve = async (handler: RequestListener): Promise<string> => `http://${await listen(createServer(handler))}`;
  const serveTls = async (options: ServerOptions, handler: RequestListener): Promise<string> =>
    `https://${await listen(createTlsServer({ cert: pem('server'), key: pem('server-key'), ...options }, handler))}`;
  const nowhere = async (): Promise<string> => {
    const address = await serve(() => undefined);
    const server = servers.pop() as Server;
    server.close();
    await once(server, 'close');
    return address;
  };

  function open(settings: Record<string, unknown>): { nodes: Nodes; clock: FakeClock; changes: string[] } {
    const clock = new FakeClock();
    const changes: string[] = [];
    const nodes = new Nodes({
      config: config.parse(settings),
      baseDir: TESTDATA,
      clock,
      random: () => 0.5,
      onAlive: (alive, { isAlive }) => changes.push(`${isAlive ? 'back' : 'lost'}, ${alive} alive`),
    });
    opened.push(nodes);
    return { nodes, clock, changes };
  }
  const get = (nodes: Nodes): Promise<{ status: number; text: string; from: string }> =>
    nodes.request('GET', '/x', undefined, BYTES_MAX, signal);

  test('takes its nodes in turn', async () => {
    const urls = await Promise.all([serve((_, response) => response.end('a')), serve((_, response) => response.end('b'))]);
    const { nodes } = open({ hosts: urls.join(',') });
    const texts = [];
    for (let n = 0; n < 4; n++) texts.push((await get(nodes)).text);
    assert.deepEqual(texts.toSorted(), ['a', 'a', 'b', 'b']);
  });

  test('a node that cannot be connected to costs nothing, and is left alone', async () => {
    let requests = 0;
    const well = await serve((_, response) => {
      requests++;
      response.end('well');
    });
    const { nodes, changes } = open({ hosts: `${await nowhere()},${well}` });
    for (let n = 0; n < 6; n++) assert.equal((await get(nodes)).text, 'well');
    assert.equal(requests, 6);
    assert.deepEqual(changes, ['lost, 1 alive']);
  });

  test('a node that was lost is asked before it gets traffic again', async () => {
    let isWell = false;
    const paths: string[] = [];
    const bad = await serve((request, response) => {
      paths.push(request.url ?? '');
      if (isWell) response.end('back');
      else response.socket?.destroy();
    });
    const { nodes, clock, changes } = open({ hosts: [await serve((_, response) => response.end('well')), bad].join(',') });
    await Promise.allSettled([get(nodes), get(nodes)]);
    assert.deepEqual(changes, ['lost, 1 alive']);
    isWell = true;
    const before = paths.length;
    assert.equal((await get(nodes)).text, 'well');
    assert.equal(paths.length, before, 'left alone');
    // One second, and half of it more or less.
    clock.advance(1500);
    const deadline = AbortSignal.timeout(5000);
    while (changes.length < 2 && !deadline.aborted) await get(nodes);
    assert.deepEqual(changes, ['lost, 1 alive', 'back, 2 alive']);
    assert.ok(paths.includes('/'));
  });

  test('when none answers the one that was left alone longest is asked all the same', async () => {
    let isWell = false;
    const url = await serve((_, response) => (isWell ? response.end('back') : response.socket?.destroy()));
    const { nodes, changes } = open({ hosts: url });
    await assert.rejects(get(nodes), { code: 'MR_CONNECT' });
    isWell = true;
    assert.equal((await get(nodes)).text, 'back');
    assert.deepEqual(changes, ['lost, 0 alive', 'back, 1 alive']);
  });

  test('a request that was sent is not sent to another node by itself', async () => {
    let requests = 0;
    const urls = await Promise.all(
      [1, 2].map(() =>
        serve((_, response) => {
          requests++;
          response.socket?.destroy();
        }),
      ),
    );
    const { nodes } = open({ hosts: urls.join(',') });
    await assert.rejects(nodes.request('POST', '/_bulk', Buffer.from('x'), BYTES_MAX, signal), { code: 'MR_CONNECT' });
    assert.equal(requests, 1);
  });

  test('an answer that drips is ended by the time limit of the whole request', async () => {
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const url = await serve((_, response) => {
      response.write('a');
      resolve();
    });
    const { nodes, clock } = open({ hosts: url, request_timeout: '20s' });
    const answer = get(nodes);
    await begun;
    clock.advance(20_000);
    await assert.rejects(answer, { code: 'MR_CONNECT', message: /timed out after 20000 ms$/ });
  });

  test('an answer that is too long is not read to its end', async () => {
    const url = await serve((_, response) => response.end('x'.repeat(BYTES_MAX + 1)));
    const { nodes, changes } = open({ hosts: url });
    await assert.rejects(get(nodes), { message: 'the answer is longer than 10000 bytes' });
    assert.deepEqual(changes, [], 'the node is well');
  });

  for (const [name, settings, userinfo, want] of [
    ['user and password', { user: 'a', password: 'b:c' }, '', `Basic ${Buffer.from('a:b:c').toString('base64')}`],
    ['API key', { api_key: 'a2V5' }, 'u:p@', 'ApiKey a2V5'],
    ['in the URL', {}, 'u:p%40@', `Basic ${Buffer.from('u:p@').toString('base64')}`],
    ['none', {}, '', undefined],
  ] as const) {
    test(`credentials: ${name}`, async () => {
      const url = await serve((request, response) => response.end(request.headers.authorization ?? 'none'));
      const { nodes } = open({ hosts: url.replace('//', `//${userinfo}`), ...settings });
      const { text, from } = await get(nodes);
      assert.equal(text, want ?? 'none');
      assert.equal(from, url, 'no secrets in messages');
    });
  }

  test('TLS: the authority is checked, a client certificate shown, the version kept', async () => {
    const options = { ca: pem('ca'), requestCert: true, rejectUnauthorized: true };
    const url = await serveTls(options, (request, response) => {
      const socket = request.socket as TLSSocket;
      response.end(`${String(socket.getPeerCertificate().subject.CN)} ${socket.getProtocol()}`);
    });
    const client = { client_cert: 'client.pem', client_key: 'client-key.pem' };
    const { nodes } = open({ hosts: url, ca_file: 'ca.pem', ...client, ssl_max_version: 'TLSv1_2' });
    assert.equal((await get(nodes)).text, 'millrace test client TLSv1.2');
    await assert.rejects(get(open({ hosts: url, ...client }).nodes), { code: 'MR_CONNECT' });
    await assert.rejects(get(open({ hosts: url, ca_file: 'ca.pem' }).nodes), { code: 'MR_CONNECT' });
  });

  test('TLS: ssl_verify false takes any certificate', async () => {
    const url = await serveTls({}, (_, response) => response.end('any'));
    await assert.rejects(get(open({ hosts: url }).nodes), { code: 'MR_CONNECT' });
    assert.equal((await get(open({ hosts: url, ssl_verify: false }).nodes)).text, 'any');
  });

  test('TLS: a version that the server does not speak', async () => {
    const url = await serveTls({ minVersion: 'TLSv1.3' }, (_, response) => response.end('never'));
    await assert.rejects(get(open({ hosts: url, ca_file: 'ca.pem', ssl_max_version: 'TLSv1_2' }).nodes), { code: 'MR_CONNECT' });
  });

  for (const [key, file] of [
    ['ca_file', 'certificate'],
    ['client_key', 'key'],
  ] as const) {
    test(`${key} that is not there is named`, () => {
      assert.throws(() => open({ [key]: 'nothing.pem' }), {
        code: 'MR_NO_INPUT',
        message: new RegExp(`^cannot read the ${file} .*nothing\\.pem`),
      });
    });
  }
});

describe('Retry-After', () => {
  const NOW_MS = Date.parse('2026-11-24T12:00:00Z');
  for (const [header, want] of [
    ['7', 7000],
    [' 7 ', 7000],
    ['0', 0],
    ['86400', 600_000],
    ['Tue, 24 Nov 2026 12:00:30 GMT', 30_000],
    ['Tue, 24 Nov 2026 11:00:00 GMT', undefined],
    ['soon', undefined],
    ['-1', undefined],
    ['', undefined],
    [undefined, undefined],
    [['5', '9'], 5000],
  ] as const) {
    test(JSON.stringify(header) ?? 'none', () => {
      assert.equal(retryAfter(header as string | string[] | undefined, NOW_MS), want);
    });
  }
});
