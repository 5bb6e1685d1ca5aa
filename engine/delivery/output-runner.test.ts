import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Chunk, Output, Verdict } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import { FakeClock, makeBatch, readBatch, type LogLine } from '../testing/driver.ts';
import { Account, sumOf } from '../telemetry/accounts.ts';
import { bufferConfig } from './buffer-config.ts';
import { OutputRunner } from './output-runner.ts';
import { Progress } from './progress.ts';

type Write = (chunk: Chunk, signal: AbortSignal) => Promise<Verdict>;

const numbersOf = (batches: readonly Batch[]): number[] => batches.flatMap(readBatch).map(({ record }) => record['n'] as number);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

class Bench {
  readonly clock = new FakeClock();
  readonly account = new Account();
  readonly lines: LogLine[] = [];
  readonly buried: { n: number; reason: string }[] = [];
  readonly writes: { numbers: number[]; attempt: number; id: string; atMs: number }[] = [];
  readonly runner: OutputRunner;
  /** Frames that nobody holds any more. */
  readonly progress = new (class extends Progress {
    released = 0;
    override finish(position: number): void {
      super.finish(position);
      this.released++;
    }
  })();
  get released(): number {
    return this.progress.released;
  }
  #next = 0;
  readonly #startMs: number;

  constructor(write: Write, config: Record<string, unknown> = {}, output: Partial<Output> = {}) {
    this.#startMs = this.clock.now();
    const at = (level: LogLine['level']) => (fields: LogLine['fields'], message: string) =>
      void this.lines.push({ level, fields, message });
    this.runner = new OutputRunner({
      id: 'out',
      output: {
        ...output,
        write: (chunk, signal) => {
          const { attempt, id, batches } = chunk;
          this.writes.push({ numbers: numbersOf(batches), attempt, id, atMs: this.clock.now() - this.#startMs });
          return write(chunk, signal);
        },
      },
      config: bufferConfig.parse({ flush_mode: 'immediate', retry_randomize: false, ...config }),
      flush: 'interval',
      account: this.account,
      clock: this.clock,
      log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      random: () => 0.5,
      progress: this.progress,
      memoryLimitBytes: 64 << 20,
      bury: (letters) => {
        for (const { batch, reason } of letters) for (const n of numbersOf([batch])) this.buried.push({ n, reason });
        return true;
      },
    });
  }

  /** Hands over a frame of so many events, numbered on and on. */
  take(count: number, tag = 't'): void {
    const frame = { batch: makeBatch([], tag), label: '', position: this.#next, end: this.#next + count };
    const ticket = this.runner.ticket(frame);
    assert.ok(ticket);
    const records = range(this.#next, (this.#next += count)).map((n) => ({ record: { n } }));
    this.runner.take(makeBatch(records, tag), ticket);
    ticket.release();
    this.balanced();
  }

  async flush(): Promise<void> {
    this.runner.caughtUp();
    await turn();
    this.balanced();
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await turn();
    this.balanced();
  }

  balanced(): void {
    const { in: taken, out, pending, dropped } = this.account;
    assert.equal(taken, out + pending + sumOf(dropped), JSON.stringify(this.account));
    assert.ok(pending >= 0, 'nothing is settled twice');
  }

  get books(): { out: number; pending: number; dropped: Record<string, number> } {
    const { out, pending, dropped } = this.account;
    return { out, pending, dropped };
  }
}

/** Bytes of an event of a bench. */
const SIZE = makeBatch([{ record: { n: 0 } }]).end;
const delivers: Write = () => Promise.resolve('delivered');
const never: Write = () => new Promise(() => undefined);
/** Gives one verdict after the other, then delivers. */
const says = (...verdicts: readonly (Verdict | Error)[]): Write => {
  const left = [...verdicts];
  return () => {
    const verdict = left.shift() ?? 'delivered';
    return verdict instanceof Error ? Promise.reject(verdict) : Promise.resolve(verdict);
  };
};

describe('chunks', () => {
  for (const [name, config, want] of [
    ['one for all that is there', {}, [[0, 1, 2, 3, 4]]],
    [
      'one per tag',
      { '@arg': 'tag' },
      [
        [0, 1, 4],
        [2, 3],
      ],
    ],
    ['closed by events', { chunk_limit_records: 2 }, [[0, 1], [2, 3], [4]]],
    ['closed by bytes', { chunk_limit_size: SIZE * 2 }, [[0, 1], [2, 3], [4]]],
    [
      'never larger than allowed',
      { chunk_limit_size: SIZE * 3 },
      [
        [0, 1],
        [2, 3, 4],
      ],
    ],
    ['a batch that is too large in pieces', { chunk_limit_size: SIZE }, [[0], [1], [2], [3], [4]]],
    ['a batch of too many events in pieces', { chunk_limit_records: 1 }, [[0], [1], [2], [3], [4]]],
  ] as const)
    test(name, async () => {
      const bench = new Bench(delivers, config);
      bench.take(2, 'a');
      bench.take(2, 'b');
      bench.take(1, 'a');
      await bench.flush();
      for (let n = 0; n < 5; n++) await turn();
      assert.deepEqual(
        bench.writes.map(({ numbers }) => numbers),
        want,
      );
      assert.deepEqual(bench.books, { out: 5, pending: 0, dropped: {} });
      assert.equal(bench.released, 3);
    });

  test('leave after flush_interval', async () => {
    const bench = new Bench(delivers, { flush_mode: 'interval', flush_interval: 2 });
    await bench.runner.start();
    bench.take(1);
    await bench.flush();
    await bench.pass(1500);
    assert.equal(bench.writes.length, 0);
    await bench.pass(1000);
    assert.deepEqual(
      bench.writes.map(({ numbers }) => numbers),
      [[0]],
    );
    await bench.runner.stop();
  });

  test('as many under way as flush_thread_count', async () => {
    const bench = new Bench(never, { flush_thread_count: 2, chunk_limit_records: 1 });
    for (let n = 0; n < 4; n++) bench.take(1);
    await turn();
    assert.equal(bench.writes.length, 2);
  });
});

describe('verdicts', () => {
  for (const [name, verdict, want] of [
    ['all again', { retry: 'all', reason: 'busy' }, { second: [0, 1, 2, 3], buried: [], out: 4 }],
    ['nothing again, nothing refused', {}, { second: undefined, buried: [], out: 4 }],
    ['some again', { retry: [3, 1] }, { second: [1, 3], buried: [], out: 4 }],
    ['some refused', { refused: [{ index: 2, reason: 'bad' }] }, { second: undefined, buried: [2], out: 3 }],
    [
      'all refused',
      { refused: range(0, 4).map((index) => ({ index, reason: 'bad' })) },
      { second: undefined, buried: [0, 1, 2, 3], out: 0 },
    ],
    ['some of each', { retry: [0], refused: [{ index: 3, reason: 'bad' }] }, { second: [0], buried: [3], out: 3 }],
    [
      'all again but what is refused',
      { retry: 'all', refused: [{ index: 0, reason: 'bad' }] },
      { second: [1, 2, 3], buried: [0], out: 3 },
    ],
    [
      'indices twice and beyond the chunk',
      {
        retry: [1, 1, 4, -1, 0.5],
        refused: [
          { index: 1, reason: 'a' },
          { index: 1, reason: 'b' },
          { index: 9, reason: 'c' },
        ],
      },
      { second: undefined, buried: [1], out: 3 },
    ],
  ] as const)
    test(name, async () => {
      const bench = new Bench(says(verdict));
      bench.take(2, 'a');
      bench.take(2, 'b');
      await bench.flush();
      await bench.pass(1000);
      assert.deepEqual(bench.writes[1]?.numbers, want.second);
      assert.deepEqual(
        bench.buried.map(({ n }) => n),
        want.buried,
      );
      assert.deepEqual([bench.account.out, bench.account.pending, bench.released], [want.out, 0, 2]);
    });

  test('a frame is held until the last of its events is done', async () => {
    const bench = new Bench(says({ retry: [1] }, { retry: 'all' }));
    bench.take(2);
    bench.take(2);
    await bench.flush();
    assert.deepEqual([bench.books.out, bench.released], [3, 0]);
    await bench.pass(1000);
    assert.equal(bench.released, 0);
    await bench.pass(2000);
    assert.deepEqual([bench.books.out, bench.released], [4, 2]);
  });

  test('a throw is all again, and counted', async () => {
    const bench = new Bench(says(new Error('no route')));
    bench.take(1);
    await bench.flush();
    const now = bench.clock.now();
    assert.deepEqual(bench.runner.state, { state: 'retrying', reason: 'no route', sinceMs: now, nextTryMs: now + 1000 });
    assert.equal(bench.account.errors, 1);
    await bench.pass(1000);
    assert.deepEqual(bench.runner.state, { state: 'ok' });
    assert.deepEqual(bench.books, { out: 1, pending: 0, dropped: {} });
  });

  test('what takes a person is shown as stalled', async () => {
    const bench = new Bench(says({ retry: 'all', afterMs: 30_000, state: 'stalled', reason: 'wrong password' }));
    bench.take(1);
    await bench.flush();
    const now = bench.clock.now();
    assert.deepEqual(bench.runner.state, {
      state: 'stalled',
      reason: 'wrong password',
      sinceMs: now,
      nextTryMs: now + 30_000,
    });
    await bench.pass(30_000);
    assert.deepEqual(bench.runner.state, { state: 'ok' });
  });

  test('what takes a person uses up no tries and waits no longer each time, but has its time limit', async () => {
    const stalled = { retry: 'all', afterMs: 30_000, state: 'stalled', reason: 'wrong password' } as const;
    const bench = new Bench(says(...Array.from({ length: 30 }, () => stalled)), { retry_max_times: 2, retry_timeout: '5m' });
    bench.take(1);
    await bench.flush();
    for (let n = 0; n < 9; n++) await bench.pass(30_000);
    assert.deepEqual(
      bench.writes.map(({ atMs }) => atMs),
      Array.from({ length: 10 }, (_, n) => n * 30_000),
    );
    assert.equal(bench.books.pending, 1);
    await bench.pass(30_000);
    assert.deepEqual(bench.books, { out: 0, pending: 0, dropped: { 'retries exhausted': 1 } });
  });

  test('the same chunk has the same id at every try, waits grow, and the next chunk waits behind it', async () => {
    const bench = new Bench(says({ retry: 'all' }, { retry: 'all' }, { retry: 'all', afterMs: 30_000 }), {
      chunk_limit_records: 1,
    });
    bench.take(1);
    bench.take(1);
    await bench.flush();
    for (let n = 0; n < 50; n++) await bench.pass(1000);
    assert.deepEqual(
      bench.writes.map(({ numbers, attempt, atMs }) => [numbers[0], attempt, atMs]),
      [
        [0, 0, 0],
        [0, 1, 1000],
        [0, 2, 3000],
        [0, 3, 33_000],
        [1, 0, 33_000],
      ],
    );
    assert.equal(new Set(bench.writes.slice(0, 4).map(({ id }) => id)).size, 1);
  });

  test('a reason is logged once, and that it is over', async () => {
    const bench = new Bench(says({ retry: 'all', reason: 'a' }, { retry: 'all', reason: 'a' }, { retry: 'all', reason: 'b' }));
    bench.take(1);
    await bench.flush();
    for (let n = 0; n < 10; n++) await bench.pass(1000);
    assert.deepEqual(
      bench.lines.map(({ level, message, fields }) => [level, message, fields['reason']]),
      [
        ['warn', 'delivery failed, trying again', 'a'],
        ['warn', 'delivery failed, trying again', 'b'],
        ['info', 'delivery works again', undefined],
      ],
    );
  });

  test('given up after retry_max_times: dead letters with the reason, and the next chunk has its turn', async () => {
    const bench = new Bench(says({ retry: 'all', reason: 'x' }, { retry: [1], reason: 'y' }), {
      chunk_limit_records: 2,
      retry_max_times: 1,
    });
    bench.take(2);
    bench.take(1);
    await bench.flush();
    for (let n = 0; n < 4; n++) await bench.pass(1000);
    assert.deepEqual(bench.buried, [{ n: 1, reason: 'given up after 2 tries: y' }]);
    assert.deepEqual(bench.books, { out: 2, pending: 0, dropped: { 'retries exhausted': 1 } });
    assert.equal(bench.released, 2);
  });
});

describe('overflow', () => {
  const one = makeBatch([{ record: { n: 0 } }]);
  const size = one.end - one.start;

  test('drop_oldest_chunk: the oldest go, what is under way stays', async () => {
    const bench = new Bench(never, { chunk_limit_records: 1, total_limit_size: size * 3, overflow_action: 'drop_oldest_chunk' });
    for (let n = 0; n < 6; n++) bench.take(1);
    await turn();
    assert.deepEqual(bench.books, { out: 0, pending: 3, dropped: { 'buffer overflow': 3 } });
    assert.deepEqual(
      bench.writes.map(({ numbers }) => numbers),
      [[0]],
    );
    assert.equal(bench.released, 3);
  });

  test('a large batch drives out as many as it needs', () => {
    const bench = new Bench(never, { chunk_limit_records: 1, total_limit_size: size * 10, overflow_action: 'drop_oldest_chunk' });
    for (let n = 0; n < 10; n++) bench.take(1);
    bench.take(5);
    assert.ok((bench.account.dropped['buffer overflow'] ?? 0) >= 5, JSON.stringify(bench.books));
    assert.ok(bench.account.pending <= 10);
  });

  test('a chunk that waits for its next try is dropped as well, and the one behind it does not wait in its place', async () => {
    const bench = new Bench(says({ retry: 'all', afterMs: 100_000 }), {
      chunk_limit_records: 1,
      total_limit_size: size,
      overflow_action: 'drop_oldest_chunk',
    });
    bench.take(1);
    await turn();
    bench.take(1);
    await turn();
    assert.deepEqual(
      bench.writes.map(({ numbers }) => numbers),
      [[0], [1]],
    );
    assert.deepEqual(bench.books, { out: 1, pending: 0, dropped: { 'buffer overflow': 1 } });
  });

  test('what is left of a chunk counts with its own size', async () => {
    const bench = new Bench(says({ retry: [0, 1] }), { total_limit_size: size * 4, overflow_action: 'drop_oldest_chunk' });
    bench.take(3);
    await bench.flush();
    bench.take(2);
    assert.deepEqual(bench.books, { out: 1, pending: 4, dropped: {} });
    bench.take(1);
    assert.deepEqual(bench.books, { out: 1, pending: 3, dropped: { 'buffer overflow': 2 } });
  });

  for (const action of ['block', 'throw_exception'])
    test(`${action} drops nothing here: the entrance log holds the sources back`, () => {
      const bench = new Bench(never, { chunk_limit_records: 1, total_limit_size: 1, overflow_action: action });
      for (let n = 0; n < 5; n++) bench.take(1);
      assert.deepEqual(bench.books, { out: 0, pending: 5, dropped: {} });
    });
});

describe('the end', () => {
  test('drain delivers what is there, open chunks too', async () => {
    const bench = new Bench(delivers, { flush_mode: 'interval', flush_interval: 3600 });
    await bench.runner.start();
    bench.take(3);
    await bench.runner.drain(new AbortController().signal);
    assert.deepEqual(bench.books, { out: 3, pending: 0, dropped: {} });
    await bench.runner.stop();
  });

  test('flush_at_shutdown false: what is there is lost, and counted', async () => {
    const bench = new Bench(delivers, { flush_mode: 'interval', flush_at_shutdown: false });
    await bench.runner.start();
    bench.take(3);
    await bench.runner.drain(new AbortController().signal);
    await bench.runner.stop();
    assert.deepEqual(bench.books, { out: 0, pending: 0, dropped: { 'stopped before delivery': 3 } });
    assert.equal(bench.released, 1);
  });

  test('a dead output holds the end back until the deadline, and its events are counted as lost', async () => {
    const bench = new Bench(() => Promise.reject(new Error('down')), { chunk_limit_records: 1 });
    bench.take(1);
    bench.take(1);
    await turn();
    const deadline = new AbortController();
    let isDrained = false;
    const drained = bench.runner.drain(deadline.signal).then(() => (isDrained = true));
    await bench.pass(5000);
    assert.equal(isDrained, false);
    deadline.abort();
    await drained;
    await bench.runner.stop();
    bench.balanced();
    assert.deepEqual(bench.books, { out: 0, pending: 0, dropped: { 'stopped before delivery': 2 } });
    assert.equal(bench.released, 2);
    const tries = bench.writes.length;
    await bench.pass(100_000);
    assert.equal(bench.writes.length, tries, 'nothing is tried after the end');
    assert.equal(bench.lines.at(-1)?.message, 'stopped with events that were not delivered');
  });

  test('a write that ends when it is told to is booked as it says', async () => {
    const bench = new Bench(
      (_chunk, signal) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve({ retry: [1], reason: 'given up' }))),
    );
    bench.take(3);
    await bench.flush();
    await bench.runner.stop();
    assert.deepEqual(bench.books, { out: 2, pending: 0, dropped: { 'stopped before delivery': 1 } });
    assert.equal(bench.released, 1);
  });

  test('a write that does not end is left alone after a second, and what it says later is not booked', async () => {
    const late = Promise.withResolvers<Verdict>();
    const bench = new Bench(() => late.promise);
    bench.take(3);
    await bench.flush();
    const stopped = bench.runner.stop();
    await bench.pass(1000);
    await stopped;
    late.resolve('delivered');
    await turn();
    bench.balanced();
    assert.deepEqual(bench.books, { out: 0, pending: 0, dropped: { 'stopped before delivery': 3 } });
  });

  test('stop in the middle of a drain ends it', async () => {
    const bench = new Bench(says({ retry: 'all', afterMs: 1e9 }));
    bench.take(1);
    await bench.flush();
    const drained = bench.runner.drain(new AbortController().signal);
    await bench.runner.stop();
    await drained;
    await bench.runner.stop();
  });
});

describe('whatever the output says', () => {
  const verdict = (count: number): fc.Arbitrary<Verdict | Error | 'hang'> =>
    fc.oneof(
      fc.constant<Verdict>('delivered'),
      fc.constant(new Error('thrown')),
      fc.constant<'hang'>('hang'),
      fc.record(
        {
          retry: fc.oneof(fc.constant('all' as const), fc.array(fc.integer({ min: -1, max: count }))),
          refused: fc.array(fc.record({ index: fc.integer({ min: -1, max: count }), reason: fc.constant('bad') })),
          afterMs: fc.integer({ min: 0, max: 5000 }),
        },
        { requiredKeys: [] },
      ),
    );
  const step = fc.oneof(
    fc.record({ do: fc.constant('take' as const), count: fc.integer({ min: 1, max: 5 }), tag: fc.constantFrom('a', 'b') }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 4000 }) }),
    fc.record({ do: fc.constant('flush' as const) }),
  );
  const config = fc.record({
    chunk_limit_records: fc.integer({ min: 1, max: 8 }),
    flush_thread_count: fc.integer({ min: 1, max: 3 }),
    overflow_action: fc.constantFrom('block', 'drop_oldest_chunk'),
    total_limit_size: fc.integer({ min: 20, max: 400 }),
    retry_max_times: fc.integer({ min: 0, max: 3 }),
    flush_mode: fc.constantFrom('immediate', 'interval'),
    '@arg': fc.constantFrom('', 'tag'),
  });

