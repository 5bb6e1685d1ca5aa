import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { seeded } from '../../engine/testing/seeded.ts';
import { fuzzOne } from './fuzz-one.ts';
import { minimise, Mutator } from './mutate.ts';
import { Seat } from './seat.ts';
import { collectTargets } from './targets.ts';

const target = (run: FuzzTarget['run']): FuzzTarget => ({ name: 'test', seeds: ['{"length": 12}', 'abc'], words: ['boom'], run });
const bounds = { seed: 1, seconds: 10, inputs: 5000 };

describe('fuzzOne', () => {
  test('finds a throw and makes its input small', async () => {
    const { failure, inputs } = await fuzzOne(
      target((bytes) => {
        if (bytes.includes('boom')) throw new Error('found');
        return bytes.length;
      }),
      bounds,
    );
    assert.equal(failure?.bytes.toString(), 'boom');
    assert.match(failure.message, /^Error: found/);
    assert.equal(inputs, failure.nth);
  });

  test('gives the same inputs for the same seed', async () => {
    const seen = async (seed: number): Promise<string[]> => {
      const inputs: string[] = [];
      await fuzzOne(
        target((bytes) => {
          inputs.push(bytes.toString('hex'));
          return bytes.length;
        }),
        { ...bounds, seed, inputs: 300 },
      );
      return inputs;
    };
    const first = await seen(7);
    assert.equal(first.length, 300);
    assert.deepEqual(await seen(7), first);
    assert.notDeepEqual(await seen(8), first);
  });

  test('keeps what does something new, within a bound', async () => {
    const { kept, failure } = await fuzzOne(
      target((bytes) => bytes.toString('hex')),
      bounds,
    );
    assert.equal(failure, undefined);
    assert.equal(kept, 512);
  });

  test('sees memory that grows', async () => {
    const held: Buffer[] = [];
    const { failure } = await fuzzOne(
      target(() => void held.push(Buffer.alloc(64 << 10))),
      { ...bounds, inputs: 2 * 2500, collect: () => undefined },
    );
    assert.match(failure?.message ?? '', /^memory grew by \d+ MiB/);
  });
});

describe('mutations', () => {
  test('leave their origin alone and stay below the limit', () => {
    fc.assert(
      fc.property(fc.integer(), fc.uint8Array({ maxLength: 100 }), (seed, bytes) => {
        const from = Buffer.from(bytes);
        const mutator = new Mutator(seeded(seed), [Buffer.from('word')], 200);
        for (let n = 0; n < 20; n++) assert.ok(mutator.mutate(from, [from]).length <= 200);
        assert.deepEqual(from, Buffer.from(bytes));
      }),
    );
  });

  test('are taken back where they are not needed', () => {
    const small = minimise(Buffer.from('xxxxaxxxxbxxxx'), (bytes) => bytes.includes('a') && bytes.includes('b'));
    assert.equal(small.toString(), 'ab');
  });
});

describe('targets', () => {
  test('take their own seeds, and a thread runs one', async () => {
    const targets = await collectTargets();
    assert.ok(targets.length > 40);
    for (const { target: one } of targets) for (const seed of one.seeds) one.run(Buffer.from(seed as Uint8Array));
    const seat = await Seat.open();
    const outcome = await seat.fuzz({ name: 'statsd/lines', seed: 1, seconds: 10, inputs: 100 });
    await seat.close();
    assert.ok('report' in outcome);
    assert.deepEqual([outcome.report.inputs, outcome.report.failure], [100, undefined]);
  });
});
