/**
 * Dead letters with real processes that are killed at the worst moments: behind a refusal, and in the middle of a replay that
 * the server has taken and not answered. Then what a process says of itself while its server is gone.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { request } from 'undici';
import { main } from '../../cli/main.ts';
import { writePackedForward } from '../../engine/events/forward.ts';
import { makeBatch } from '../../engine/testing/driver.ts';
import { parseExposition } from '../../engine/testing/exposition.ts';
import { Running, total } from './running.ts';

const EVENTS = 100;
type Mood = 'refuses odd numbers' | 'takes and does not answer' | 'takes';

/** What Elasticsearch does with `create`, as far as it matters here. */
class Index {
  mood: Mood = 'refuses odd numbers';
  /** Number of each event by the id of its document. */
  readonly stored = new Map<string, number>();
  bulks = 0;
  onBulk: (() => void) | undefined;
  readonly #server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on('data', (part: Buffer) => parts.push(part));
    incoming.on('end', () => this.#answer(incoming.url ?? '', Buffer.concat(parts).toString(), response));
  });

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  #answer(url: string, body: string, response: ServerResponse): void {
    response.setHeader('content-type', 'application/json');
    if (!url.includes('_bulk')) return void response.end('{"version":{"number":"8.19.0"},"tagline":"You Know, for Search"}');
    const lines = body.trimEnd().split('\n');
    const items = Array.from({ length: lines.length / 2 }, (_, n) => this.#create(lines[2 * n] ?? '', lines[2 * n + 1] ?? ''));
    this.bulks++;
    this.onBulk?.();
    if (this.mood === 'takes and does not answer') return;
    response.end(JSON.stringify({ took: 1, errors: items.some(({ create }) => create.status !== 201), items }));
  }

  #create(action: string, document: string): { create: { _id: string; status: number; error?: object } } {
    const { _id: id } = (JSON.parse(action) as { create: { _id: string } }).create;
    const { n } = JSON.parse(document) as { n: number };
    if (this.stored.has(id))
      return { create: { _id: id, status: 409, error: { type: 'version_conflict_engine_exception', reason: 'exists' } } };
    if (this.mood === 'refuses odd numbers' && n % 2 === 1)
      return {
        create: {
          _id: id,
          status: 400,
          error: { type: 'document_parsing_exception', reason: 'a field does not fit: 坏\u001b[31m' },
        },
      };
    this.stored.set(id, n);
    return { create: { _id: id, status: 201 } };
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}

async function millrace(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const code = await main(args, { out: (text) => (out += text), err: (text) => (err += text), isTerminal: false });
  return { code, out, err };
}

/** Sends events numbered from `from` and waits until they are acknowledged. */
async function send(port: number, from: number, count: number): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  const records = Array.from({ length: count }, (_, n) => ({ record: { n: from + n } }));
  socket.write(writePackedForward('web.a', [makeBatch(records)], 'id\n', undefined));
  await once(socket, 'data');
  socket.destroy();
}

describe('dead letters', () => {
  test('are neither lost nor delivered twice, whenever the process is killed', { timeout: 120_000 }, async () => {
    const directory = mkdtempSync(join(tmpdir(), 'dead-letters-'));
    const data = ['--data', join(directory, 'data')];
    const index = new Index();
    const config = `<source>
  @type forward
  @id in
  port 0
</source>
<match **>
  @type elasticsearch
  @id es
  hosts http://127.0.0.1:${await index.listen()}
  <buffer>
    flush_interval 100ms
  </buffer>
</match>
`;
    const letters = async (): Promise<{ id: string; reason: string; record: { n: number } }[]> => {
      const { out } = await millrace('dlq', 'show', '--json', '--limit', '9999', ...data);
      return out
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as { id: string; reason: string; record: { n: number } });
    };
    const odd = Array.from({ length: EVENTS / 2 }, (_, n) => 2 * n + 1);
    const numbersOf = (found: readonly { record: { n: number } }[]): number[] =>
      found.map(({ record }) => record.n).toSorted((a, b) => a - b);
    let running = await Running.start({ directory, config });
    try {
      await send(await running.port('in'), 0, EVENTS);
      await running.until(
        'everything decided',
        (status) => total(status, 'es', 'in') === EVENTS && total(status, 'es', 'pending') === 0,
      );
      await running.kill();

      // Whatever of its progress was not on the disk: an event that is refused twice is one letter.
      running = await Running.start({ directory, config });
      await running.until('nothing pending', (status) => total(status, 'es', 'pending') === 0);
      assert.deepEqual(numbersOf(await letters()), odd);
      assert.match((await letters())[0]?.reason ?? '', /a field does not fit/);

      index.mood = 'takes and does not answer';
      const asked = new Promise<void>((done) => (index.onBulk = done));
      const replay = millrace('dlq', 'replay', 'es', ...data);
      await asked;
      await running.kill();
      assert.equal((await replay).code, 69);
      assert.deepEqual(numbersOf(await letters()), odd, 'no letter is marked that nobody has confirmed');

      index.mood = 'takes';
      running = await Running.start({ directory, config });
      assert.deepEqual(await millrace('dlq', 'replay', 'es', ...data), {
        code: 0,
        out: `${EVENTS / 2} letters delivered to es, 0 refused again, 0 left\n`,
        err: '',
      });
      assert.deepEqual(await letters(), []);
      assert.deepEqual(
        [...index.stored.values()].toSorted((a, b) => a - b),
        Array.from({ length: EVENTS }, (_, n) => n),
      );
      const { bulks } = index;
      assert.equal((await millrace('dlq', 'replay', 'es', ...data)).code, 0);
      assert.equal(index.bulks, bulks, 'nothing is sent again');

      await tellsOfItself(running, index, data);
      await running.kill();
    } finally {
      await running.kill();
      await index.close().catch(() => undefined);
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

/** Metrics and readiness of a process that is well; then its server goes, and it says so. */
async function tellsOfItself(running: Running, index: Index, data: readonly string[]): Promise<void> {
  const { address } = JSON.parse(readFileSync(join(data[1] ?? '', 'control.json'), 'utf8')) as { address: string };
  const get = async (path: string): Promise<{ code: number; text: string }> => {
    const response = await request(`${address}${path}`);
    return { code: response.statusCode, text: await response.body.text() };
  };
  const { series } = parseExposition((await get('/metrics')).text);
  const es = 'component="es",kind="output",type="elasticsearch",worker="0"';
  assert.equal(series.get(`millrace_component_events_created_total{${es}}`), EVENTS / 2, 'the replayed ones enter the books');
  assert.equal(series.get('millrace_imbalances'), 0);
  assert.deepEqual(await get('/ready'), { code: 200, text: '{"ready":true,"reasons":[]}' });
  assert.equal((await millrace('why', ...data)).code, 0);

  await index.close();
  await send(await running.port('in'), EVENTS, 7);
  await running.until('it says that it stalls', ({ stalls }) => stalls.length > 0);
  const { code, out } = await millrace('why', 'es', ...data);
  assert.equal(code, 1);
  assert.match(out, /^✖ output es has delivered nothing for 1\d s while 7 events wait, because .*ECONNREFUSED/);
  assert.match(out, /\n {4}at {3}.*fluent\.conf:\d+:1\n {4}fix {2}start the server/);
  // What it would send is kept, and more can be taken.
  assert.equal((await get('/ready')).code, 200);
  const stalled = parseExposition((await get('/metrics')).text).series.get(`millrace_component_stalled_seconds{${es}}`) ?? 0;
  assert.ok(stalled >= 10, String(stalled));
}
