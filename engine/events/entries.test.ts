import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Fields } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import { checkEntries } from './entries.ts';
import { EventTimeValue, Extension, INVALID } from './msgpack.ts';
import { writeValue } from './msgpack-write.ts';
import { readBatch } from '../testing/driver.ts';

const NOW_MS = 1_600_000_000_250;
const NOW = { seconds: 1_600_000_000, nanoseconds: 250_000_000 };
const time = (seconds: number, nanoseconds = 0): EventTimeValue => new EventTimeValue(seconds, nanoseconds);

function encode(values: readonly unknown[]): Buffer {
  const into = new ByteWriter(16);
  for (const value of values) writeValue(into, value);
  return into.copy();
}

/** The events that are left, how many entries were none, and whether bytes are missing. */
function check(bytes: Buffer, count?: number): { events: [number, number, Fields][]; skipped: number; truncated: boolean } {
  const checked = checkEntries('t', bytes, 0, bytes.length, count, NOW_MS);
  assert.notEqual(checked, INVALID);
  const { batch, skipped, truncated } = checked as Exclude<typeof checked, typeof INVALID>;
  const events = batch === undefined ? [] : readBatch(batch);
  return { events: events.map(({ seconds, nanoseconds, record }) => [seconds, nanoseconds, record]), skipped, truncated };
}

// An entry, and the event it stands for; undefined: it is counted as skipped; null: it is left out without a count.
const ENTRIES: readonly (readonly [string, unknown, readonly [number, number, Fields] | undefined | null])[] = [
  ['EventTime', [time(5, 6), { a: 1 }], [5, 6, { a: 1 }]],
  ['whole seconds', [7, { a: 1 }], [7, 0, { a: 1 }]],
  ['an empty record', [time(5), {}], [5, 0, {}]],
  ['EventTime 0 is now', [time(0, 9), { a: 1 }], [NOW.seconds, NOW.nanoseconds, { a: 1 }]],
  ['0 is now', [0, { a: 1 }], [NOW.seconds, NOW.nanoseconds, { a: 1 }]],
  ['more than two', [time(5), { a: 1 }, 'rest'], [5, 0, { a: 1 }]],
  ['more than two, time 0', [0, { a: 1 }, 'rest'], [NOW.seconds, NOW.nanoseconds, { a: 1 }]],
  ['with metadata', [[time(5, 6), { meta: 1 }], { a: 1 }], [5, 6, { a: 1 }]],
  ['with metadata, whole seconds', [[7, {}], { a: 1 }], [7, 0, { a: 1 }]],
  ['with metadata, time 0', [[0, {}], { a: 1 }], [NOW.seconds, NOW.nanoseconds, { a: 1 }]],
  ['a group begins', [[time(4_294_967_295), {}], { group: 1 }], null],
  ['a group ends', [[time(4_294_967_294), {}], {}], null],
  ['a group, whole seconds', [[-1, {}], {}], null],
  ['metadata that is no map', [[time(5), 1], { a: 1 }], undefined],
  ['a float as time', [1.5, { a: 1 }], undefined],
  ['a text as time', ['5', { a: 1 }], undefined],
  ['nil as time', [null, { a: 1 }], undefined],
  ['another extension as time', [new Extension(1, new Uint8Array(8)), { a: 1 }], undefined],
  ['no record', [time(5)], undefined],
  ['a list as record', [time(5), [1]], undefined],
  ['nil as record', [time(5), null], undefined],
  ['an empty list', [], undefined],
  ['a number', 5, undefined],
  ['a map', { a: 1 }, undefined],
  ['a text', 'entry', undefined],
];

