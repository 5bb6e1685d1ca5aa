import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { request } from 'undici';
import { DeadLetters } from '../delivery/dead-letters.ts';
import { readEvent, type Letter } from '../delivery/dead-letters-format.ts';
import type { Outcome } from '../delivery/dead-letters-replay.ts';
import { DeadLetterStore, type FoundLetter } from '../delivery/dead-letters-store.ts';
import { MillraceError } from '../errors.ts';
import { FakeClock, makeBatch } from '../testing/driver.ts';
import { ControlServer, type ControlOptions } from './control.ts';
import { DeadLetterService } from './dead-letters.ts';

const TOKEN = 'a-token-of-sufficient-length-for-this';
const bearer = { authorization: `Bearer ${TOKEN}` };
const options: ControlOptions = {
  bind: '127.0.0.1',
  port: 0,
  token: TOKEN,
  status: () => Promise.resolve({ components: [] }),
  metrics: () => Promise.resolve('# HELP a b\n'),
  ready: () => Promise.resolve({ ready: false, reasons: ['the disk is full'] }),
};

/** Runs `work` with the address of a server. */
async function serving(more: Partial<ControlOptions>, work: (address: string) => Promise<void>): Promise<void> {
  const server = new ControlServer({ ...options, ...more });
  const address = await server.start();
  try {
    await work(address.replace('0.0.0.0', '127.0.0.1'));
  } finally {
    await server.stop();
  }
}

