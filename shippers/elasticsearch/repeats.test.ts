import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makeBatch } from '../../engine/testing/driver.ts';
import { Repeats } from './repeats.ts';

const HOUR_MS = 3_600_000;
const STARTED_MS = 1_700_000_000_000;
const place = (
  offset: number,
  enteredMs: number,
): { incarnation: bigint; segment: number; offset: number; enteredMs: number } => ({
  incarnation: 1n,
  segment: 5,
  offset,
  enteredMs,
});
const batch = (offset: number, enteredMs = STARTED_MS + 1) => ({
  ...makeBatch([{ record: { a: 1 } }, { record: { a: 2 } }]),
  place: place(offset, enteredMs),
});
const made: Readonly<Record<string, number>> = { '.ds-s-000002': STARTED_MS - HOUR_MS, '.ds-s-000003': STARTED_MS + HOUR_MS };
const repeatsOf = (): Repeats => new Repeats({ startedMs: STARTED_MS, createdMs: (index) => Promise.resolve(made[index]) });
const never = (): boolean => false;

describe('what may be there twice', () => {
  test('events of this process were never sent before', () => {
    assert.equal(repeatsOf().since([batch(0)]), undefined);
    assert.equal(repeatsOf().since([makeBatch([{ record: {} }])]), undefined);
    assert.equal(repeatsOf().since([]), undefined);
  });

  test('events from before the start may have been', () => {
    assert.equal(repeatsOf().since([batch(0, STARTED_MS - 5)]), STARTED_MS - 5);
  });

  test('events whose answer was lost are known by the first that is left', () => {
    const repeats = repeatsOf();
    const batches = [batch(0), batch(90)];
    repeats.remember(batches, 3, STARTED_MS + 7);
    assert.equal(repeats.since(batches), undefined);
    const rest = [{ ...batch(90), count: 1, ids: Uint32Array.of(1 << 8) }];
    assert.equal(repeats.since(rest), STARTED_MS + 7);
    repeats.forget(rest);
    assert.equal(repeats.since(rest), undefined);
  });

  for (const [index, addressed, want] of [
    ['.ds-s-000002', never, 0],
    ['.ds-s-000003', never, 10],
    ['.ds-unknown-000004', never, 10],
    ['.ds-s-000001', never, 0],
    ['app-2026.11.24', (name: string) => name === 'app-2026.11.24', 0],
  ] as const) {
    test(`${index}: ${want}`, async () => {
      assert.equal(await repeatsOf().count(new Map([[index, 10]]), STARTED_MS + 5, addressed), want);
    });
  }

  test('remembers a bounded number', () => {
    const repeats = repeatsOf();
    for (let n = 0; n < 1500; n++) repeats.remember([batch(n * 100)], 0, STARTED_MS);
    assert.equal(repeats.since([batch(0)]), undefined);
    assert.equal(repeats.since([batch(1499 * 100)]), STARTED_MS);
  });
});
