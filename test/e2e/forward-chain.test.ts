/**
 * millrace to millrace, with acknowledgements and gzip, and the second one ended in the middle and started again.
 *
 * What the level `memory` promises, and what is asserted here:
 *
 *     the first     has acknowledged an event: it holds it until the second has acknowledged it, however long that takes
 *     the second    ended in order (SIGTERM): everything that it has acknowledged is in its file
 *                   killed (SIGKILL): what it has acknowledged and not written yet is lost with its memory, nothing else is
 *     both          at least once: a chunk whose acknowledgement was lost is sent again, under the same id. Events are
 *                   in the file at most as often as their chunks were sent
 *
 * A relay between the two writes down which chunks were sent and which were acknowledged.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readRequest, writePackedForward } from '../../engine/events/forward.ts';
import { MessageScanner } from '../../engine/events/message-scanner.ts';
import { decode } from '../../engine/events/msgpack.ts';
import { makeBatch, readBatch } from '../../engine/testing/driver.ts';
import { readReplies } from '../../shippers/forward/reply.ts';
import { Running, total } from './running.ts';

const SENDERS = 16;
const ROUNDS = 12;
const EVENTS_EACH = 10;
const ALL = SENDERS * ROUNDS * EVENTS_EACH;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Whole messages out of whatever pieces. */
function messages(onMessage: (bytes: Buffer) => void): (data: Buffer) => void {
  let kept: Buffer = Buffer.alloc(0);
  return (data) => {
    kept = Buffer.concat([kept, data]);
    for (;;) {
      const { at, state } = new MessageScanner().scan(kept, 0, kept.length);
      assert.notEqual(state, 'invalid');
      if (state !== 'done') return;
      onMessage(kept.subarray(0, at));
      kept = kept.subarray(at);
    }
  };
}

/** Stands between the two; where it leads to may change, and be nowhere. */
class Relay {
  /** By chunk id: its events, how often it was sent, and whether it was acknowledged. */
  readonly chunks = new Map<string, { numbers: number[]; sent: number; isAcknowledged: boolean }>();
  target: number | undefined;
  acknowledged = 0;
  onAcknowledged: (() => void) | undefined;
  readonly #server = createServer((socket) => this.#join(socket));
  readonly #sockets = new Set<Socket>();

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  #join(near: Socket): void {
    if (this.target === undefined) return void near.destroy();
    const far = connect(this.target, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
    }
    const onRequest = messages((bytes) => this.#request(bytes));
    const onReply = messages((bytes) => this.#reply(bytes));
    near.on('data', (data: Buffer) => {
      onRequest(data);
      far.write(data);
    });
    far.on('data', (data: Buffer) => {
      onReply(data);
      near.write(data);
    });
    near.on('end', () => far.end());
    far.on('end', () => near.end());
  }

  #request(bytes: Buffer): void {
    const request = readRequest(bytes, 0, bytes.length, { decompressedBytes: 1 << 26 }, 0);
    assert.ok(typeof request === 'object' && request.chunk !== undefined && request.batch !== undefined);
    const numbers = readBatch(request.batch).map(({ record }) => record['n'] as number);
    const id = decode(request.chunk) as string;
    const known = this.chunks.get(id);
    if (known === undefined) this.chunks.set(id, { numbers, sent: 1, isAcknowledged: false });
    else {
      assert.deepEqual(numbers, known.numbers, 'the same id means the same events');
      known.sent++;
    }
  }