describe('control server', () => {
  const open = { bind: '0.0.0.0' };
  for (const [name, more, path, headers, want, body] of [
    ['health needs no token', {}, '/health', {}, 200, '{"status":"ok"}'],
    ['health on an open address neither', open, '/health', {}, 200, '{"status":"ok"}'],
    ['status with the token', {}, '/api/v1/status', bearer, 200, undefined],
    ['status without a token', {}, '/api/v1/status', {}, 401, undefined],
    ['status spelt otherwise, without a token', {}, '/api//v1/status', {}, 401, undefined],
    [
      'status with a wrong token of the same length',
      {},
      '/api/v1/status',
      { authorization: `Bearer ${TOKEN.replace('a', 'b')}` },
      401,
      undefined,
    ],
    ['status with a shorter token', {}, '/api/v1/status', { authorization: 'Bearer x' }, 401, undefined],
    ['a name that a foreign page could be bound to', {}, '/api/v1/status', { ...bearer, host: 'evil.example' }, 421, undefined],
    ['the same for what needs no token', {}, '/metrics', { host: 'evil.example' }, 421, undefined],
    ['metrics on this machine', {}, '/metrics', {}, 200, '# HELP a b\n'],
    ['metrics on an open address', open, '/metrics', {}, 401, undefined],
    ['metrics on an open address, asked otherwise', open, '/metrics?x=/health', {}, 401, undefined],
    ['metrics on an open address with the token', open, '/metrics', bearer, 200, '# HELP a b\n'],
    ['ready: not, and why', {}, '/ready', {}, 503, '{"ready":false,"reasons":["the disk is full"]}'],
    ['ready on an open address: no reasons for strangers', open, '/ready', {}, 503, '{"ready":false}'],
    ['ready on an open address with the token', open, '/ready', bearer, 503, '{"ready":false,"reasons":["the disk is full"]}'],
    [
      'ready: yes',
      { ready: () => Promise.resolve({ ready: true, reasons: [] }) },
      '/ready',
      {},
      200,
      '{"ready":true,"reasons":[]}',
    ],
    ['what fails says so', { metrics: () => Promise.reject(new Error('no')) }, '/metrics', {}, 500, '{"error":"no"}'],
    ['what is not there', {}, '/nothing', {}, 404, undefined],
  ] as const) {
    test(name, () =>
      serving(more, async (address) => {
        const response = await request(`${address}${path}`, { headers });
        const text = await response.body.text();
        assert.equal(response.statusCode, want);
        if (body !== undefined) assert.equal(text, body);
      }),
    );
  }

  test('metrics say what format they have', () =>
    serving({}, async (address) => {
      const response = await request(`${address}/metrics`);
      await response.body.dump();
      assert.equal(response.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
    }));

  describe('bounds', () => {
    /** A server whose status waits for a word; `figures` are those of now. */
    async function slow(
      limits: ControlOptions['limits'],
      work: (o: { address: string; go: () => void; server: ControlServer }) => Promise<void>,
    ): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>();
      const status = async (): Promise<unknown> => {
        await promise;
        return {};
      };
      const server = new ControlServer({ ...options, status, ...(limits === undefined ? {} : { limits }) });
      const address = await server.start();
      try {
        await work({ address, go: resolve, server });
      } finally {
        resolve();
        await server.stop();
      }
    }
    const until = async (isSo: () => boolean): Promise<void> => {
      for (const endMs = Date.now() + 5000; !isSo(); await new Promise((resolve) => setImmediate(resolve)))
        assert.ok(Date.now() < endMs, 'within 5 s');
    };
    const open = async (address: string): Promise<Socket> => {
      const { hostname, port } = new URL(address);
      const socket = connect(Number(port), hostname);
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      return socket;
    };
    const statusRequest = `GET /api/v1/status HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`;

    test('more connections are closed at once and counted', () =>
      slow({ connections: 2 }, async ({ address, server }) => {
        const sockets = [await open(address), await open(address)];
        const third = await open(address);
        await once(third, 'close');
        assert.equal(server.figures.refusedConnections, 1);
        for (const socket of sockets) socket.destroy();
      }));

    test('more requests are refused and counted, but not the question whether it lives', () =>
      slow({ requests: 2 }, async ({ address, go, server }) => {
        const first = [1, 2].map(() => request(`${address}/api/v1/status`, { headers: bearer }));
        await until(() => server.figures.requestsWaiting === 2);
        for (const [path, want] of [
          ['/api/v1/status', 503],
          ['/metrics', 503],
          ['/health', 200],
        ] as const) {
          const { statusCode, body } = await request(`${address}${path}`, { headers: bearer });
          await body.dump();
          assert.equal(statusCode, want, path);
        }
        assert.deepEqual(server.figures, { refusedConnections: 0, refusedRequests: 2, requestsWaiting: 2 });
        go();
        for (const response of await Promise.all(first)) {
          await response.body.dump();
          assert.equal(response.statusCode, 200);
        }
        await until(() => server.figures.requestsWaiting === 0);
        const again = await request(`${address}/api/v1/status`, { headers: bearer });
        await again.body.dump();
        assert.equal(again.statusCode, 200);
      }));

    test('many requests of one connection that reads no answer, and goes away', () =>
      slow({ requests: 3 }, async ({ address, server }) => {
        const socket = await open(address);
        socket.write(statusRequest.repeat(10));
        await until(() => server.figures.refusedRequests === 7);
        assert.equal(server.figures.requestsWaiting, 3);
        socket.destroy();
        await until(() => server.figures.requestsWaiting === 0);
      }));

    for (const [name, begun] of [
      ['headers', 'GET /health HTTP/1.1\r\nhost: localhost\r\n'],
      ['a body', `POST /api/v1/dlq/drop HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\n\r\n`],
      ['nothing at all', ''],
    ] as const)
      test(`${name} that does not come in time: 408, closed`, () =>
        slow({ requestMs: 30 }, async ({ address }) => {
          const socket = await open(address);
          let answer = '';
          socket.on('data', (data) => (answer += data.toString()));
          socket.write(begun);
          await once(socket, 'close');
          if (name === 'headers') assert.match(answer, /^HTTP\/1.1 408 /);
        }));

    test('strangers do not make anybody wait', () =>
      slow({ requests: 1 }, async ({ address, server }) => {
        const { statusCode, body } = await request(`${address}/api/v1/status`);
        await body.dump();
        assert.deepEqual([statusCode, server.figures.requestsWaiting], [401, 0]);
      }));
  });

  test('a port that is taken is said so', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen({ host: '127.0.0.1', port: 0 }, resolve));
    const { port } = other.address() as { port: number };
    try {
      await assert.rejects(
        new ControlServer({ ...options, port }).start(),
        (error: unknown) =>
          error instanceof MillraceError && error.code === 'MR_PORT_TAKEN' && error.message.includes(String(port)),
      );
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  test('stop works twice', async () => {
    const server = new ControlServer(options);
    await server.start();
    await server.stop();
    await server.stop();
  });
});

describe('dead letters over the API', () => {
  const folder = mkdtempSync(join(tmpdir(), 'control-'));
  after(() => rmSync(folder, { recursive: true }));
  let made = 0;

  /** Three letters, numbered 0 to 2, and an output that answers as it is told. */
  async function bench(answers: readonly Outcome['kind'][]) {
    const directory = join(folder, String(made++));
    const clock = new FakeClock();
    const log = { debug() {}, info() {}, warn() {}, error() {} };
    const graveyard = new DeadLetters({ directory, output: 'es', log, clock });
    for (let n = 0; n < 3; n++) graveyard.bury([{ batch: makeBatch([{ record: { n } }]), reason: 'bad' }]);
    graveyard.close();
    const store = new DeadLetterStore(directory);
    const sent: unknown[][] = [];
    const send = (output: string, letters: readonly Letter[]): Promise<readonly Outcome[] | undefined> => {
      sent.push(letters.map(({ event }) => (readEvent(event).record as { n: number }).n));
      const outcomes = letters.map((_letter, n) => ({ kind: answers[n] ?? 'delivered', reason: 'why' }));
      return Promise.resolve(output === 'es' ? outcomes : undefined);
    };
    const left = async (): Promise<FoundLetter[]> => {
      const found = [];
      for await (const one of store.letters('es')) found.unshift(one);
      return found;
    };
    const ids = (await left()).map(({ letter }) => letter.id);
    const file = (await left())[0]?.file ?? '';
    const service = new DeadLetterService({ store, clock, send });
    const numbers = async (): Promise<number[]> => (await left()).map(({ letter }) => ids.indexOf(letter.id));
    return { service, sent, ids, file, left: numbers };
  }

  async function post(address: string, path: string, body: unknown, headers: Record<string, string> = bearer) {
    const response = await request(`${address}${path}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { code: response.statusCode, answer: (await response.body.json()) as Record<string, unknown> };
  }

  test('what the server takes is done with, the rest stays', async () => {
    const { service, ids, file, left, sent } = await bench(['delivered', 'refused', 'waiting']);
    await serving({ deadLetters: service }, async (address) => {
      const { code, answer } = await post(address, '/api/v1/dlq/replay', { output: 'es', file, ids });
      assert.equal(code, 200);
      assert.deepEqual(
        (answer['outcomes'] as { kind: string; id: string }[]).map(({ kind, id }) => [kind, ids.indexOf(id)]),
        [
          ['delivered', 0],
          ['refused', 1],
          ['waiting', 2],
        ],
      );
      assert.deepEqual(await left(), [1, 2]);
      await post(address, '/api/v1/dlq/replay', { output: 'es', file, ids, isLast: true });
      assert.deepEqual(sent, [
        [0, 1, 2],
        [1, 2],
      ]);
    });
  });

  test('two at once send no letter twice', async () => {
    const { service, ids, file, left, sent } = await bench([]);
    const replays = [1, 2, 3].map(() => service.replay({ output: 'es', file, ids, isLast: false }));
    const answers = await Promise.all(replays);
    assert.deepEqual(
      answers.map((answer) => answer?.outcomes.length),
      [3, 0, 0],
    );
    assert.deepEqual([sent, await left()], [[[0, 1, 2]], []]);
  });

  test('killed between the server and the mark: the letter is there, and goes again with its id', async () => {
    const { service, ids, file, left } = await bench([]);
    // The process that sent it never came to mark it: a service that is made anew knows nothing of it.
    const { promise: never } = Promise.withResolvers<readonly Outcome[]>();
    const store = new DeadLetterStore(join(folder, String(made - 1)));
    const seen: string[] = [];
    const killed = new DeadLetterService({
      store,
      clock: new FakeClock(),
      send: (_output, letters) => {
        seen.push(...letters.map(({ id }) => id));
        return never;
      },
    });
    void killed.replay({ output: 'es', file, ids, isLast: false });
    while (seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(await left(), [0, 1, 2]);
    const answer = await service.replay({ output: 'es', file, ids, isLast: false });
    assert.deepEqual(
      answer?.outcomes.map(({ id }) => id),
      seen,
    );
    assert.deepEqual(await left(), []);
  });

  test('drop', async () => {
    const { service, ids, file, left } = await bench([]);
    await serving({ deadLetters: service }, async (address) => {
      const { answer } = await post(address, '/api/v1/dlq/drop', { output: 'es', file, ids: ids.slice(0, 2) });
      assert.deepEqual([answer, await left()], [{ dropped: 2 }, [2]]);
    });
  });

  for (const [name, path, change, want] of [
    ['an output that does not run', 'replay', { to: 'other' }, 404],
    ['letters of an output that has none', 'replay', { output: 'none' }, 200],
    ['a file that is none of ours', 'replay', { file: '../../token' }, 400],
    ['ids that are none', 'drop', { ids: ['x'] }, 400],
    ['no ids', 'drop', { ids: [] }, 400],
    ['too many', 'drop', { ids: Array.from({ length: 1001 }, () => '0'.repeat(32)) }, 400],
    ['more than a body may hold', 'drop', { output: 'x'.repeat(70_000) }, 413],
    ['a word that we do not know', 'drop', { all: true }, 400],
  ] as const)
    test(name, async () => {
      const { service, ids, file, left } = await bench([]);
      await serving({ deadLetters: service }, async (address) => {
        const { code, answer } = await post(address, `/api/v1/dlq/${path}`, { output: 'es', file, ids, ...change });
        assert.equal(code, want);
        if (want !== 200) assert.equal(typeof answer['error'], 'string');
        assert.deepEqual(await left(), [0, 1, 2]);
      });
    });

  test('without a token nothing is done', async () => {
    const { service, ids, file, left } = await bench([]);
    await serving({ deadLetters: service }, async (address) => {
      for (const path of ['replay', 'drop'])
        assert.equal((await post(address, `/api/v1/dlq/${path}`, { output: 'es', file, ids }, {})).code, 401);
    });
    assert.deepEqual(await left(), [0, 1, 2]);
  });
});
