/**
 * The whole way of events through one worker, as a model: log on a simulated disk, the shared reader, a consumer, an output
 * that fails, hangs and takes half, crashes of the process and of the power at any moment. Whatever happens:
 * what was acknowledged at a level that outlives the crash arrives; nothing arrives that was not sent; no event has two ids and
 * no id two events; and what was counted is the number of events, exactly.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import * as z from 'zod';
import { defineConsumer, type Consumer, type Definition, type Verdict } from '../component.ts';
import { openDiskLog, type DiskLog } from '../log/disk-log.ts';
import type { Level } from '../log/entrance-log.ts';
import { MetricMerger, mergedBatch } from '../metrics/merger.ts';
import type { Registered } from '../component.ts';
import { openBench, type Bench } from '../testing/bench.ts';
import { FakeClock } from '../testing/driver.ts';
import { SimulatedDisk } from '../testing/simulated-disk.ts';

const INTERVAL_MS = 1000;
const LEVELS = ['memory', 'os', 'fsync'] as const satisfies readonly Level[];
const CONF = `
${LEVELS.map((level) => `<source>\n  @type feed\n  @id ${level}\n  durability ${level}\n</source>`).join('\n')}
<filter app.**>
  @type tally
  @id tally
</filter>
<match app.**>
  @type keep
  @id events
  <buffer>
    flush_mode immediate
    retry_wait 50ms
    retry_max_interval 100ms
    retry_forever true
    retry_randomize false
  </buffer>
</match>
<match figures>
  @type keep
  @id figures
  <buffer>
    flush_mode immediate
    retry_wait 50ms
    retry_max_interval 100ms
    retry_forever true
    retry_randomize false
  </buffer>
</match>`;

/** Counts events per interval. */
const tally = defineConsumer({
  name: 'tally',
  summary: '',
  config: z.looseObject({}),
  create: (_, ctx): Consumer => {
    let open = new Map<number, number>();
    return {
      reads: [],
      observe(_event, enteredMs) {
        const interval = enteredMs - (enteredMs % INTERVAL_MS);
        open.set(interval, (open.get(interval) ?? 0) + 1);
      },
      close(untilMs) {
        for (const [interval, count] of [...open].sort(([a], [b]) => a - b)) {
          if (interval + INTERVAL_MS > untilMs) break;
          open.delete(interval);
          ctx.publish(interval, count);
        }
      },
      snapshot: () => Buffer.from(JSON.stringify([...open])),
      restore(state) {
        if (state !== undefined) open = new Map(JSON.parse(Buffer.from(state).toString()) as [number, number][]);
      },
    };
  },
});
const TALLY: Registered = {
  kind: 'consumer',
  name: 'tally',
  aliases: [],
  summary: '',
  load: () => Promise.resolve(tally as unknown as Definition),
};
const merge = {
  merge: (intervalMs: number, parts: readonly unknown[]) => ({
    tag: 'figures',
    timeMs: intervalMs + INTERVAL_MS,
    records: [{ interval: intervalMs, count: (parts as number[]).reduce((sum, count) => sum + count, 0) }],
  }),
};

type Sink = 'takes' | 'fails' | 'hangs' | 'half';
type Crash = 'process' | 'power';

interface Sent {
  readonly level: Level;
  /** The worst that may happen from now on without its being lost. */
  safeFrom: Crash | undefined;
  isExcused: boolean;
}

class Model {
  readonly clock = new FakeClock();
  readonly sent: Sent[] = [];
  /** What Elasticsearch would hold: id to number of the event. */
  readonly arrived = new Map<string, number>();
  readonly figures = new Map<number, { id: string; count: number }>();
  readonly #stateDir: string;
  #disk: SimulatedDisk;
  #merger = new MetricMerger(new Map(), []);
  #bench: Bench | undefined;
  #log: DiskLog | undefined;
  #life = 0;
  sink: Sink = 'takes';
  hasLostPower = false;

  constructor(stateDir: string, random: () => number) {
    this.#stateDir = stateDir;
    this.#disk = new SimulatedDisk({ random });
  }

