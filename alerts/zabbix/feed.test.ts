import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import { FakeClock, testContext } from '../../engine/testing/driver.ts';
import type { RuleItem } from '../schedule.ts';
import { ZabbixFeed } from './feed.ts';

const itemsOf = (count: number, from = 0): RuleItem[] =>
  Array.from({ length: count }, (_, n) => ({ host: 'h', key: 'k', value: String(from + n), clock: 1, ns: 0 }));

/** A frame of the sender protocol: magic, flag 1, length, reserved, payload. */
function encodeFrame(payload: string): Buffer {
  const head = Buffer.from('ZBXD\u0001\0\0\0\0\0\0\0\0', 'latin1');
  head.writeUInt32LE(Buffer.byteLength(payload), 5);
  return Buffer.concat([head, Buffer.from(payload)]);
}

async function setUp(mode: { isUp: boolean; processed?: number }) {
  const values: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    let bytes = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 13 || bytes.length < 13 + bytes.readUInt32LE(5)) return;
      if (!mode.isUp) {
        socket.destroy();
        return;
      }
      const { data } = JSON.parse(bytes.subarray(13).toString('utf8')) as { data: RuleItem[] };
      values.push(...data.map((item) => item.value));
      socket.end(
        encodeFrame(
          JSON.stringify({
            response: 'success',
            info: `processed: ${mode.processed ?? data.length}; failed: 0; total: ${data.length}`,
          }),
        ),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const clock = new FakeClock();
  const { log, lines } = testContext({ metrics: {} });
  const feed = new ZabbixFeed({ servers: [{ host: '127.0.0.1', port: (server.address() as AddressInfo).port }], clock, log });
  return {
    feed,
    clock,
    lines,
    values,
    async [Symbol.asyncDispose]() {
      await feed.stop();
      await feed.stop();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('values of rules on their way', () => {
  test('arrive in order, in requests of 250', async () => {
    await using run = await setUp({ isUp: true });
    run.feed.send(itemsOf(600));
    await run.feed.idle();
    assert.deepEqual(
      run.values,
      itemsOf(600).map((item) => item.value),
    );
    assert.deepEqual(run.feed.status, { sent: 600, refused: 0, dropped: 0, pending: 0, trouble: undefined });
  });
  test('wait while nobody answers, said once, and go on later', async () => {
    const mode = { isUp: false };
    await using run = await setUp(mode);
    run.feed.send(itemsOf(2));
    await run.feed.idle();
    run.feed.send(itemsOf(1, 2));
    await run.feed.idle();
    assert.equal(run.feed.status.pending, 3);
    run.clock.advance(1000);
    await run.feed.idle();
    assert.deepEqual(
      run.lines.map((line) => line.message),
      ['values of rules do not reach zabbix, trying again'],
    );
    mode.isUp = true;
    run.clock.advance(2000);
    await run.feed.idle();
    assert.deepEqual(run.values, ['0', '1', '2']);
    assert.equal(run.lines.at(-1)?.message, 'values of rules reach zabbix again');
  });
  test('the oldest are dropped at the bound', async () => {
    await using run = await setUp({ isUp: false });
    run.feed.send(itemsOf(10_500));
    await run.feed.idle();
    assert.deepEqual(run.feed.status.pending + run.feed.status.dropped, 10_500);
    assert.equal(run.feed.status.pending, 10_000);
    await run.feed.stop();
    assert.deepEqual([run.feed.status.pending, run.feed.status.dropped], [0, 10_500]);
    run.feed.send(itemsOf(1));
  });
  test('what zabbix does not take is counted and said once a minute', async () => {
    await using run = await setUp({ isUp: true, processed: 1 });
    for (let n = 0; n < 2; n++) {
      run.feed.send(itemsOf(3));
      await run.feed.idle();
    }
    assert.deepEqual([run.feed.status.sent, run.feed.status.refused], [2, 4]);
    assert.equal(run.lines.length, 1);
  });
});
