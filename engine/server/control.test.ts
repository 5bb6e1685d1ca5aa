import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { request } from 'undici';
import { MillraceError } from '../errors.ts';
import { ControlServer } from './control.ts';

const TOKEN = 'a-token-of-sufficient-length-for-this';
const options = { bind: '127.0.0.1', port: 0, token: TOKEN, status: () => Promise.resolve({ components: [] }) };

describe('control server', () => {
  for (const [name, path, headers, want] of [
    ['health needs no token', '/health', {}, 200],
    ['status with the token', '/api/v1/status', { authorization: `Bearer ${TOKEN}` }, 200],
    ['status without a token', '/api/v1/status', {}, 401],
    [
      'status with a wrong token of the same length',
      '/api/v1/status',
      { authorization: `Bearer ${TOKEN.replace('a', 'b')}` },
      401,
    ],
    ['status with a shorter token', '/api/v1/status', { authorization: 'Bearer x' }, 401],
    [
      'a name that a foreign page could be bound to',
      '/api/v1/status',
      { authorization: `Bearer ${TOKEN}`, host: 'evil.example' },
      421,
    ],
    ['what is not there', '/nothing', {}, 404],
  ] as const) {
    test(name, async () => {
      const server = new ControlServer(options);
      const address = await server.start();
      try {
        const response = await request(`${address}${path}`, { headers });
        assert.equal(response.statusCode, want);
        await response.body.dump();
      } finally {
        await server.stop();
      }
    });
  }

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
