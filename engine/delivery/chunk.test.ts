import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Batch } from '../events/batch.ts';
import { makeBatch, readBatch } from '../testing/driver.ts';
import { OpenChunk, selectEvents } from './chunk.ts';
import { Progress } from './progress.ts';
import { Ticket } from './ticket.ts';

const place = { incarnation: 1n, segment: 2, offset: 3, enteredMs: 4 };
const batchOf = (tag: string, from: number, count: number): Batch => ({
  ...makeBatch(
    Array.from({ length: count }, (_, n) => ({ record: { n: from + n } })),
    tag,
  ),
  place,
});
const numbers = (batches: readonly Batch[]): unknown[] => batches.flatMap(readBatch).map(({ record }) => record['n']);

describe('a chunk', () => {
  for (const [name, tags, want] of [
    ['one tag', ['a', 'a'], { tag: 'a' }],
    ['two tags', ['a', 'b'], {}],
    ['back to the first tag', ['a', 'b', 'a'], {}],
  ] as const)
    test(name, () => {
      const chunk = new OpenChunk(0);
      for (const tag of tags) chunk.add(batchOf(tag, 0, 2), undefined);
      const { metadata, count, bytes, id, attempt } = chunk.view();
      assert.deepEqual(metadata, want);
      assert.deepEqual([count, attempt], [tags.length * 2, 0]);
      assert.equal(
        bytes,
        chunk.batches.reduce((sum, batch) => sum + batch.end - batch.start, 0),
      );
      assert.match(id, /^[0-9a-f]{32}$/);
    });

  test('lets go of its tickets once', () => {
    const progress = new Progress();
    progress.begin(0, 7);
    const ticket = new Ticket(progress, 0, 7);
    ticket.hold();
    const chunk = new OpenChunk(0);
    chunk.add(batchOf('a', 0, 1), ticket);
    ticket.release();
    assert.equal(progress.lowWater, 0);
    chunk.release();
    chunk.release();
    assert.equal(progress.lowWater, 7);
  });
});

describe('events picked from batches', () => {
  test('whole batches share their bytes, parts keep place and ids', () => {
    const [first, second] = [batchOf('a', 0, 3), { ...batchOf('b', 3, 3), ids: Uint32Array.of(5 << 8, (5 << 8) | 1, 9 << 8) }];
    const picked = selectEvents([first, second], [0, 1, 2, 4, 5]);
    assert.equal(picked[0], first);
    assert.deepEqual(picked[1]?.ids, Uint32Array.of((5 << 8) | 1, 9 << 8));
    assert.deepEqual(picked[1]?.place, place);
    assert.deepEqual(numbers(picked), [0, 1, 2, 4, 5]);
    const [part] = selectEvents([first], [2]);
    assert.deepEqual(part?.ids, Uint32Array.of(2 << 8));
  });

  test('the same as picking from the list of all events', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }),
        fc.array(fc.boolean(), { minLength: 36, maxLength: 36 }),
        (sizes, wanted) => {
          let from = 0;
          const batches = sizes.map((size) => batchOf('t', (from += size) - size, size));
          const indices = Array.from({ length: from }, (_, n) => n).filter((n) => wanted[n]);
          const picked = selectEvents(batches, indices);
          assert.deepEqual(numbers(picked), indices);
          // Ids say the same: which event of its frame it was.
          const ids = picked.flatMap((batch) => Array.from({ length: batch.count }, (_, n) => batch.ids?.[n] ?? n << 8));
          let before = 0;
          const want = sizes.flatMap((size) => Array.from({ length: size }, (_, n) => [before++, n << 8] as const));
          assert.deepEqual(
            ids,
            want.filter(([n]) => wanted[n]).map(([, id]) => id),
          );
        },
      ),
    );
  });
});
