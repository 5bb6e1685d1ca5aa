/** What `<buffer>` says and the output runner does: modes, slices, limits, files, the secondary output. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Chunk, Output, Verdict } from '../component.ts';
import type { Batch, Fields } from '../events/batch.ts';
import { Account, sumOf } from '../telemetry/accounts.ts';
import { FakeClock, makeBatch, readBatch, type LogLine } from '../testing/driver.ts';
import { bufferConfig, flushModeOf, totalLimitOf } from './buffer-config.ts';
import type { ChunkDisk } from './chunk-files.ts';
import { OutputRunner, type OutputRunnerOptions } from './output-runner.ts';
import { MAX_RANGES, type SlotStore } from './progress-file.ts';
import { Progress } from './progress.ts';

/** Begins a slice of 5 minutes and one of 100 s, UTC. */
const NOW = 1_700_000_400;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const numbersOf = (batches: readonly Batch[]): number[] => batches.flatMap(readBatch).map(({ record }) => record['n'] as number);
const SIZE = makeBatch([{ record: { n: 0 } }]).end;

/** Chunk files in memory. */
class MemoryDisk implements ChunkDisk {
  readonly files = new Map<string, Buffer>();
  failure: Error | undefined;
  list = (): Promise<string[]> => Promise.resolve([...this.files.keys()]);
  read = (name: string): Promise<Buffer> => {
    const found = this.files.get(name);
    return found === undefined ? Promise.reject(new Error('ENOENT')) : Promise.resolve(found);
  };
  write = (name: string, at: number, parts: readonly Uint8Array[]): Promise<void> => {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const before = (this.files.get(name) ?? Buffer.alloc(0)).subarray(0, at);
    return Promise.resolve(void this.files.set(name, Buffer.concat([before, ...parts])));
  };
  remove = (name: string): Promise<void> => Promise.resolve(void this.files.delete(name));
  setAside = (name: string): Promise<void> => Promise.resolve(void this.files.delete(name));
}

class MemorySlots implements SlotStore {
  readonly #bytes = Buffer.alloc(1 << 19);
  read = (into: Buffer, at: number): void => void this.#bytes.copy(into, 0, at, at + into.length);
  write = (bytes: Buffer, at: number): void => void bytes.copy(this.#bytes, at);
  sync = (done: (error: Error | null) => void): void => done(null);
  close = (): void => undefined;
}

const log = (lines: LogLine[]): OutputRunnerOptions['log'] => {
  const at = (level: LogLine['level']) => (fields: Fields, message: string) => void lines.push({ level, fields, message });
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
};

interface Sent {
  readonly numbers: number[];
  readonly metadata: Chunk['metadata'];
  readonly second: number;
  readonly by: string;
}

/** One life of an output; `next` is the life after it, over the same disk. */
class Rig {
  readonly clock = new FakeClock(NOW * 1000);
  readonly account = new Account();
  readonly lines: LogLine[] = [];
  readonly sent: Sent[] = [];
  readonly buried: { n: number; reason: string }[] = [];
  readonly runner: OutputRunner;
  readonly progress: Progress;
  readonly disk: MemoryDisk;
  readonly slots: MemorySlots;
  verdicts: (Verdict | Error | 'hang')[] = [];
  canBury = true;
  #position = 0;
  readonly #config: Fields;
  readonly #more: Partial<OutputRunnerOptions>;

  constructor(config: Fields, more: Partial<OutputRunnerOptions> = {}, before?: Rig) {
    this.#config = config;
    this.#more = more;
    this.disk = before?.disk ?? new MemoryDisk();
    this.slots = before?.slots ?? new MemorySlots();
    this.#position = before === undefined ? 0 : before.#position;
    this.progress = Progress.over(this.slots, { clock: this.clock, log: log([]) });
    this.runner = new OutputRunner({
      id: 'out',
      output: this.output('output'),
      config: bufferConfig.parse({ retry_randomize: false, timekey_use_utc: true, ...config }),
      flush: 'interval',
      account: this.account,
      clock: this.clock,
      log: log(this.lines),
      random: () => 0.5,
      progress: this.progress,
      memoryLimitBytes: 64 << 20,
      chunkDisk: this.disk,
      bury: (letters) => {
        if (!this.canBury) return false;
        for (const { batch, reason } of letters) for (const n of numbersOf([batch])) this.buried.push({ n, reason });
        return true;
      },
      ...more,
    });
  }