describe('entries', () => {
  for (const [name, entry, want] of ENTRIES) {
    test(name, () => {
      const expected = { events: want ? [want] : [], skipped: want === undefined ? 1 : 0, truncated: false };
      assert.deepEqual(check(encode([entry])), expected);
    });
  }

  for (const [name, hex, want] of [
    ['EventTime as ext8', '92 c7 08 00 00000005 00000006 80', [5, 6, {}]],
    ['ext8, time 0', '92 c7 08 00 00000000 00000006 80', [NOW.seconds, NOW.nanoseconds, {}]],
    ['array16 and map16', 'dc 0002 05 de 0001 a161 01', [5, 0, { a: 1 }]],
    ['array32 and map32', 'dd 00000002 d700 00000005 00000006 df 00000001 a161 01', [5, 6, { a: 1 }]],
    ['usual, map16', '92 d700 00000005 00000006 de 0001 a161 01', [5, 6, { a: 1 }]],
    ['usual, map32', '92 d700 00000005 00000006 df 00000001 a161 01', [5, 6, { a: 1 }]],
    ['seconds as uint64', '92 cf 0000000000000005 80', [5, 0, {}]],
  ] as const) {
    test(name, () =>
      assert.deepEqual(check(Buffer.from(hex.replaceAll(' ', ''), 'hex')), { events: [want], skipped: 0, truncated: false }),
    );
  }

  test('sound entries are shared, not copied', () => {
    const bytes = encode([
      [time(1), { a: 1 }],
      [time(2), { b: 2 }],
    ]);
    const checked = checkEntries('t', bytes, 0, bytes.length, undefined, NOW_MS);
    assert.ok(checked !== INVALID && checked.batch !== undefined);
    assert.equal(checked.batch.bytes, bytes);
    assert.deepEqual([checked.batch.start, checked.batch.end, checked.batch.count], [0, bytes.length, 2]);
  });

  test('a count ends the run; a count beyond the bytes is truncation', () => {
    const entry = [time(1), { a: 1 }];
    const bytes = encode([entry, entry, entry]);
    assert.equal(check(bytes, 2).events.length, 2);
    const short = check(bytes, 4);
    assert.deepEqual([short.events.length, short.truncated], [3, true]);
  });

  test('nesting is counted from the entry on, in the usual form and in others', () => {
    const nest = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.from([0xc0])]);
    for (const head of ['92 d700 00000001 00000000 81 a161', '92 01 81 a161'])
      for (const [depth, isSound] of [
        [98, true],
        [99, false],
      ] as const) {
        const bytes = Buffer.concat([Buffer.from(head.replaceAll(' ', ''), 'hex'), nest(depth)]);
        const checked = checkEntries('t', bytes, 0, bytes.length, undefined, NOW_MS);
        assert.equal(checked !== INVALID, isSound, `${head} ${depth}`);
      }
  });
});

describe('properties', () => {
  const pick = fc.constantFrom(...ENTRIES);

  test('any mixture, cut anywhere: what was whole is there', () => {
    fc.assert(
      fc.property(fc.array(pick, { maxLength: 8 }), fc.double({ min: 0, max: 1, noNaN: true }), (entries, part) => {
        const pieces = entries.map(([, entry]) => encode([entry]));
        const all = Buffer.concat(pieces);
        const cut = Math.floor(all.length * part);
        let whole = 0;
        let at = 0;
        for (const piece of pieces) if ((at += piece.length) <= cut) whole++;
        const wanted = entries.slice(0, whole).map(([, , want]) => want);
        const wholeBytes = pieces.slice(0, whole).reduce((sum, piece) => sum + piece.length, 0);
        assert.deepEqual(check(all.subarray(0, cut)), {
          events: wanted.filter((want) => want !== undefined && want !== null),
          skipped: wanted.filter((want) => want === undefined).length,
          truncated: wholeBytes < cut,
        });
      }),
      { numRuns: 300 },
    );
  });

  test('any bytes after a usual head: no throw, and what comes out can be walked', () => {
    const head = Buffer.from('92d7000000000100000002', 'hex');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), fc.boolean(), (rest, isUsual) => {
        const bytes = isUsual ? Buffer.concat([head, rest]) : Buffer.from(rest);
        const checked = checkEntries('t', bytes, 0, bytes.length, undefined, NOW_MS);
        if (checked !== INVALID && checked.batch !== undefined)
          assert.equal(readBatch(checked.batch).length, checked.batch.count);
      }),
      { numRuns: 2000 },
    );
  });
});