  test('the books balance at every step, every event ends in one place, every frame is let go once', async () => {
    await fc.assert(
      fc.asyncProperty(
        config,
        fc.array(step, { maxLength: 25 }),
        fc.array(verdict(6), { maxLength: 12 }),
        async (options, steps, verdicts) => {
          const left = [...verdicts];
          const delivered: number[] = [];
          const bench: Bench = new Bench((chunk, signal) => {
            const next = left.shift() ?? 'delivered';
            if (next === 'hang')
              return new Promise((resolve) => signal.addEventListener('abort', () => resolve({ retry: 'all' }), { once: true }));
            if (next instanceof Error) return Promise.reject(next);
            const numbers = numbersOf(chunk.batches);
            const refused = next === 'delivered' ? [] : (next.refused ?? []).map(({ index }) => index);
            const retry = next === 'delivered' ? [] : next.retry === 'all' ? range(0, chunk.count) : (next.retry ?? []);
            delivered.push(...numbers.filter((_, n) => !refused.includes(n) && !retry.includes(n)));
            return Promise.resolve(next);
          }, options);
          await bench.runner.start();
          let frames = 0;
          for (const one of steps) {
            if (one.do === 'take') {
              bench.take(one.count, one.tag);
              frames++;
            } else if (one.do === 'pass') await bench.pass(one.ms);
            else await bench.flush();
            // A frame is let go only when none of its events is pending any more.
            assert.ok(bench.released <= frames);
          }
          const deadline = new AbortController();
          const drained = bench.runner.drain(deadline.signal);
          for (let n = 0; n < 5; n++) await bench.pass(2000);
          deadline.abort();
          await drained;
          await bench.runner.stop();
          bench.balanced();
          assert.equal(bench.account.pending, 0);
          assert.equal(bench.released, frames);
          assert.equal(bench.account.out, delivered.length);
          assert.equal(new Set(delivered).size, delivered.length, 'nothing is delivered twice');
          const buried = bench.buried.map(({ n }) => n);
          assert.equal(
            new Set([...delivered, ...buried]).size,
            delivered.length + buried.length,
            'dead or delivered, never both',
          );
          const { dropped } = bench.account;
          assert.equal(buried.length, (dropped['refused'] ?? 0) + (dropped['retries exhausted'] ?? 0));
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe('a clock that is set back by hours', () => {
  const HOURS = 7_200_000;

  test('makes no retry wait longer', async () => {
    const bench = new Bench(says({ retry: 'all', reason: 'busy' }), { retry_wait: '1s' });
    bench.take(1);
    await bench.flush();
    bench.clock.set(bench.clock.now() - HOURS);
    bench.take(1);
    await bench.flush();
    // The timer of the retry runs on, and so does that of a new wait at most.
    for (let n = 0; n < 4; n++) await bench.pass(500);
    assert.deepEqual(bench.books, { out: 2, pending: 0, dropped: {} });
  });

  test('keeps no chunk open longer', async () => {
    const bench = new Bench(delivers, { flush_mode: 'interval', flush_interval: '1s' });
    void bench.runner.start();
    bench.take(1);
    bench.clock.set(bench.clock.now() - HOURS);
    for (let n = 0; n < 4; n++) await bench.pass(500);
    assert.deepEqual(bench.books, { out: 1, pending: 0, dropped: {} });
    await bench.runner.stop();
  });
});