  output(by: string): Output {
    return {
      write: ({ batches, metadata }) => {
        this.sent.push({ numbers: numbersOf(batches), metadata, second: this.clock.now() / 1000 - NOW, by });
        const verdict = this.verdicts.shift() ?? 'delivered';
        if (verdict === 'hang') return new Promise(() => undefined);
        return verdict instanceof Error ? Promise.reject(verdict) : Promise.resolve(verdict);
      },
    };
  }

  next(config: Fields = this.#config): Rig {
    return new Rig(config, this.#more, this);
  }

  /** A frame of events; numbers are the seconds of their times from the start. */
  take(numbers: readonly number[], fields: Fields = {}, tag = 't', position = this.#position): void {
    const records = numbers.map((n) => ({ time: NOW + n, record: { n, ...fields } }));
    const place = { incarnation: 1n, segment: 1, offset: position, enteredMs: 0 };
    const batch = { ...makeBatch(records, tag), place };
    const end = position + batch.end;
    this.#position = Math.max(this.#position, end);
    const ticket = this.runner.ticket({ batch, label: '', position, end });
    if (ticket === undefined) return;
    this.runner.take(batch, ticket);
    ticket.release();
    this.balanced();
  }

  get head(): number {
    return this.#position;
  }

  async pass(seconds: number): Promise<void> {
    await turn();
    for (let left = seconds; left > 0; left -= 1) {
      this.clock.advance(Math.min(1, left) * 1000);
      await turn();
      await turn();
      this.balanced();
    }
  }

  balanced(): void {
    const { in: taken, created, out, pending, dropped } = this.account;
    assert.equal(taken + created, out + pending + sumOf(dropped), JSON.stringify(this.account));
  }

  get sentAt(): string {
    return this.sent.map(({ numbers, second }) => `${second}: ${numbers.join(' ')}`).join(', ');
  }
}

describe('<buffer>', () => {
  for (const [input, message] of [
    [{ '@arg': 'time' }, 'needs a timekey'],
    [{ '@arg': 'time', timekey: 0 }, 'at least 1'],
    [{ '@arg': 'a b' }, 'cannot be a chunk key'],
    [{ '@arg': "$['a']" }, 'dot notation'],
    [{ '@arg': 'time', timekey: '1h', timekey_zone: 'JST' }, 'unknown zone'],
    [{ flush_mode: 'lazy', flush_interval: 1 }, 'has no meaning with flush_mode lazy'],
    [{ flush_intervall: 1 }, 'Unrecognized key'],
    [{ flush_mode: 'now' }, 'expected one of'],
    [{ chunk_full_threshold: 1.1 }, 'at most 1'],
  ] as const)
    test(`refuses ${JSON.stringify(input)}`, () => {
      const { error } = bufferConfig.safeParse(input);
      assert.match(
        error?.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; ') ?? '',
        new RegExp(message),
      );
    });

  for (const [input, flush, want] of [
    [{}, 'interval', 'interval'],
    [{}, 'immediate', 'immediate'],
    [{ flush_interval: '5s' }, 'immediate', 'interval'],
    [{ flush_interval: 0 }, 'interval', 'immediate'],
    [{ '@arg': 'time', timekey: '1h' }, 'immediate', 'lazy'],
    [{ '@arg': 'time', timekey: '1h', flush_interval: 5 }, 'interval', 'lazy'],
    [{ '@arg': 'time', timekey: '1h', flush_mode: 'interval' }, 'interval', 'interval'],
    [{ flush_mode: 'lazy' }, 'immediate', 'lazy'],
  ] as const)
    test(`${JSON.stringify(input)} of an output that is ${flush}: ${want}`, () =>
      assert.equal(flushModeOf(bufferConfig.parse(input), flush), want));

  for (const [input, want] of [
    [{}, 512 << 20],
    [{ '@type': 'file' }, 64 * 2 ** 30],
    [{ total_limit_size: '1m' }, 1 << 20],
    [{ queue_limit_length: 4, chunk_limit_size: '1m', total_limit_size: '9g' }, 4 << 20],
  ] as const)
    test(`total limit of ${JSON.stringify(input)}`, () => assert.equal(totalLimitOf(bufferConfig.parse(input)), want));
});

describe('when chunks leave', () => {
  for (const [name, config, want] of [
    ['interval', { flush_interval: 10 }, '10: 0 1 99 100 101, 40: 30'],
    ['slices', { '@arg': 'time', timekey: '5m', timekey_wait: '30s' }, '330: 0 1 99 100 101 30'],
    ['slices of 100 s', { '@arg': 'time', timekey: '100s', timekey_wait: '0s' }, '100: 0 1 99 30, 200: 100 101'],
    [
      'slices by interval',
      { '@arg': 'time', timekey: '100s', flush_mode: 'interval', flush_interval: 10 },
      '10: 0 1 99, 10: 100 101, 40: 30',
    ],
    ['lazy: only when full', { flush_mode: 'lazy', chunk_limit_records: 6 }, '30: 0 1 99 100 101 30'],
    ['lazy: full to a part', { flush_mode: 'lazy', chunk_limit_records: 10, chunk_full_threshold: 0.5 }, '0: 0 1 99 100 101'],
  ] as const)
    test(name, async () => {
      const rig = new Rig(config);
      await rig.runner.start();
      rig.take([0, 1, 99, 100, 101]);
      await rig.pass(30);
      rig.take([30]);
      await rig.pass(300);
      assert.equal(rig.sentAt, want);
      assert.equal(
        rig.progress.lowWater,
        config === undefined ? 0 : rig.account.pending === 0 ? rig.head : rig.progress.lowWater,
      );
      await rig.runner.stop();
    });

  test('metadata are the values of the chunk keys', async () => {
    const rig = new Rig({ '@arg': 'time,host', timekey: '1h', flush_mode: 'interval' });
    await rig.runner.start();
    rig.take([1], { host: '上海' }, 'a.b');
    rig.take([2], { host: '上海' }, 'c');
    rig.take([3], {}, 'c');
    await rig.pass(2);
    const timekey = NOW - (NOW % 3600);
    assert.deepEqual(
      rig.sent.map(({ metadata }) => metadata),
      [
        { timekey, variables: { host: '上海' } },
        { tag: 'c', timekey, variables: { host: '' } },
      ],
    );
    await rig.runner.stop();
  });

  test('events from the future do not wait for it', async () => {
    const rig = new Rig({ '@arg': 'time', timekey: '1m', timekey_wait: '10s' });
    await rig.runner.start();
    rig.take([1_000_000]);
    await rig.pass(131);
    assert.equal(rig.sentAt, '130: 1000000');
    await rig.runner.stop();
  });

  test('while chunks wait, none is closed for its age', async () => {
    const rig = new Rig({ flush_interval: 1, retry_wait: '10s' });
    rig.verdicts = [new Error('down')];
    await rig.runner.start();
    for (let n = 0; n < 8; n++) {
      rig.take([n]);
      await rig.pass(1);
    }
    await rig.pass(10);
    assert.equal(rig.sentAt, '1: 0, 11: 0, 11.25: 1 2 3 4 5 6 7');
    await rig.runner.stop();
  });

  test('flush_thread_burst_interval: a pause after each', async () => {
    const rig = new Rig({ flush_interval: 1, chunk_limit_records: 1, flush_thread_burst_interval: '5s' });
    await rig.runner.start();
    rig.take([0, 1, 2]);
    await rig.pass(11);
    assert.equal(rig.sentAt, '0: 0, 5: 1, 10: 2');
    await rig.runner.stop();
  });

  test('delayed_commit_timeout: no answer in time is a failure', async () => {
    const rig = new Rig({ flush_interval: 1, delayed_commit_timeout: '3s' });
    rig.verdicts = ['hang'];
    await rig.runner.start();
    rig.take([0]);
    await rig.pass(4);
    assert.match(rig.runner.state.reason ?? '', /no answer within/);
    await rig.pass(1);
    assert.equal(rig.sentAt, '1: 0, 5: 0');
    await rig.runner.stop();
  });

  test('more open chunks than allowed: the oldest leaves', async () => {
    const rig = new Rig({ '@arg': 'n', flush_mode: 'lazy' });
    await rig.runner.start();
    for (let n = 0; n < 1003; n++) rig.take([n]);
    await turn();
    await turn();
    assert.deepEqual([rig.runner.metrics['chunks_open'], rig.sentAt], [1000, '0: 0, 0: 1, 0: 2']);
    await rig.runner.stop();
  });
});

describe('refused and given up', () => {
  test('an event larger than a chunk', async () => {
    const rig = new Rig({ flush_interval: 1, chunk_limit_size: SIZE * 2 });
    await rig.runner.start();
    rig.take([1, 2, 3]);
    rig.take([4], { text: 'x'.repeat(100) });
    await rig.pass(2);
    assert.deepEqual(
      rig.sent.map(({ numbers }) => numbers),
      [[1, 2], [3]],
    );
    assert.match(rig.buried[0]?.reason ?? '', /more than chunk_limit_size/);
    assert.deepEqual([rig.account.out, rig.account.dropped], [3, { refused: 1 }]);
    await rig.runner.stop();
  });

  test('dead letters that cannot be written are no way out', async () => {
    const rig = new Rig({ flush_interval: 1, retry_max_interval: '1s', retry_max_times: 2 });
    const refused = [{ index: 0, reason: 'bad' }];
    rig.verdicts = Array.from({ length: 9 }, () => ({ refused }));
    rig.canBury = false;
    await rig.runner.start();
    rig.take([1, 2]);
    await rig.pass(6);
    assert.deepEqual([rig.account.out, rig.account.pending, rig.account.dropped], [1, 1, {}]);
    assert.match(rig.runner.state.reason ?? '', /dead letters cannot be written/);
    rig.canBury = true;
    await rig.pass(2);
    assert.deepEqual([rig.account.out, rig.account.pending, rig.account.dropped], [1, 0, { refused: 1 }]);
    await rig.runner.stop();
  });

  test('disable_chunk_backup: dropped and counted, no letters', async () => {
    const rig = new Rig({ flush_interval: 1, disable_chunk_backup: true, retry_max_times: 0 });
    rig.verdicts = [{ retry: [1], refused: [{ index: 0, reason: 'bad' }] }];
    await rig.runner.start();
    rig.take([1, 2]);
    await rig.pass(2);
    assert.deepEqual([rig.account.out, rig.account.pending, sumOf(rig.account.dropped), rig.buried], [0, 0, 2, []]);
    await rig.runner.stop();
  });

  test('<secondary> takes over after the threshold, and the next chunk begins with the first output', async () => {
    const config = { flush_interval: 1, retry_timeout: '10s', retry_secondary_threshold: 0.5, chunk_limit_records: 1 };
    const rig: Rig = new Rig(config, { secondary: { write: (chunk, signal) => rig.output('secondary').write(chunk, signal) } });
    rig.verdicts = [1, 2, 3, 4].map(() => new Error('down'));
    await rig.runner.start();
    rig.take([0]);
    rig.take([1]);
    await rig.pass(12);
    assert.deepEqual(
      rig.sent.map(({ numbers, second, by }) => `${second} ${by} ${numbers.join(' ')}`),
      ['0 output 0', '1 output 0', '3 output 0', '5 secondary 0', '6 secondary 0', '6 output 1'],
    );
    assert.deepEqual([rig.account.out, rig.account.pending, rig.runner.state], [2, 0, { state: 'ok' }]);
    await rig.runner.stop();
  });
});

describe('bounds', () => {
  test('memory: full until a quarter is free', async () => {
    const rig = new Rig({ chunk_limit_records: 1 }, { memoryLimitBytes: SIZE * 4 });
    rig.verdicts = ['delivered', 'hang'];
    let room = 0;
    rig.runner.onRoom = () => void room++;
    await rig.runner.start();
    for (let n = 0; n < 3; n++) rig.take([n]);
    assert.equal(rig.runner.isFull, false);
    rig.take([3]);
    assert.deepEqual([rig.runner.isFull, room], [true, 0]);
    await rig.pass(1);
    assert.deepEqual([rig.runner.isFull, room, rig.runner.metrics['queue_bytes']], [false, 1, SIZE * 3]);
    void rig.runner.stop();
    await rig.pass(2);
  });

  test('memory is full of open chunks: they leave early when there are no files', async () => {
    const rig = new Rig({ flush_mode: 'lazy', '@arg': 'n' }, { memoryLimitBytes: SIZE * 4, chunkDisk: undefined });
    await rig.runner.start();
    for (let n = 0; n < 4; n++) rig.take([n]);
    rig.runner.caughtUp();
    await rig.pass(1);
    assert.equal(rig.sentAt, '0: 0');
    assert.equal(rig.runner.isFull, false);
    await rig.runner.stop();
  });

  for (const [action, state, message] of [
    ['block', 'stalled', undefined],
    ['throw_exception', 'stalled', 'total_limit_size reached, events wait in the entrance log'],
  ] as const)
    test(`total_limit_size: ${action}`, async () => {
      const rig: Rig = new Rig(
        { flush_interval: 1, total_limit_size: SIZE * 3, overflow_action: action, retry_max_interval: '1s' },
        { lagBytes: () => rig.head - rig.progress.lowWater },
      );
      rig.verdicts = Array.from({ length: 5 }, () => new Error('down'));
      await rig.runner.start();
      for (let n = 0; n < 4; n++) rig.take([n]);
      await rig.pass(3);
      assert.equal(rig.runner.state.state, state);
      assert.match(rig.runner.state.reason ?? '', /total_limit_size is reached; down/);
      assert.equal(rig.lines.filter(({ level }) => level === 'error').at(-1)?.message, message);
      await rig.pass(10);
      assert.deepEqual([rig.runner.state, rig.account.out], [{ state: 'ok' }, 4]);
      await rig.runner.stop();
    });

  test('total_limit_size: what is finished beyond a slow chunk does not count, the oldest that waits goes', async () => {
    const rig: Rig = new Rig(
      { chunk_limit_records: 1, total_limit_size: SIZE * 3, overflow_action: 'drop_oldest_chunk', flush_thread_count: 2 },
      { lagBytes: () => rig.head - rig.progress.lowWater },
    );
    rig.verdicts = ['hang'];
    await rig.runner.start();
    for (let n = 0; n < 9; n++) {
      rig.take([n]);
      await rig.pass(0.1);
    }
    assert.deepEqual([rig.account.out, rig.account.dropped], [8, {}]);
    rig.verdicts = ['hang'];
    for (let n = 9; n < 13; n++) rig.take([n]);
    await turn();
    // Two under way, which are never dropped, and one that waits.
    assert.deepEqual([rig.account.pending, rig.account.dropped], [3, { 'buffer overflow': 2 }]);
    void rig.runner.stop();
    await rig.pass(2);
  });

  test('finished ranges are full: only the chunk of the oldest frame goes on', async () => {
    const rig = new Rig({ '@arg': 'tag', flush_mode: 'lazy', chunk_limit_records: 1000, chunk_full_threshold: 1 });
    await rig.runner.start();
    rig.take([0], {}, 'slow');
    // Frames of two tags in turn; those of one are done, the others wait in open chunks.
    for (let n = 0; n < 2 * MAX_RANGES + 2000; n++) rig.take([n], {}, n % 2 === 0 ? 'fast' : `slow.${Math.trunc(n / 500)}`);
    for (let n = 0; n < 30; n++) await turn();
    assert.equal(rig.progress.isFull, true);
    const before = rig.progress.rangeCount;
    await rig.pass(60);
    assert.ok(rig.progress.rangeCount < before, 'the oldest chunks were closed early');
    assert.ok(rig.progress.lowWater > 0);
    await rig.runner.stop();
  });
});

describe('chunks that stay open for long', () => {
  const daily = { '@arg': 'time,tag', timekey: '1d', timekey_wait: '1m' };

  test('go to a file, let go of the log, and are delivered as a whole', async () => {
    const rig = new Rig(daily);
    await rig.runner.start();
    rig.take([0, 1]);
    await rig.pass(59);
    assert.deepEqual([rig.progress.lowWater, rig.disk.files.size], [0, 0]);
    await rig.pass(2);
    assert.deepEqual([rig.progress.lowWater, rig.disk.files.size, rig.runner.metrics['queue_bytes']], [rig.head, 1, 0]);
    rig.take([2]);
    await rig.pass(70);
    rig.take([3], {}, 'u');
    rig.take([4]);
    const end = (Math.floor(NOW / 86_400) + 1) * 86_400 + 60 - NOW;
    rig.clock.advance((end - 140) * 1000);
    await rig.pass(15);
    assert.deepEqual(
      rig.sent.map(({ numbers }) => numbers),
      [[0, 1, 2, 4], [3]],
    );
    assert.deepEqual([rig.disk.files.size, rig.account.pending, rig.runner.metrics['queue_bytes']], [0, 0, 0]);
    assert.equal(rig.progress.lowWater, rig.head);
    await rig.runner.stop();
  });

  test('a killed process: what is in the file is not taken again, what is not is', async () => {
    const first = new Rig(daily);
    await first.runner.start();
    first.take([0, 1]);
    await first.pass(61);
    first.take([2]);
    // Neither what the file holds nor what came later is known to be finished.
    const second = new Rig(daily, {}, Object.assign(first, { slots: new MemorySlots() }));
    await second.runner.start();
    assert.deepEqual([second.account.created, second.account.pending], [2, 2]);
    second.take([0, 1], {}, 't', 0);
    assert.equal(second.account.pending, 2);
    second.take([2], {}, 't', first.head - SIZE);
    assert.equal(second.account.pending, 3);
    await second.runner.drain(new AbortController().signal);
    assert.deepEqual(second.sentAt, '0: 0 1 2');
    assert.deepEqual([second.disk.files.size, second.account.out], [0, 3]);
    await second.runner.stop();
  });

  test('flush_at_shutdown false: they wait for the next start, and are filled further', async () => {
    const first = new Rig({ ...daily, flush_at_shutdown: false });
    await first.runner.start();
    first.take([0]);
    await first.pass(61);
    first.take([1]);
    await first.runner.drain(new AbortController().signal);
    await first.runner.stop();
    assert.deepEqual([first.sent, first.account.pending, first.account.dropped], [[], 2, {}]);
    const second = first.next();
    await second.runner.start();
    assert.equal(second.account.pending, 1);
    second.take([1], {}, 't', SIZE);
    second.take([2]);
    await second.pass(61);
    assert.deepEqual([second.disk.files.size, second.runner.metrics['chunk_files']], [1, 1]);
    await second.runner.drain(new AbortController().signal);
    await second.runner.stop();
    // Other chunk keys: as it is.
    const third = first.next({});
    await third.runner.start();
    await third.pass(1);
    assert.deepEqual(
      [third.sent, second.account.pending],
      [[{ numbers: [0, 1, 2], metadata: { tag: 't', timekey: NOW - (NOW % 86_400) }, second: 0, by: 'output' }], 3],
    );
    assert.equal(third.disk.files.size, 0);
    await third.runner.stop();
  });

  test('a verdict on some of a file: the rest is tried again, then the file goes', async () => {
    const rig = new Rig({ ...daily, retry_wait: '1s' });
    await rig.runner.start();
    rig.take([0, 1]);
    await rig.pass(61);
    rig.take([2]);
    rig.verdicts = [{ retry: [1, 2] }, new Error('down')];
    const drained = rig.runner.drain(new AbortController().signal);
    await rig.pass(1);
    assert.equal(rig.disk.files.size, 1);
    await rig.pass(5);
    await drained;
    assert.deepEqual(
      rig.sent.map(({ numbers }) => numbers),
      [
        [0, 1, 2],
        [1, 2],
        [1, 2],
      ],
    );
    assert.deepEqual([rig.disk.files.size, rig.account.out, rig.account.pending], [0, 3, 0]);
    await rig.runner.stop();
  });

  test('a disk that is full: stalled with the reason, until it has room', async () => {
    const rig = new Rig(daily);
    await rig.runner.start();
    rig.disk.failure = new Error('ENOSPC: no space left on device');
    rig.take([0]);
    await rig.pass(65);
    assert.deepEqual(rig.runner.state, {
      state: 'stalled',
      reason: 'chunk files cannot be written: ENOSPC: no space left on device',
      sinceMs: (NOW + 60) * 1000,
    });
    assert.deepEqual([rig.progress.lowWater, rig.lines.length], [0, 1]);
    rig.disk.failure = undefined;
    await rig.pass(2);
    assert.deepEqual([rig.runner.state, rig.progress.lowWater], [{ state: 'ok' }, rig.head]);
    await rig.runner.stop();
  });

  test('memory is full: files at once; at total_limit_size no more of them', async () => {
    const rig: Rig = new Rig(
      { ...daily, total_limit_size: 390 },
      { memoryLimitBytes: SIZE * 4, lagBytes: () => rig.head - rig.progress.lowWater },
    );
    await rig.runner.start();
    for (let n = 0; n < 4; n++) rig.take([n]);
    rig.runner.caughtUp();
    await turn();
    await turn();
    assert.deepEqual([rig.runner.isFull, rig.disk.files.size], [false, 1]);
    rig.verdicts = ['hang'];
    for (let n = 4; n < 12; n++) rig.take([n], { more: 'x'.repeat(50) });
    await rig.pass(1);
    // What cannot go to a file and does not fit into memory leaves early.
    assert.deepEqual(
      rig.sent.map(({ numbers }) => numbers),
      [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]],
    );
    rig.take([12]);
    await rig.pass(61);
    assert.equal(rig.runner.state.reason, 'total_limit_size is reached');
    assert.equal(rig.disk.files.size, 1);
    void rig.runner.stop();
    await rig.pass(2);
  });

  test('a file that cannot be read any more is booked as lost and kept aside', async () => {
    const rig = new Rig(daily);
    await rig.runner.start();
    rig.take([0, 1]);
    await rig.pass(61);
    rig.take([2]);
    const [name, bytes] = [...rig.disk.files][0] as [string, Buffer];
    rig.disk.files.set(name, bytes.subarray(0, -1));
    await rig.runner.drain(new AbortController().signal);
    assert.deepEqual(
      [rig.sentAt, rig.account.out, rig.account.pending, rig.account.dropped],
      ['61: 2', 1, 0, { 'chunk file damaged': 2 }],
    );
    assert.equal(rig.runner.metrics['damaged_chunk_files'], 1);
    await rig.runner.stop();
  });
});

describe('the end, when the log keeps what was not delivered', () => {
  test('nothing is dropped, and all of it comes again', async () => {
    const first = new Rig({ flush_interval: 1, chunk_limit_records: 1, flush_thread_count: 2 });
    first.verdicts = ['delivered', 'hang', ...Array.from({ length: 9 }, () => new Error('down'))];
    await first.runner.start();
    for (let n = 0; n < 4; n++) first.take([n]);
    await first.pass(1);
    const stopped = first.runner.stop();
    await first.pass(2);
    await stopped;
    assert.deepEqual([first.account.out, first.account.pending, first.account.dropped], [1, 3, {}]);
    assert.equal(first.lines.at(-1)?.message, 'events that were not delivered wait for the next start');
    const second = first.next();
    await second.runner.start();
    for (let n = 0; n < 4; n++) second.take([n], {}, 't', n * SIZE);
    await second.pass(2);
    assert.deepEqual(
      second.sent.flatMap(({ numbers }) => numbers),
      [1, 2, 3],
    );
    await second.runner.stop();
  });
});
