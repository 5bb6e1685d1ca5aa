import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { describe, test } from 'node:test';
import type { Output, Verdict } from '../../engine/component.ts';
import { create, FakeClock, makeBatch, makeChunk, testContext } from '../../engine/testing/driver.ts';
import { encodeFrame, type SenderItem } from './protocol.ts';
import { zabbix } from './zabbix.ts';

const NOW = 1_700_000_000;

/** Takes values of the keys it knows, counts the rest as failed; `broken` closes without an answer. */
async function trapper(knows: (item: SenderItem) => boolean, broken = (_request: number): boolean => false) {
  const seen: SenderItem[][] = [];
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    let bytes = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length < 13 || bytes.length < 13 + bytes.readUInt32LE(5)) return;
      const { data } = JSON.parse(bytes.subarray(13).toString('utf8')) as { data: SenderItem[] };
      seen.push(data);
      if (broken(seen.length)) {
        socket.destroy();
        return;
      }
      const processed = data.filter(knows).length;
      const info = `processed: ${processed}; failed: ${data.length - processed}; total: ${data.length}; seconds spent: 0.000010`;
      socket.end(encodeFrame(JSON.stringify({ response: 'success', info })));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    seen,
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const signal = new AbortController().signal;
function output(config: object, port: number): { output: Output; values: Record<string, number> } {
  const ctx = testContext(zabbix, { clock: new FakeClock(NOW * 1000) });
  return { output: create<Output>(zabbix, { zabbix_host: 'web', port, ...config }, ctx), values: ctx.values };
}
const chunkOf = (records: readonly Record<string, unknown>[], { attempt = 0, time = NOW, tag = 'app' } = {}) =>
  makeChunk(
    [
      makeBatch(
        records.map((record) => ({ record, time })),
        tag,
      ),
    ],
    attempt,
  );

describe('events become values', () => {
  for (const [name, config, records, want] of [
    ['one key', { key: 'load' }, [{ value: 1.5 }, { value: '北京' }], ['web load 1.5', 'web load 北京']],
    [
      'key and host in fields',
      { key_name_key: 'name', host_key: 'h', value_key: 'v' },
      [
        { name: 'k', h: 'db', v: 7 },
        { name: 'k', v: true },
      ],
      ['db k 7', 'web k true'],
    ],
    [
      'fields as values',
      { name_keys: 'a,b.c', prefix: '${tag}.x' },
      [{ a: 0, b: { c: 2 } }, { a: '' }],
      ['web app.x.a 0', 'web app.x.b.c 2', 'web app.x.a '],
    ],
  ] as const) {
    test(name, async () => {
      await using server = await trapper(() => true);
      const { output: out, values } = output(config, server.port);
      assert.equal(await out.write(chunkOf(records), signal), 'delivered');
      assert.deepEqual(
        server.seen.flat().map(({ host, key, value }) => `${host} ${key} ${value}`),
        want,
      );
      assert.ok(server.seen.flat().every(({ clock }) => clock === NOW));
      assert.equal(values['values'], want.length);
    });
  }
  test('the same time twice is told apart, and arrival can be taken instead', async () => {
    await using server = await trapper(() => true);
    await output({ key: 'k' }, server.port).output.write(chunkOf([{ value: 1 }, { value: 2 }]), signal);
    await output({ key: 'k', use_event_time: false }, server.port).output.write(
      chunkOf([{ value: 1 }], { time: NOW + 9999 }),
      signal,
    );
    assert.deepEqual(
      server.seen.flat().map(({ clock, ns }) => [clock, ns]),
      [
        [NOW, 0],
        [NOW, 1],
        [undefined, undefined],
      ],
    );
  });
  test('what cannot be sent is refused with its reason, the rest is sent', async () => {
    await using server = await trapper(() => true);
    const { output: out } = output({ key_name_key: 'name' }, server.port);
    const verdict = await out.write(
      chunkOf([{ name: 'a', value: 1 }, { value: 1 }, { name: 'a' }, { name: 'a', value: Number.NaN }]),
      signal,
    );
    assert.deepEqual(verdict, {
      refused: [
        { index: 1, reason: 'the event has no item key' },
        { index: 2, reason: 'the event has no value' },
        { index: 3, reason: 'the value of value cannot be sent: not-finite' },
      ],
    });
    assert.equal(server.seen.flat().length, 1);
  });
  test('an event of the future is refused', async () => {
    await using server = await trapper(() => true);
    const verdict = await output({ key: 'k' }, server.port).output.write(chunkOf([{ value: 1 }], { time: NOW + 120 }), signal);
    assert.match(JSON.stringify(verdict), /lies ahead/);
  });
});

describe('answers become verdicts', () => {
  const records = Array.from({ length: 30 }, (_, n) => ({ name: n % 10 === 3 ? 'unknown' : 'known', value: n }));
  const isKnown = (item: SenderItem): boolean => item.key === 'known';
  const retryOf = (verdict: Verdict): unknown => (verdict === 'delivered' ? verdict : verdict.retry);

  test('the values that were not taken are found, tried again, and at last refused', async () => {
    await using server = await trapper(isKnown);
    const { output: out, values } = output({ key_name_key: 'name', unknown_retries: 2, unknown_retry_wait: '5s' }, server.port);
    const first = await out.write(chunkOf(records), signal);
    assert.deepEqual(first, {
      retry: [3, 13, 23],
      afterMs: 5000,
      refused: [],
      reason: 'zabbix did not take 3 values, the first for item web: unknown',
    });
    assert.equal(values['values'], 27);
    const last = await out.write(chunkOf(records, { attempt: 2 }), signal);
    assert.ok(last !== 'delivered' && last.retry === undefined);
    assert.deepEqual(
      last.refused?.map(({ index }) => index),
      [3, 13, 23],
    );
    assert.match(last.refused?.[0]?.reason ?? '', /unknown host or item/);
  });
  test('a broken connection: everything again', async () => {
    await using server = await trapper(isKnown, () => true);
    const verdict = await output({ key: 'known' }, server.port).output.write(chunkOf(records), signal);
    assert.deepEqual(
      retryOf(verdict),
      Array.from({ length: 30 }, (_, n) => n),
    );
  });
  test('a connection that breaks later: only what was not answered', async () => {
    await using server = await trapper(isKnown, (request) => request === 3);
    const verdict = await output({ key: 'known', batch_records: 10 }, server.port).output.write(chunkOf(records), signal);
    assert.deepEqual(
      retryOf(verdict),
      Array.from({ length: 10 }, (_, n) => 20 + n),
    );
  });
  test('nobody listens', async () => {
    const server = await trapper(isKnown);
    await server[Symbol.asyncDispose]();
    const { output: out } = output({ key: 'k' }, server.port);
    const verdict = await out.write(chunkOf([{ value: 1 }]), signal);
    assert.ok(verdict !== 'delivered' && /cannot connect to zabbix/.test(verdict.reason ?? ''));
    await assert.rejects(out.probe?.(signal) ?? Promise.resolve(), { code: 'MR_CONNECT' });
  });
  test('a trapper that answers passes the probe', async () => {
    await using server = await trapper(isKnown);
    await output({ key: 'k' }, server.port).output.probe?.(signal);
  });
});

describe('settings', () => {
  for (const [name, config, want] of [
    ['no way to a key', {}, 1],
    ['two ways', { key: 'a', name_keys: 'b' }, 1],
    ['one way', { key: 'a' }, 0],
    ['a wrong server', { key: 'a', servers: 'a:1,b:x' }, 1],
  ] as const) {
    test(name, () => assert.equal(zabbix.check?.(zabbix.config.parse(config)).length, want));
  }
});