  #reply(bytes: Buffer): void {
    for (const id of readReplies(bytes).acks) {
      const chunk = this.chunks.get(id);
      assert.ok(chunk !== undefined);
      chunk.isAcknowledged = true;
      this.acknowledged++;
      this.onAcknowledged?.();
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

/** Sends one batch after the other, each when the one before is acknowledged. */
async function sendAll(port: number, sender: number, beforeRound: (round: number) => Promise<void>): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  for (let round = 0; round < ROUNDS; round++) {
    await beforeRound(round);
    const first = (sender * ROUNDS + round) * EVENTS_EACH;
    const records = Array.from({ length: EVENTS_EACH }, (_, n) => ({ record: { n: first + n, message: `第 ${first + n} 号` } }));
    const id = `${sender}-${round}`;
    socket.write(writePackedForward(`chain.${sender % 3}`, [makeBatch(records)], id, undefined));
    const [data] = (await once(socket, 'data')) as [Buffer];
    assert.deepEqual(readReplies(data).acks, [id]);
  }
  socket.end();
}

const firstConfig = (port: number, relay: number, keepalive: boolean): string => `<source>
  @type forward
  @id in
  port ${port}
</source>
<match chain.*>
  @type forward
  @id out
  require_ack_response true
  compress gzip
  keepalive ${keepalive}
  <server>
    host 127.0.0.1
    port ${relay}
  </server>
  <buffer>
    flush_interval 50ms
    chunk_limit_records 40
    retry_wait 100ms
    retry_max_interval 300ms
  </buffer>
</match>
`;

const secondConfig = (port: number): string => `<source>
  @type forward
  @id in
  port ${port}
</source>
<match chain.*>
  @type file
  @id out
  path events.log
  <buffer>
    flush_mode immediate
  </buffer>
</match>
`;

describe('millrace to millrace', () => {
  for (const [signal, workers, keepalive] of [
    ['SIGTERM', 2, true],
    ['SIGKILL', 1, true],
    ['SIGKILL', 2, false],
  ] as const)
    test(`the second one gets ${signal} and is started again, ${workers} workers, keepalive ${keepalive}`, async (t) => {
      const directory = mkdtempSync(join(tmpdir(), 'millrace-chain-'));
      const relay = new Relay();
      const args = ['--workers', String(workers)];
      const running: Running[] = [];
      t.after(async () => {
        for (const one of running) await one.kill();
        await relay.close();
        rmSync(directory, { recursive: true });
      });
      const startSecond = async (): Promise<Running> => {
        const port = await freePort();
        const second = await Running.start({ directory: join(directory, 'second'), config: secondConfig(port), args });
        running.push(second);
        relay.target = port;
        return second;
      };
      let second = await startSecond();
      const port = await freePort();
      const config = firstConfig(port, await relay.listen(), keepalive);
      const first = await Running.start({ directory: join(directory, 'first'), config, args });
      running.push(first);

      // The second one ends while chunks come and go, and stays away for a while.
      const isFlowing = new Promise<void>((done) => {
        relay.onAcknowledged = () => relay.acknowledged >= 10 && done();
      });
      const interruption = isFlowing.then(async () => {
        await (signal === 'SIGKILL' ? second.kill() : second.stop());
        relay.target = undefined;
        await first.until('the first one says that it tries again', ({ components }) =>
          components.some(({ id, state }) => id === 'out' && state === 'retrying'),
        );
        second = await startSecond();
      });
      // Half of the rounds come when the second one is gone.
      const beforeRound = async (round: number): Promise<void> => {
        if (round === ROUNDS / 2) await isFlowing;
      };
      await Promise.all([interruption, ...Array.from({ length: SENDERS }, (_, sender) => sendAll(port, sender, beforeRound))]);

      // The first one has acknowledged everything: it lets go of it when the second one has done so.
      const books = await first.until('the first one has delivered everything', (status) => total(status, 'out', 'out') === ALL);
      assert.deepEqual(books.imbalances, []);
      assert.equal(total(books, 'out', 'pending'), 0);
      for (const worker of books.components.filter(({ id }) => id === 'in'))
        assert.ok(worker.in + worker.created > 0, 'every worker has a share');
      await first.stop();
      const closing = await second.until(
        'the second one has written everything',
        (status) => total(status, 'out', 'pending') === 0,
      );
      assert.deepEqual(closing.imbalances, []);
      await second.stop();

      const counts = new Map<number, number>();
      for (const line of readFileSync(join(directory, 'second', 'events.log'), 'utf8').split('\n')) {
        if (line === '') continue;
        const { n, message } = JSON.parse(line) as { n: number; message: string };
        assert.equal(message, `第 ${n} 号`);
        counts.set(n, (counts.get(n) ?? 0) + 1);
      }
      const sent = new Map<number, number>();
      for (const [id, chunk] of relay.chunks) {
        assert.ok(chunk.isAcknowledged, `chunk ${id} was let go without an acknowledgement`);
        for (const n of chunk.numbers) sent.set(n, (sent.get(n) ?? 0) + chunk.sent);
      }
      assert.equal(sent.size, ALL);
      const missing = Array.from({ length: ALL }, (_, n) => n).filter((n) => !counts.has(n));
      assert.deepEqual(missing, [], 'what was acknowledged, and what was not, arrives');
      // Written to the file and not yet noted as written when it was killed: such an event is written once more.
      const again = signal === 'SIGKILL' ? 1 : 0;
      for (const [n, count] of counts) assert.ok(count <= (sent.get(n) ?? 0) + again, `event ${n} is there ${count} times`);
      const duplicates = [...counts.values()].reduce((sum, count) => sum + count - 1, 0);
      t.diagnostic(`${relay.chunks.size} chunks, ${duplicates} events written again`);
    });
});
