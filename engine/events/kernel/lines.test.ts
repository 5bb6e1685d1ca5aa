import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Batch } from '../batch.ts';
import { ByteWriter } from '../byte-writer.ts';
import { checkEntries } from '../entries.ts';
import { EventTimeValue, Extension, INVALID } from '../msgpack.ts';
import { writeEventTime, writeValue } from '../msgpack-write.ts';
import { giveUpKernel, kernelState, sharedKernel, useKernel } from './kernel.ts';
import { PLACE, piece, sourceOf, takeUnchecked, type Options } from './lines.cases.ts';
import { writeLines, type Piece } from './lines.ts';

interface Written {
  readonly bytes: Buffer;
  readonly ends: readonly number[];
  readonly left: number;
}

function write(batch: Batch, options: Options, withKernel: boolean): Written {
  const source = sourceOf(options);
  const into = new ByteWriter(64);
  into.raw(Buffer.from('before\n'));
  const ends = new Uint32Array(batch.count + 2);
  if (withKernel) assert.equal(writeLines(into, batch, source, ends, 1), batch.count + 1);
  else {
    let at = batch.start;
    for (let event = 0; event < batch.count; event++) {
      at = source.line(into, batch, event, at);
      ends[event + 1] = into.length;
    }
  }
  return { bytes: into.copy(), ends: [...ends], left: source.left() };
}

/** @returns how many events the kernel left to plain code */
function assertSame(batch: Batch, options: Options = { place: PLACE }): number {
  assert.equal(kernelState(), 'on');
  const want = write(batch, options, false);
  const got = write(batch, options, true);
  if (!got.bytes.equals(want.bytes)) assert.equal(got.bytes.toString('latin1'), want.bytes.toString('latin1'));
  assert.deepEqual(got.ends, want.ends);
  return got.left;
}

/** Entries as one batch, made long enough for the kernel by a last event. */
function batchOf(entries: readonly Uint8Array[], extra: Partial<Batch> = {}): Batch {
  const into = new ByteWriter(64);
  into.raw(Buffer.from('not of the batch'));
  const start = into.length;
  for (const entry of entries) into.raw(entry);
  into.raw(entryOf({ filler: 'x'.repeat(1200) }));
  const end = into.length;
  into.raw(Buffer.from('nor this'));
  return { tag: 't', bytes: into.copy(), start, end, count: entries.length + 1, place: PLACE, ...extra };
}

function entryOf(record: unknown, seconds = 1_763_812_345, nanoseconds = 7): Buffer {
  const into = new ByteWriter(64);
  into.u8(0x92);
  writeEventTime(into, seconds, nanoseconds);
  writeValue(into, record);
  return into.copy();
}

/** An entry with the bytes of one value under the key `a`. */
const raw = (...value: readonly number[]): Buffer =>
  Buffer.from([0x92, 0xd7, 0, 0x69, 1, 2, 3, 0, 0, 0, 9, 0x81, 0xa1, 0x61, ...value]);
const entryRaw = (...bytes: readonly number[]): Buffer => Buffer.from([0x92, 0xd7, 0, 0x69, 1, 2, 3, 0, 0, 0, 9, ...bytes]);

const text = fc.oneof(
  fc.string({ maxLength: 50 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ unit: fc.constantFrom('a', '"', '\\', '\n', '\u0001', '\u001f', '中', '\u007f'), maxLength: 300 }),
  fc.nat({ max: 600 }).map((length) => 'y'.repeat(length)),
);
const number = fc.oneof(
  fc.integer(),
  fc.maxSafeInteger(),
  fc.double(),
  fc.float(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
  fc.tuple(fc.integer(), fc.integer({ min: 1, max: 6 })).map(([value, places]) => value / 10 ** places),
  fc.tuple(fc.integer({ min: 1e9, max: 2e9 }), fc.nat({ max: 999 })).map(([value, part]) => value + part / 1000),
  fc.constantFrom(
    0,
    -0,
    1e-6,
    1e-7,
    999_999_999.999999,
    1e9,
    1e12,
    1e15,
    1e15 - 1,
    1e21,
    5e-324,
    Number.NaN,
    -Infinity,
    0.1 + 0.2,
  ),
);
const nanoseconds = fc.oneof(fc.nat({ max: 999_999_999 }), fc.constantFrom(0, 1_000_000_000, 4_294_967_295));
const odd = fc.oneof(
  fc.uint8Array({ maxLength: 400 }),
  fc.tuple(fc.nat({ max: 2 ** 32 - 1 }), nanoseconds).map(([seconds, rest]) => new EventTimeValue(seconds, rest)),
  fc
    .tuple(fc.integer({ min: -128, max: 127 }), fc.uint8Array({ maxLength: 20 }))
    .map(([type, data]) => new Extension(type, data)),
);
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    text,
    number,
    odd,
    fc.constantFrom(null, true, false),
    fc.array(tie('value'), { maxLength: 6 }),
    fc.dictionary(text, tie('value'), { maxKeys: 6 }),
  ),
}));
const key = fc.oneof(fc.constantFrom('@timestamp', 'host', 'request_id', ''), text);
const entry = fc
  .tuple(fc.dictionary(key, value, { maxKeys: 20 }), fc.nat({ max: 2 ** 32 - 1 }), nanoseconds)
  .map(([record, seconds, rest]) => entryOf(record, seconds, rest));