  async open(): Promise<void> {
    const life = ++this.#life;
    const log = await openDiskLog({
      directory: '/log',
      clock: this.clock,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      limitBytes: 1 << 20,
      header: { configHash: '', geoHash: '' },
      incarnation: () => 7n,
      disk: this.#disk,
      segmentBytes: 600,
    });
    const merger = new MetricMerger(new Map([['tally', merge]]), [0]);
    this.#log = log;
    this.#merger = merger;
    this.#bench = await openBench(CONF, {
      clock: this.clock,
      entranceLog: log,
      stateDir: this.#stateDir,
      more: [TALLY],
      write: (id, chunk) => this.#write(life, id, chunk.attempt),
      publish: (consumer, intervalMs, data) => void merger.add({ consumer, worker: 0, intervalMs, data }),
      onClosed: (untilMs) => merger.close(0, untilMs),
      lagDetachBytes: 2000,
    });
  }

  #write(life: number, id: string, attempt: number): Promise<Verdict> {
    if (life !== this.#life || this.sink === 'hangs') return new Promise(() => undefined);
    if (this.sink === 'fails') return Promise.resolve({ retry: 'all', reason: 'told to fail' });
    // The bench keeps what it is told is delivered: half a chunk cannot be said, so it fails the first time.
    if (this.sink === 'half' && id === 'events' && attempt === 0) return Promise.resolve({ retry: 'all', reason: 'half' });
    return Promise.resolve('delivered');
  }

  feed(level: Level, count: number): void {
    const life = this.#life;
    const first = this.sent.length;
    for (let n = 0; n < count; n++) this.sent.push({ level, safeFrom: undefined, isExcused: false });
    const records = Array.from({ length: count }, (_, n) => ({ n: first + n }));
    this.#bench?.feed('app.a', records, level, (failure) => {
      if (failure !== undefined || life !== this.#life) return;
      for (const sent of this.sent.slice(first, first + count)) sent.safeFrom = level === 'fsync' ? 'power' : 'process';
      // `memory` promises nothing over a crash.
      if (level === 'memory') for (const sent of this.sent.slice(first, first + count)) sent.safeFrom = undefined;
    });
  }

  async turn(): Promise<void> {
    await this.#bench?.settle();
    this.#gather();
  }

  /** The main thread's part: merges what is complete, has it appended, and confirms. */
  async pass(ms: number): Promise<void> {
    const life = this.#life;
    this.clock.advance(ms);
    await this.turn();
    for (const { origin, merged } of this.#merger.takeComplete()) {
      const batch = mergedBatch(merged);
      const pipeline = this.#bench?.pipeline;
      if (batch !== undefined)
        pipeline?.inject(batch, origin, (failure) => {
          if (failure === undefined && life === this.#life) pipeline.confirm(origin.consumer, origin.intervalMs);
        });
    }
    await this.turn();
  }

  /** What the outputs have taken so far. */
  #gather(): void {
    for (const { id, record } of this.#bench?.kept('events') ?? []) {
      const n = record['n'] as number;
      assert.ok(n < this.sent.length, 'nothing arrives that was not sent');
      assert.equal(this.arrived.get(id) ?? n, n, `id ${id} stands for two events`);
      this.arrived.set(id, n);
    }
    for (const { id, record } of this.#bench?.kept('figures') ?? []) {
      const [interval, count] = [record['interval'] as number, record['count'] as number];
      const known = this.figures.get(interval);
      if (known !== undefined) assert.deepEqual({ id, count }, known, `interval ${interval} was sent twice`);
      this.figures.set(interval, { id, count });
    }
  }

  async crash(kind: Crash): Promise<void> {
    this.#gather();
    this.#life++;
    if (kind === 'power') this.hasLostPower = true;
    for (const sent of this.sent)
      if (sent.safeFrom === undefined || (kind === 'power' && sent.safeFrom === 'process')) sent.isExcused = true;
    this.#disk = this.#disk.crash(kind);
    // What the process had under way ends unheard.
    await new Promise((resolve) => setImmediate(resolve));
    await this.open();
  }

  /** Everything works again: in the end everything is there. */
  async end(): Promise<void> {
    this.sink = 'takes';
    // Chunks that hang are taken up by the next process.
    await this.crash('process');
    for (let n = 0; n < 200; n++) {
      await this.pass(500);
      const isDone = this.#log !== undefined && this.#log.first >= this.#log.head;
      if (isDone && n > 10) break;
    }
    const { arrived } = this;
    const ids = new Map<number, string>();
    for (const [id, n] of arrived) {
      assert.equal(ids.get(n) ?? id, id, `event ${n} arrived under two ids`);
      ids.set(n, id);
    }
    this.sent.forEach(({ isExcused, level }, n) => assert.ok(isExcused || ids.has(n), `event ${n} (${level}) is lost`));
    const sum = [...this.figures.values()].reduce((total, { count }) => total + count, 0);
    // What was not to outlive a loss of power may have arrived and be gone from the log.
    if (!this.hasLostPower || this.sent.every(({ level }) => level === 'fsync'))
      assert.equal(sum, ids.size, 'what was counted is what arrived');
    assert.deepEqual(this.#bench?.imbalances(), []);
    await this.#bench?.pipeline.stop();
  }
}

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('feed' as const),
      level: fc.constantFrom(...LEVELS),
      count: fc.integer({ min: 1, max: 5 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(5, 20, 60, 300, 1100, 2500) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('sink' as const),
      sink: fc.constantFrom<Sink>('takes', 'takes', 'fails', 'hangs', 'half'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('crash' as const), kind: fc.constantFrom<Crash>('process', 'process', 'power') }),
  },
);

describe('whatever happens', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-survive-'));
  after(() => rmSync(folder, { recursive: true, force: true }));
  let runs = 0;

  test('what was acknowledged arrives, once, and is counted once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 50 }),
        fc.boolean(),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        async (steps, isAllSynced, luck) => {
          const random = (): number => (luck.next().value as number | undefined) ?? 0.5;
          const model = new Model(join(folder, `r${runs++}`), random);
          await model.open();
          for (const one of steps) {
            if (one.do === 'feed') model.feed(isAllSynced ? 'fsync' : one.level, one.count);
            else if (one.do === 'turn') await model.turn();
            else if (one.do === 'pass') await model.pass(one.ms);
            else if (one.do === 'sink') model.sink = one.sink;
            else await model.crash(one.kind);
          }
          await model.end();
        },
      ),
      { numRuns: 60 },
    );
  });
});
