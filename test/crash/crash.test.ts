/** The judge must be able to condemn: by tables, and by one run without a log on disk, which must turn out red. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { readRequest, writeAck } from '../../engine/events/forward.ts';
import { readBatch } from '../../engine/testing/driver.ts';
import { ACK_BYTES, chunkOf, documentOf, eventOf, frameOf, isDropped, keyOf, readAck } from './events.ts';
import { FAULTS, planOf } from './plan.ts';
import { killAll } from './process.ts';
import { crashRun } from './run.ts';
import { judge, readLedger } from './verdict.ts';

describe('verdict', () => {
  // Events 0 to 14 of a sender are kept, 15 is dropped by the configuration.
  const all = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, n) => keyOf(0, from + n)).filter((_, n) => !isDropped(from + n));
  for (const [name, ledger, held, want] of [
    ['all is well', 'S 0 0 16\nA 0 0\n', all(0, 15), []],
    ['nothing was promised', 'S 0 0 16\n', [], []],
    ['not acknowledged, but there', 'S 0 0 16\n', all(0, 15), []],
    ['a line that was cut off never happened', 'S 0 0 16\nA 0 0', [], []],
    ['lost', 'S 0 0 3\nA 0 0\n', ['0-0', '0-2'], ['1 x acknowledged, but not there: 0-1']],
    ['all lost', 'S 0 0 10\nA 0 0\n', [], ['10 x acknowledged, but not there: 0-0, 0-1, 0-2, 0-3, 0-4, ...']],
    ['twice', 'S 0 0 1\nA 0 0\n', ['0-0', '0-0'], ['1 x there twice, though sent once: 0-0']],
    ['twice, but sent twice', 'S 0 0 1\nR 0 0\nA 0 0\n', ['0-0', '0-0'], []],
    ['a part of a frame', 'S 0 0 3\n', ['0-1'], ['1 x there in part: a frame must come whole or not at all: 0-0']],
    ['half a frame', 'H 0 0 2\n', ['0-0', '0-1'], ['1 x there, though never sent whole: 0-0']],
    ['dropped', 'S 0 15 1\nA 0 15\n', ['0-15'], ['1 x there, though the configuration drops it: 0-15']],
    ['never sent', 'S 0 0 1\n', ['1-7'], ['1 x there, though never sent: 1-7']],
  ] as const) {
    test(name, () => {
      const { problems } = judge({
        ledger: readLedger(ledger),
        idsOf: (key) => held.filter((each) => each === key),
        held,
        counts: [],
      });
      assert.deepEqual(problems, want);
    });
  }

  test('counters that say something else', () => {
    const counts = [
      { kind: 'order', documents: 5, counted: 5 },
      { kind: 'login', documents: 5, counted: 4 },
    ];
    const { problems } = judge({ ledger: readLedger(''), idsOf: () => [], held: [], counts });
    assert.deepEqual(problems, ['the counter of login says 4, there are 5 documents']);
  });
});

describe('frames', () => {
  for (const isGzipped of [false, true]) {
    test(`are read by the protocol's own reader${isGzipped ? ', gzipped' : ''}`, () => {
      const frame = frameOf(3, 100, 200, isGzipped);
      const request = readRequest(frame, 0, frame.length, { decompressedBytes: 1 << 20 }, 0);
      assert.ok(typeof request === 'object');
      assert.equal(request.batch?.count, 200);
      const [first] = readBatch(request.batch);
      assert.deepEqual(first?.record, { ...eventOf(3, 100) });
      const { u, kind, text, amount, added } = documentOf(3, 100);
      assert.deepEqual({ u, kind, text, amount }, first.record);
      assert.ok(added);
      const acknowledgement = writeAck(Buffer.from(`\xb8${chunkOf(3, 100)}`, 'latin1'));
      assert.equal(acknowledgement.length, ACK_BYTES);
      assert.equal(readAck(acknowledgement), 100);
    });
  }
});

describe('plans', () => {
  test('follow from their seeds, and give each fault its turn', () => {
    const plans = Array.from({ length: 50 }, (_, seed) => planOf(seed));
    assert.deepEqual(plans[7], planOf(7));
    const turns = new Set(plans.flatMap(({ steps }) => steps.map(({ fault }) => fault)));
    assert.deepEqual([...turns].sort(), [...FAULTS].sort());
    assert.ok(plans.every(({ steps }) => steps.some(({ fault }) => fault.startsWith('kill'))));
    const without = Array.from({ length: 50 }, (_, seed) => planOf(seed, { without: ['disk full'] }));
    assert.ok(without.every(({ steps }) => steps.every(({ fault }) => fault !== 'disk full')));
  });
});

describe('one run', () => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-crash-test-'));
  after(() => {
    killAll();
    rmSync(directory, { recursive: true, force: true });
  });

  test('without a log on disk a kill loses what was acknowledged, and the judge sees it', { timeout: 60_000 }, async () => {
    const step = { fault: 'kill', loadMs: 700, forMs: 400, bulk: 'is away', jumpMs: 0, workers: 1 } as const;
    const plan = { seed: 1, workers: 1, connections: 2, window: 4, eventsPerSecond: 3000, resends: false, steps: [step] };
    const { problems, sums } = await crashRun({ plan, directory, durability: 'memory', settlesMs: 500 });
    assert.ok(sums.lost > 0, `nothing was lost: ${JSON.stringify({ problems, sums })}`);
    assert.ok(problems.some((problem) => /x acknowledged, but not there/.test(problem)));
  });
});