describe('lines by the kernel', () => {
  before(() => useKernel(true));
  after(() => useKernel(true));

  for (const [name, bytes] of [
    ['no field', entryRaw(0x80)],
    ['map 16', entryRaw(0xde, 0, 1, 0xa1, 0x61, 1)],
    ['map 32', entryRaw(0xdf, 0, 0, 0, 1, 0xa1, 0x61, 1)],
    ['key of str 8', entryRaw(0x81, 0xd9, 1, 0x61, 1)],
    ['bin 8', raw(0xc4, 2, 0x22, 0x0a)],
    ['bin 16', raw(0xc5, 0, 2, 0xff, 0xfe)],
    ['bin 32', raw(0xc6, 0, 0, 0, 1, 0x41)],
    ['str 32', raw(0xdb, 0, 0, 0, 1, 0x41)],
    ['float 32', raw(0xca, 0x3d, 0xcc, 0xcc, 0xcd)],
    ['smallest int 64', raw(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0)],
    ['largest uint 64', raw(0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
    ['int 8, 16, 32', raw(0x93, 0xd0, 0x80, 0xd1, 0x80, 0, 0xd2, 0x80, 0, 0, 0)],
    [
      'fixext 1, 2, 4, 16',
      raw(0x94, 0xd4, 1, 2, 0xd5, 1, 2, 2, 0xd6, 1, 2, 2, 2, 2, 0xd8, 1, ...Array.from({ length: 16 }, () => 3)),
    ],
    ['ext 16 and 32', raw(0x92, 0xc8, 0, 1, 5, 9, 0xc9, 0, 0, 0, 1, 5, 9)],
    ['EventTime as ext 8', raw(0xc7, 8, 0, 0x69, 1, 2, 3, 0, 0, 0, 4)],
    ['eight bytes of ext 16 are no EventTime', raw(0xc8, 0, 8, 0, 0x69, 1, 2, 3, 0, 0, 0, 4)],
    ['array and map 16 and 32', raw(0x94, 0xdc, 0, 1, 1, 0xdd, 0, 0, 0, 1, 2, 0xde, 0, 0, 0xdf, 0, 0, 0, 0)],
    ['time as uint 32', Buffer.from([0x92, 0xce, 0x69, 1, 2, 3, 0x81, 0xa1, 0x61, 1])],
    ['the key of the time in a map inside', entryOf({ a: { '@timestamp': 1 }, b: 2 })],
    ['the key of the time, then a map', entryOf({ '@timestamp': 1, b: { c: 2 } })],
  ] as const) {
    test(name, () => assert.equal(assertSame(batchOf([bytes])), 0));
  }

  for (const [name, bytes] of [
    ['key is a number', entryRaw(0x81, 1, 1)],
    ['key is binary', entryRaw(0x81, 0xc4, 1, 0x61, 1)],
    ['key of str 16', entryRaw(0x81, 0xda, 0, 1, 0x61, 1)],
    ['time as uint 64', Buffer.from([0x92, 0xcf, 0, 0, 0, 0, 0x69, 1, 2, 3, 0x81, 0xa1, 0x61, 1])],
    ['time before 1970', Buffer.from([0x92, 0xd2, 0xff, 0, 0, 0, 0x81, 0xa1, 0x61, 1])],
    ['array of two in a long form', Buffer.concat([Buffer.from([0xdc, 0, 2]), entryOf({ a: 1 }).subarray(1)])],
    ['101 arrays inside each other', raw(...Array.from({ length: 101 }, () => 0x91), 1)],
  ] as const) {
    test(`${name}: left to plain code`, () => {
      const usual = entryOf({ b: 'c' });
      assert.equal(assertSame(batchOf([usual, bytes, bytes, usual])), 2);
    });
  }

  test('any record, as plain code writes it', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), fc.boolean(), (entries, hasPlace) => {
        assertSame(batchOf(entries), { place: hasPlace ? PLACE : undefined });
      }),
      { numRuns: 300 },
    );
  });

  test('any number, as plain code writes it', () => {
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 60 }), (numbers) => {
        assert.equal(assertSame(batchOf([entryOf({ numbers })])), 0);
      }),
      { numRuns: 300 },
    );
  });

  test('texts of every length with an escape at every place', () => {
    const entries: Buffer[] = [];
    for (let length = 0; length < 70; length++) {
      for (let at = 0; at < length; at++) entries.push(entryOf({ t: `${'k'.repeat(at)}\t${'v'.repeat(length - at - 1)}` }));
      entries.push(entryOf({ ['k'.repeat(length)]: '中'.repeat(length) }));
    }
    assert.equal(assertSame(batchOf(entries)), 0);
  });

  test('ids as the batch names them', () => {
    const entries = Array.from({ length: 40 }, (_, n) => entryOf({ n }));
    const ids = Uint32Array.from({ length: 41 }, (_, n) => (n * 0x0777_7777) >>> 0);
    assert.equal(assertSame(batchOf(entries, { ids })), 0);
  });

  test('an action line that ends otherwise in each second', () => {
    const entries = Array.from({ length: 200 }, (_, n) => entryOf({ n }, 1_763_812_345 + (n >> 3)));
    const trail = (seconds: number): Piece => piece(`,"_index":"logs-${seconds}"}}\n`);
    assert.equal(assertSame(batchOf(entries), { place: PLACE, trail }), 0);
  });

  test('action lines and keys that are too long for the kernel', () => {
    const batch = batchOf([entryOf({ a: 1 }), entryOf({ b: 1 })]);
    assert.equal(assertSame(batch, { trail: piece('t'.repeat(800)) }), 3);
    assert.equal(assertSame(batch, { trail: () => piece('t'.repeat(800)) }), 3);
    assert.equal(assertSame(batch, { timeKey: 'k'.repeat(300) }), 3);
    assert.equal(assertSame(batch, { timeKey: '"\n'.repeat(128), trail: piece('t'.repeat(768)) }), 0);
  });

  test('a batch of several windows, and events longer than one', () => {
    const long = entryOf({ long: '"'.repeat(300_000) });
    const longest = entryOf({ longest: '\u0001'.repeat(600_000), after: 1 });
    const short = Array.from({ length: 3000 }, (_, n) => entryOf({ n, text: 'z'.repeat(n % 700) }));
    assert.equal(assertSame(batchOf([...short, long, longest, ...short, long])), 1);
  });

  test('more events than one call takes', () => {
    const tiny = entryRaw(0x80);
    assert.equal(assertSame(batchOf(Array.from({ length: 20_000 }, () => tiny))), 0);
  });

  test('many events of which each third is left to plain code', () => {
    const [usual, odd] = [entryOf({ a: 1 }), entryRaw(0x81, 1, 1)];
    const entries = Array.from({ length: 20_000 }, (_, n) => (n % 3 === 0 ? odd : usual));
    assert.equal(assertSame(batchOf(entries)), 6667);
  });

  test('more output than there is room for', () => {
    const controls = entryOf({ t: '\u0000'.repeat(10_000) });
    assert.equal(assertSame(batchOf(Array.from({ length: 100 }, () => controls))), 0);
  });

  test('small batches are written by plain code', () => {
    const bytes = entryOf({ a: 1 });
    assert.equal(assertSame({ tag: 't', bytes, start: 0, end: bytes.length, count: 1 }, {}), 1);
  });

  test('an error in a callback goes on to the caller, and the kernel works afterwards', () => {
    const batch = batchOf([entryOf({ a: 1 })]);
    const trail = (): Piece => {
      throw new RangeError('no index');
    };
    assert.throws(() => write(batch, { trail }, true), RangeError);
    assert.equal(assertSame(batch), 0);
  });

  test('bytes that were changed: the same as plain code if they pass the entrance, else JSON or nothing', () => {
    const entries = fc.array(entry, { minLength: 1, maxLength: 4 });
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(entries, changes, (made, changed) => {
        const { bytes: whole, start, end } = batchOf(made);
        const bytes = Uint8Array.from(whole);
        for (const [at, byte] of changed) bytes[start + (at % (end - start))] = byte;
        const checked = checkEntries('t', bytes, start, end, undefined, 1_763_812_345_000);
        if (checked !== INVALID && checked.batch !== undefined) assertSame(checked.batch);
        takeUnchecked(bytes, start, end);
        assert.equal(kernelState(), 'on');
      }),
      { numRuns: 300 },
    );
  });

  test('without the kernel all is plain', () => {
    const batch = batchOf([entryOf({ a: 1 })]);
    useKernel(false);
    assert.equal(kernelState(), 'off');
    assert.equal(sharedKernel(), undefined);
    assert.equal(write(batch, {}, true).left, 2);
    useKernel(true);
    giveUpKernel();
    assert.equal(kernelState(), 'failed');
    assert.equal(write(batch, {}, true).left, 2);
    useKernel(true);
    assert.equal(assertSame(batch, {}), 0);
  });
});
