import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Pace } from './pace.ts';

const MIB = 1 << 20;
const paceOf = (requestBytes = 8 * MIB, inFlight = 8): Pace => new Pace({ requestBytes, inFlight, onChange: () => undefined });
const { signal } = new AbortController();

async function fill(pace: Pace, count: number): Promise<number> {
  let mark = 0;
  for (let n = 0; n < count; n++) mark = await pace.begin(signal);
  return mark;
}

describe('pace', () => {
  test('begins with two and rises by one per round while all are used', async () => {
    const pace = paceOf();
    assert.equal(pace.inFlight, 2);
    const mark = await fill(pace, 2);
    for (let n = 0; n < 3; n++) pace.succeeded(mark, MIB, 10);
    assert.equal(pace.inFlight, 3);
  });

  test('does not rise when it is not used', () => {
    const pace = paceOf();
    for (let n = 0; n < 100; n++) pace.succeeded(0, MIB, 10);
    assert.equal(pace.inFlight, 2);
  });

  test('overload halves both, once for what was under way together', async () => {
    const pace = paceOf();
    const mark = await fill(pace, 2);
    pace.overloaded(mark);
    pace.overloaded(mark);
    assert.deepEqual([pace.inFlight, pace.requestBytes], [1, 4 * MIB]);
  });

  test('a size that was refused is not tried again', () => {
    const pace = paceOf();
    pace.tooLarge(8 * MIB);
    assert.equal(pace.requestBytes, 4 * MIB);
    for (let n = 0; n < 100; n++) pace.succeeded(0, pace.requestBytes, 10);
    assert.ok(pace.requestBytes < 8 * MIB && pace.requestBytes > 7 * MIB);
  });

  test('an answer that takes three times as long takes a fifth off', async () => {
    const pace = paceOf();
    const mark = await fill(pace, 2);
    for (let n = 0; n < 40; n++) pace.succeeded(mark, MIB, 1000);
    const before = pace.inFlight;
    pace.succeeded(mark, MIB, 4000);
    assert.ok(pace.inFlight < before);
  });

  test('waits for a place, and gives up with the signal', async () => {
    const pace = paceOf(MIB, 1);
    await pace.begin(signal);
    const second = pace.begin(signal);
    pace.finish();
    await second;
    const abort = new AbortController();
    const third = pace.begin(abort.signal);
    abort.abort();
    await assert.rejects(third, { name: 'AbortError' });
  });

  test('both figures stay within their bounds, whatever happens', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('succeeded' as const), ms: fc.integer({ min: 0, max: 60_000 }) }),
      fc.record({ kind: fc.constantFrom('overloaded' as const, 'tooLarge' as const), ms: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 64 }), (steps, inFlight) => {
        const pace = paceOf(8 * MIB, inFlight);
        let mark = 0;
        for (const { kind, ms } of steps) {
          if (kind === 'succeeded') pace.succeeded(mark, pace.requestBytes, ms);
          else if (kind === 'overloaded') pace.overloaded(mark++);
          else pace.tooLarge(pace.requestBytes);
          assert.ok(pace.inFlight >= 1 && pace.inFlight <= inFlight);
          assert.ok(pace.requestBytes >= 64 << 10 && pace.requestBytes <= 8 * MIB);
        }
      }),
    );
  });
});
