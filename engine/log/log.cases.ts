/** What every entrance log does, in memory or on disk. */
import assert from 'node:assert/strict';
import { FakeClock, makeBatch, readBatch } from '../testing/driver.ts';
import type { Batch } from '../events/batch.ts';
import type { EntranceLog, Frame, Level, LogReader } from './entrance-log.ts';

export const batchOf = (n: number, bytes = 0, tag = 'test'): Batch =>
  makeBatch([{ record: { n, fill: 'x'.repeat(bytes) } }], tag);
export const numberOf = (frame: Frame | undefined): unknown =>
  frame === undefined ? undefined : readBatch(frame.batch)[0]?.record['n'];

/** Numbers of all events that a reader still gives. */
export function numbersOf(reader: LogReader): number[] {
  const numbers: number[] = [];
  for (let frame = reader.next(); frame !== undefined; frame = reader.next())
    for (const { record } of readBatch(frame.batch)) numbers.push(record['n'] as number);
  return numbers;
}

export interface OpenedLog {
  readonly log: EntranceLog;
  readonly clock: FakeClock;
}

export interface Opening {
  readonly clock?: FakeClock;
  /** Default 1 MiB. */
  readonly limitBytes?: number;
}

export interface LogCase {
  readonly name: string;
  run(open: (opening?: Opening) => Promise<OpenedLog>): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const LEVELS = ['memory', 'os', 'fsync'] as const satisfies readonly Level[];
const nothing = (): void => undefined;

export const LOG_CASES: readonly LogCase[] = [
  {
    name: 'gives frames in order, with label, place and the time of their coming',
    async run(open) {
      const { log, clock } = await open({ clock: new FakeClock(1000) });
      const reader = log.reader(undefined, nothing);
      log.append(batchOf(1), 'memory', '');
      clock.advance(5);
      log.append(batchOf(2), 'memory', '@A');
      await turn();
      const [first, second] = [reader.next(), reader.next()];
      assert.deepEqual([numberOf(first), first?.label, numberOf(second), second?.label], [1, '', 2, '@A']);
      assert.deepEqual([first?.batch.place?.enteredMs, second?.batch.place?.enteredMs], [1000, 1005]);
      assert.equal(first?.batch.place?.incarnation, 7n);
      assert.ok((first?.batch.place?.offset ?? 0) < (second?.batch.place?.offset ?? 0));
      assert.equal(first?.end, second?.position);
      assert.equal(reader.next(), undefined);
      assert.equal(reader.position, log.head);
    },
  },
  {
    name: 'acknowledges each level, in order, memory before append returns',
    async run(open) {
      const { log } = await open();
      const acks: string[] = [];
      for (let n = 0; n < 3; n++) for (const level of LEVELS) log.append(batchOf(n), level, '', () => acks.push(`${level}${n}`));
      assert.deepEqual(
        acks.filter((ack) => ack.startsWith('memory')),
        ['memory0', 'memory1', 'memory2'],
      );
      await log.flush();
      for (const level of LEVELS)
        assert.deepEqual(
          acks.filter((ack) => ack.startsWith(level)),
          [0, 1, 2].map((n) => level + n),
        );
    },
  },
  {
    name: 'copies: what the sender does with its buffer later changes nothing',
    async run(open) {
      const { log } = await open();
      const reader = log.reader(undefined, nothing);
      const batch = batchOf(5);
      log.append(batch, 'memory', '');
      batch.bytes.fill(0xc1);
      await turn();
      assert.equal(numberOf(reader.next()), 5);
    },
  },
  {
    name: 'wakes its reader when there is something after nothing, and not for every frame',
    async run(open) {
      const { log } = await open();
      let wakes = 0;
      const reader = log.reader(undefined, () => wakes++);
      log.append(batchOf(1), 'memory', 'a');
      log.append(batchOf(2), 'memory', 'b');
      await turn();
      assert.equal(wakes, 1);
      reader.next();
      log.append(batchOf(3), 'memory', '');
      await turn();
      assert.equal(wakes, 1, 'it has not caught up');
      assert.deepEqual(numbersOf(reader), [2, 3]);
      log.append(batchOf(4), 'memory', '');
      await turn();
      assert.equal(wakes, 2);
    },
  },
  {
    name: 'a frame larger than a segment',
    async run(open) {
      const { log } = await open({ limitBytes: 1 << 24 });
      const reader = log.reader(undefined, nothing);
      log.append(batchOf(1), 'memory', '');
      log.append(batchOf(2, 3 << 20), 'memory', '');
      log.append(batchOf(3), 'memory', '');
      await turn();
      assert.deepEqual(numbersOf(reader), [1, 2, 3]);
    },
  },
  {
    name: 'readers are independent, and begin where they are told',
    async run(open) {
      const { log } = await open();
      const frames: Frame[] = [];
      const first = log.reader(undefined, nothing);
      for (let n = 0; n < 4; n++) {
        log.append(batchOf(n), 'memory', String(n));
        await turn();
        frames.push(first.next() as Frame);
      }
      const [, second] = frames as [Frame, Frame];
      assert.deepEqual(numbersOf(log.reader(second.position, nothing)), [1, 2, 3]);
      assert.deepEqual(numbersOf(log.reader(second.end, nothing)), [2, 3]);
      assert.deepEqual(numbersOf(log.reader(log.head, nothing)), []);
    },
  },
  {
    name: 'append takes when it is full all the same and says so; tryAppend does not; ready waits for a quarter to be free',
    async run(open) {
      const { log } = await open({ limitBytes: 40_000 });
      const reader = log.reader(undefined, nothing);
      const taken = [0, 1, 2, 3, 4].map((n) => log.append(batchOf(n, 9990), 'memory', String(n)));
      assert.deepEqual(taken, [true, true, true, false, false]);
      assert.equal(log.tryAppend(batchOf(9), 'memory', ''), false);
      assert.equal(log.status.state, 'stalled');
      let isReady = 0;
      const waits = [log.ready().then(() => isReady++), log.ready().then(() => isReady++)];
      await log.flush();
      const frames = [0, 1, 2, 3, 4].map(() => reader.next() as Frame);
      assert.deepEqual(frames.map(numberOf), [0, 1, 2, 3, 4]);
      await turn();
      assert.equal(isReady, 0, 'reading alone frees nothing');
      for (const [index, wanted] of [
        [0, 0],
        [2, 2],
      ] as const) {
        log.trim((frames[index] as Frame).end);
        await turn();
        assert.equal(isReady, wanted, `after ${index + 1} of 5`);
      }
      await Promise.all(waits);
      await log.ready();
      assert.equal(log.tryAppend(batchOf(9), 'memory', ''), true);
      assert.equal(log.status.state, 'ok');
      await log.flush();
      assert.deepEqual(numbersOf(log.reader(undefined, nothing)), [3, 4, 9]);
    },
  },
  {
    name: 'what an interval of a consumer became is taken once',
    async run(open) {
      const { log } = await open();
      let acks = 0;
      const once = (consumer: string, intervalMs: number, n: number): void =>
        log.appendOnce(batchOf(n), 'fsync', { consumer, intervalMs }, () => acks++);
      for (const [consumer, intervalMs, n] of [
        ['a', 10, 1],
        ['a', 20, 2],
        ['a', 10, 3],
        ['b', 10, 4],
        ['a', 20, 5],
      ] as const)
        once(consumer, intervalMs, n);
      await log.flush();
      assert.equal(acks, 5);
      once('a', 20, 6);
      assert.equal(acks, 6, 'known and safe');
      assert.deepEqual(numbersOf(log.reader(undefined, nothing)), [1, 2, 4]);
    },
  },
  {
    name: 'its time never falls',
    async run(open) {
      const { log, clock } = await open({ clock: new FakeClock(5000) });
      const reader = log.reader(undefined, nothing);
      log.append(batchOf(1), 'memory', 'a');
      clock.advance(-3000);
      log.append(batchOf(2), 'memory', 'b');
      assert.equal(log.now(), 5000);
      clock.advance(4000);
      log.append(batchOf(3), 'memory', 'c');
      await turn();
      const times = [1, 2, 3].map(() => reader.next()?.batch.place?.enteredMs);
      assert.deepEqual(times, [5000, 5000, 6000]);
    },
  },
  {
    name: 'keeps books',
    async run(open) {
      const { log } = await open();
      const sizes = [0, 1, 2].map((n) => {
        const batch = batchOf(n);
        log.append(batch, 'os', String(n));
        return batch.end - batch.start;
      });
      await log.flush();
      const { appended, recovered, state } = log.status;
      assert.deepEqual(appended, { frames: 3, events: 3, bytes: sizes.reduce((sum, size) => sum + size) });
      assert.deepEqual([recovered.frames, state], [0, 'ok']);
    },
  },
];
