import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { FakeClock, makeBatch, readBatch } from '../testing/driver.ts';
import type { Batch } from '../events/batch.ts';
import type { Frame } from './entrance-log.ts';
import { MemoryLog } from './memory-log.ts';

const batchOf = (n: number, bytes = 0): Batch => makeBatch([{ record: { n, fill: 'x'.repeat(bytes) } }]);
const sizeOf = ({ start, end }: Batch): number => end - start;
const numberOf = (frame: Frame | undefined): unknown =>
  frame === undefined ? undefined : readBatch(frame.batch)[0]?.record['n'];

describe('the log in memory', () => {
  test('gives frames in order, with label, place and the time of their coming', () => {
    const clock = new FakeClock(1000);
    const log = new MemoryLog(clock, 1000, 7n);
    const reader = log.reader('r', () => undefined);
    log.append(batchOf(1), 'memory', '');
    clock.advance(5);
    log.append(batchOf(2), 'memory', '@A');
    const [first, second] = [reader.next(), reader.next()];
    assert.deepEqual([numberOf(first), first?.label, numberOf(second), second?.label], [1, '', 2, '@A']);
    assert.deepEqual(first?.batch.place, { incarnation: 7n, segment: 1000, offset: 0, enteredMs: 1000 });
    assert.deepEqual(second?.batch.place, { incarnation: 7n, segment: 1000, offset: sizeOf(batchOf(1)), enteredMs: 1005 });
    assert.equal(reader.next(), undefined);
  });

  test('acknowledges each frame once it has it, before append returns', () => {
    const log = new MemoryLog(new FakeClock(), 10, 1n);
    const acks: unknown[] = [];
    for (let n = 0; n < 3; n++) log.append(batchOf(n), 'memory', '', (failure) => acks.push(failure));
    assert.deepEqual(acks, [undefined, undefined, undefined]);
  });

  test('copies: what the sender does with its buffer later changes nothing', () => {
    const log = new MemoryLog(new FakeClock(), 1000, 1n);
    const reader = log.reader('r', () => undefined);
    const batch = batchOf(5);
    log.append(batch, 'memory', '');
    batch.bytes.fill(0xc1);
    assert.equal(numberOf(reader.next()), 5);
  });

  test('wakes its reader when there is something after nothing, and not for every frame', () => {
    const log = new MemoryLog(new FakeClock(), 1000, 1n);
    let wakes = 0;
    const reader = log.reader('r', () => wakes++);
    log.append(batchOf(1), 'memory', '');
    log.append(batchOf(2), 'memory', '');
    assert.equal(wakes, 1);
    reader.next();
    reader.next();
    log.append(batchOf(3), 'memory', '');
    assert.equal(wakes, 2);
  });

  test('a frame larger than a segment', () => {
    const log = new MemoryLog(new FakeClock(), 1 << 24, 1n);
    const reader = log.reader('r', () => undefined);
    log.append(batchOf(1), 'memory', '');
    log.append(batchOf(2, 3 << 20), 'memory', '');
    log.append(batchOf(3), 'memory', '');
    assert.deepEqual([numberOf(reader.next()), numberOf(reader.next()), numberOf(reader.next())], [1, 2, 3]);
  });
});

describe('when it is full', () => {
  test('append takes all the same and says so; tryAppend does not; ready waits for a quarter to be free', async () => {
    const size = sizeOf(batchOf(0));
    const log = new MemoryLog(new FakeClock(), size * 4, 1n);
    const reader = log.reader('r', () => undefined);
    const taken = [0, 1, 2, 3, 4].map((n) => log.append(batchOf(n), 'memory', ''));
    assert.deepEqual(taken, [true, true, true, false, false]);
    assert.equal(log.tryAppend(batchOf(9), 'memory', ''), false);
    let isReady = 0;
    const waits = [log.ready().then(() => isReady++), log.ready().then(() => isReady++)];
    const frames = [0, 1, 2, 3, 4].map(() => reader.next());
    assert.deepEqual(frames.map(numberOf), [0, 1, 2, 3, 4]);
    for (const [index, wanted] of [
      [0, 0],
      [1, 2],
    ] as const) {
      reader.release(frames[index] as Frame);
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(isReady, wanted, `after ${index + 1} of 5`);
    }
    await Promise.all(waits);
    await log.ready();
    assert.equal(log.tryAppend(batchOf(9), 'memory', ''), true);
    assert.deepEqual(log.pending, { frames: 4, events: 4, bytes: size * 4 });
  });

  test('reading alone frees nothing', () => {
    const log = new MemoryLog(new FakeClock(), 1, 1n);
    const reader = log.reader('r', () => undefined);
    log.append(batchOf(1), 'memory', '');
    reader.next();
    assert.equal(log.tryAppend(batchOf(2), 'memory', ''), false);
  });
});

test('whatever the order of taking and letting go: the same frames, places that rise, and room for what is held only', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('append' as const), bytes: fc.oneof(fc.nat(100), fc.integer({ min: 200_000, max: 600_000 })) }),
    fc.record({ do: fc.constant('read' as const) }),
    fc.record({ do: fc.constant('release' as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: -5, max: 5 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const clock = new FakeClock();
      const log = new MemoryLog(clock, 1 << 20, 1n);
      const reader = log.reader('r', () => undefined);
      const held: Frame[] = [];
      const waiting: Batch[] = [];
      let before = -1n;
      for (const one of steps) {
        if (one.do === 'append') {
          const batch = batchOf(waiting.length, one.bytes);
          waiting.push(batch);
          log.append(batch, 'memory', '');
        } else if (one.do === 'read') {
          const frame = reader.next();
          const batch = waiting.shift();
          assert.equal(frame === undefined, batch === undefined);
          if (frame === undefined || batch === undefined) continue;
          assert.deepEqual(readBatch(frame.batch), readBatch(batch));
          const { segment, offset } = frame.batch.place ?? { segment: 0, offset: 0 };
          const place = (BigInt(segment) << 40n) | BigInt(offset);
          assert.ok(place > before, 'a place is never given twice, and order is order in time');
          before = place;
          held.push(frame);
        } else if (one.do === 'release') {
          const [frame] = held.splice(one.which % Math.max(1, held.length), 1);
          if (frame !== undefined) reader.release(frame);
        } else clock.advance(one.ms);
        const inside = [...waiting, ...held.map(({ batch }) => batch)];
        assert.equal(
          log.pending.bytes,
          inside.reduce((sum, batch) => sum + sizeOf(batch), 0),
        );
        assert.equal(log.pending.frames, inside.length);
      }
    }),
    { numRuns: 60 },
  );
});
