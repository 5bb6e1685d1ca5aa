import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock, type LogLine } from '../testing/driver.ts';
import { MAX_RANGES, SLOT_BYTES, type SlotStore } from './progress-file.ts';
import { Progress, type ProgressOptions } from './progress.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const options = (more: Partial<ProgressOptions> = {}): ProgressOptions => ({ clock: new FakeClock(), log: silent, ...more });

/** Slots on a disk that forgets, tears and fails. */
class CrashingSlots implements SlotStore {
  safe = Buffer.alloc(SLOT_BYTES * 3);
  #writes: { readonly at: number; readonly bytes: Buffer }[] = [];
  #syncs: (() => void)[] = [];
  fails: Error | undefined;

  read(into: Buffer, at: number): void {
    this.#seen().copy(into, 0, at, at + into.length);
  }
  write(bytes: Buffer, at: number): void {
    if (this.fails !== undefined) throw this.fails;
    this.#writes.push({ at, bytes: Buffer.from(bytes) });
  }
  sync(done: (error: Error | null) => void): void {
    const taken = this.#writes.length;
    const failure = this.fails ?? null;
    this.#syncs.push(() => {
      if (failure === null) for (const { at, bytes } of this.#writes.splice(0, taken)) bytes.copy(this.safe, at);
      done(failure);
    });
  }
  finishSyncs(): void {
    for (const finish of this.#syncs.splice(0)) finish();
  }
  close(): void {}

  #seen(): Buffer {
    const all = Buffer.from(this.safe);
    for (const { at, bytes } of this.#writes) bytes.copy(all, at);
    return all;
  }
  /** What is there after the process was killed: all writes, the last one perhaps cut short. */
  killed(cut: number): CrashingSlots {
    const after = new CrashingSlots();
    const last = this.#writes.at(-1);
    for (const { at, bytes } of this.#writes.slice(0, -1)) bytes.copy(this.safe, at);
    if (last !== undefined) last.bytes.subarray(0, Math.ceil(cut * last.bytes.length)).copy(this.safe, last.at);
    after.safe = this.safe;
    return after;
  }
  /** What is there after a power cut: any of the writes since the last sync, each perhaps cut short. */
  unplugged(survives: readonly number[]): CrashingSlots {
    const after = new CrashingSlots();
    for (const [n, { at, bytes }] of this.#writes.entries())
      bytes.subarray(0, Math.ceil((survives[n % survives.length] ?? 0) * bytes.length)).copy(this.safe, at);
    after.safe = this.safe;
    return after;
  }
}

describe('progress', () => {
  test('moves with the oldest frame, whatever is finished before it', () => {
    const progress = new Progress(100);
    let moves = 0;
    progress.onMoved = () => void moves++;
    for (const begin of [100, 110, 130, 140]) assert.equal(progress.begin(begin, begin + 10), true);
    progress.finish(110);
    progress.finish(140);
    assert.deepEqual([progress.lowWater, progress.rangeCount, progress.finishedBytes, moves], [100, 2, 20, 0]);
    progress.finish(130);
    assert.deepEqual([progress.rangeCount, progress.finishedBytes], [1, 30]);
    progress.finish(130);
    progress.finish(77);
    assert.deepEqual([progress.rangeCount, progress.finishedBytes], [1, 30]);
    progress.finish(100);
    assert.deepEqual([progress.lowWater, progress.rangeCount, progress.finishedBytes, moves], [150, 0, 0, 1]);
    assert.equal(progress.begin(140, 150), false);
  });

  test('a million frames in order and out of order stay cheap', () => {
    const progress = new Progress();
    const started = performance.now();
    for (let n = 0; n < 1_000_000; n++) progress.begin(n * 10, n * 10 + 10);
    for (let n = 1_000_000 - 1; n >= 0; n--) progress.finish(n * 10);
    assert.equal(progress.lowWater, 10_000_000);
    // Takes 0.2 s; with an array that is shifted it would be minutes.
    assert.ok(performance.now() - started < 10_000);
  });

  test('is full at so many ranges; those that fit are kept', () => {
    const slots = new CrashingSlots();
    const progress = Progress.over(slots, options());
    for (let n = 0; n < 2 * MAX_RANGES + 4; n++) progress.begin(n, n + 1);
    for (let n = 1; n < 2 * MAX_RANGES - 2; n += 2) progress.finish(n);
    assert.equal(progress.isFull, false);
    progress.finish(2 * MAX_RANGES - 1);
    assert.equal(progress.isFull, true);
    progress.finish(2 * MAX_RANGES + 1);
    progress.save();
    const again = Progress.over(slots.killed(1), options());
    assert.equal(again.rangeCount, MAX_RANGES);
    assert.deepEqual(
      [0, 1, 2, 2 * MAX_RANGES - 1, 2 * MAX_RANGES + 1].map((n) => again.begin(n, n + 1)),
      [true, false, true, false, true],
    );
  });

  test('is written soon after a change, once, and synced later', () => {
    const clock = new FakeClock();
    const slots = new CrashingSlots();
    const progress = Progress.over(slots, options({ clock }));
    for (let n = 0; n < 10; n++) {
      progress.begin(n, n + 1);
      progress.finish(n);
    }
    const seen = (): number => Progress.over(slots, options()).lowWater;
    assert.equal(seen(), 0);
    clock.advance(50);
    assert.equal(seen(), 10);
    clock.advance(1000);
    slots.finishSyncs();
    assert.equal(Progress.over(slots.unplugged([0]), options()).lowWater, 10);
  });

  test('goes on while the disk does not take it, and says so once', () => {
    const clock = new FakeClock();
    const slots = new CrashingSlots();
    const lines: LogLine['message'][] = [];
    const log = { ...silent, warn: (_fields: object, message: string) => void lines.push(message) };
    const progress = Progress.over(slots, options({ clock, log }));
    slots.fails = new Error('ENOSPC');
    progress.begin(0, 1);
    progress.finish(0);
    clock.advance(5000);
    assert.deepEqual([lines, progress.failure], [['progress cannot be written, trying again'], 'ENOSPC']);
    slots.fails = undefined;
    clock.advance(2000);
    assert.equal(progress.failure, undefined);
    assert.equal(Progress.over(slots, options()).lowWater, 1);
  });

  test('is taken back to the end of a log that has lost its tail', () => {
    const slots = new CrashingSlots();
    const before = Progress.over(slots, options());
    for (const begin of [0, 10, 20, 30]) before.begin(begin, begin + 10);
    for (const begin of [0, 20]) before.finish(begin);
    before.save();
    const after = Progress.over(slots, options({ head: 25 }));
    assert.deepEqual(
      [10, 20, 25].map((begin) => after.begin(begin, begin + 5)),
      [true, false, true],
    );
    assert.equal(Progress.over(slots, options({ head: 5 })).lowWater, 5);
  });

  test('lies in a file', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'progress-'));
    try {
      const path = join(directory, 'deep', 'out.progress');
      const first = Progress.open(path, options({ start: 2 ** 52 }));
      assert.equal(first.lowWater, 2 ** 52);
      first.begin(2 ** 52, 2 ** 52 + 7);
      first.begin(2 ** 52 + 7, 2 ** 52 + 8);
      first.begin(2 ** 52 + 9, 2 ** 52 + 10);
      first.finish(2 ** 52);
      first.finish(2 ** 52 + 9);
      await first.close();
      await first.close();
      const second = Progress.open(path, options());
      assert.deepEqual([second.lowWater, second.rangeCount], [2 ** 52 + 7, 1]);
      await second.close();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('whatever happens to the process and the disk', () => {
  const cut = fc.oneof(fc.constant(0), fc.constant(1), fc.double({ min: 0, max: 1, noNaN: true }));
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('begin' as const), gap: fc.nat(3), size: fc.integer({ min: 1, max: 9 }) }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('finish' as const), which: fc.nat(30) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 1500 }) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('synced' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), cut }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('unplug' as const), cuts: fc.array(cut, { minLength: 1, maxLength: 6 }) }),
    },
  );

  test('nothing unfinished is skipped, nothing that was on the disk is done again', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        let clock = new FakeClock();
        let slots = new CrashingSlots();
        let progress = Progress.over(slots, options({ clock }));
        /** Every frame that is in the log: whether it is finished, and in how safe a place that is written. */
        const frames: { begin: number; end: number; isFinished: boolean; isSafe: boolean }[] = [];
        let open: (typeof frames)[number][] = [];
        let head = 0;
        const restart = (after: CrashingSlots): void => {
          slots = after;
          clock = new FakeClock();
          progress = Progress.over(slots, options({ clock, head }));
          open = [];
          for (const frame of frames) {
            if (progress.begin(frame.begin, frame.end)) {
              assert.equal(frame.isSafe, false, `[${frame.begin}, ${frame.end}) was on the disk as finished`);
              frame.isFinished = false;
              open.push(frame);
            } else assert.equal(frame.isFinished, true, `[${frame.begin}, ${frame.end}) was not finished`);
          }
        };
        for (const one of steps) {
          switch (one.do) {
            case 'begin': {
              const frame = { begin: head + one.gap, end: head + one.gap + one.size, isFinished: false, isSafe: false };
              head = frame.end;
              frames.push(frame);
              open.push(frame);
              assert.equal(progress.begin(frame.begin, frame.end), true);
              break;
            }
            case 'finish': {
              const frame = open.splice(one.which % (open.length + 1), 1)[0];
              if (frame === undefined) break;
              frame.isFinished = true;
              progress.finish(frame.begin);
              break;
            }
            case 'pass':
              clock.advance(one.ms);
              break;
            case 'synced': {
              progress.save();
              clock.advance(1000);
              slots.finishSyncs();
              // A sync that was under way before took in less: another round.
              clock.advance(1000);
              slots.finishSyncs();
              for (const frame of frames) frame.isSafe = frame.isFinished;
              break;
            }
            case 'kill':
              restart(slots.killed(one.cut));
              break;
            case 'unplug':
              restart(slots.unplugged(one.cuts));
              break;
          }
          const firstOpen = frames.find(({ isFinished }) => !isFinished);
          assert.ok(progress.lowWater <= (firstOpen?.begin ?? head));
          if (firstOpen === undefined) assert.equal(progress.lowWater, head);
        }
      }),
      { numRuns: 500 },
    );
  });
});
