import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from './byte-writer.ts';
import {
  EventTimeValue,
  Extension,
  INVALID,
  MAX_DEPTH,
  MsgpackReader,
  TRUNCATED,
  arrayCount,
  decode,
  mapCount,
  readNumber,
  skipValue,
} from './msgpack.ts';
import { writeFloat, writeInteger, writeValue } from './msgpack-write.ts';

const bytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

function encode(value: unknown): Buffer {
  const into = new ByteWriter(4);
  writeValue(into, value);
  return into.copy();
}

describe('reading, by bytes', () => {
  for (const [hex, want] of [
    ['00', 0],
    ['7f', 127],
    ['e0', -32],
    ['ff', -1],
    ['c0', null],
    ['c2', false],
    ['c3', true],
    ['cc 80', 128],
    ['cd 0100', 256],
    ['ce ffffffff', 4_294_967_295],
    ['cf 0020000000000000', 9_007_199_254_740_992n],
    ['cf 001fffffffffffff', 9_007_199_254_740_991],
    ['d0 80', -128],
    ['d1 8000', -32_768],
    ['d2 80000000', -2_147_483_648],
    ['d3 ffe0000000000001', -9_007_199_254_740_991],
    ['d3 8000000000000000', -9_223_372_036_854_775_808n],
    ['ca 40200000', 2.5],
    ['cb 4004000000000000', 2.5],
    ['a0', ''],
    ['a6 e4b8ade69687', '中文'],
    ['d9 01 61', 'a'],
    ['da 0001 61', 'a'],
    ['db 00000001 61', 'a'],
    ['a2 d6d0', Uint8Array.of(0xd6, 0xd0)],
    ['a3 efbfbd', '\ufffd'],
    ['c4 01 61', Uint8Array.of(0x61)],
    ['c5 0000', Uint8Array.of()],
    ['c6 00000001 ff', Uint8Array.of(0xff)],
    ['d7 00 00000001 00000002', new EventTimeValue(1, 2)],
    ['c7 08 00 ffffffff 00000000', new EventTimeValue(4_294_967_295, 0)],
    ['d4 05 ff', new Extension(5, Uint8Array.of(0xff))],
    ['c7 00 80', new Extension(-128, Uint8Array.of())],
    ['c8 0001 00 07', new Extension(0, Uint8Array.of(7))],
    ['92 01 90', [1, []]],
    ['82 a161 80 01 02', { a: {}, '1': 2 }],
    ['81 a9 5f5f70726f746f5f5f 01', JSON.parse('{"__proto__":1}')],
  ] as const) {
    test(hex, () => {
      const source = Buffer.concat([bytes('c1'), bytes(hex), bytes('c1')]);
      const reader = new MsgpackReader(source, 1, source.length - 1);
      assert.deepEqual(reader.read(), want);
      assert.equal(reader.at, source.length - 1);
      assert.ok(reader.done);
    });
  }
});

describe('what is no value', () => {
  for (const [hex, want] of [
    ['', TRUNCATED],
    ['c1', INVALID],
    ['91 c1', INVALID],
    ['cc', TRUNCATED],
    ['cf 00000000000000', TRUNCATED],
    ['a2 61', TRUNCATED],
    ['d9', TRUNCATED],
    ['d9 02 61', TRUNCATED],
    ['db ffffffff 61', TRUNCATED],
    ['c7 08', TRUNCATED],
    ['c7 01 00', TRUNCATED],
    ['d7 00 00', TRUNCATED],
    ['92 01', TRUNCATED],
    ['92 01 a161', 4],
    ['92 01 a261', TRUNCATED],
    ['dd ffffffff', TRUNCATED],
    ['df ffffffff 01 02', TRUNCATED],
    ['de', TRUNCATED],
  ] as const) {
    test(`"${hex}"`, () => {
      const b = bytes(hex);
      assert.equal(skipValue(b, 0, b.length), want);
      if (want < 0) assert.throws(() => decode(b), RangeError);
    });
  }

  test('bytes after the end do not count', () => {
    assert.equal(skipValue(bytes('a26161'), 0, 2), TRUNCATED);
    assert.equal(skipValue(bytes('920102'), 0, 2), TRUNCATED);
    assert.equal(mapCount(bytes('de0001'), 0, 2), TRUNCATED);
    assert.equal(arrayCount(bytes('dd00000001'), 0, 4), TRUNCATED);
  });

  test(`${MAX_DEPTH} maps or arrays inside each other, and no more`, () => {
    const nested = (depth: number): Buffer => Buffer.concat([Buffer.alloc(depth, 0x91), bytes('c0')]);
    assert.equal(skipValue(nested(MAX_DEPTH), 0, MAX_DEPTH + 1), MAX_DEPTH + 1);
    assert.equal(skipValue(nested(MAX_DEPTH + 1), 0, MAX_DEPTH + 2), INVALID);
    // Far beyond any stack.
    assert.equal(skipValue(nested(1_000_000), 0, 1_000_001), INVALID);
    // An empty one holds nothing, so it is no level.
    const empty = Buffer.concat([Buffer.alloc(MAX_DEPTH, 0x91), bytes('90')]);
    assert.equal(skipValue(empty, 0, empty.length), empty.length);
  });
});

describe('writing', () => {
  for (const [value, hex] of [
    [0, '00'],
    [127, '7f'],
    [128, 'cc80'],
    [255, 'ccff'],
    [256, 'cd0100'],
    [65_535, 'cdffff'],
    [65_536, 'ce00010000'],
    [4_294_967_295, 'ceffffffff'],
    [4_294_967_296, 'cf0000000100000000'],
    [-1, 'ff'],
    [-32, 'e0'],
    [-33, 'd0df'],
    [-128, 'd080'],
    [-129, 'd1ff7f'],
    [-32_769, 'd2ffff7fff'],
    [-2_147_483_648, 'd280000000'],
    [-2_147_483_649, 'd3ffffffff7fffffff'],
    [1.5, 'cb3ff8000000000000'],
    [-0, 'cb8000000000000000'],
    [18_446_744_073_709_551_615n, 'cfffffffffffffffff'],
    [18_446_744_073_709_551_616n, 'b43138343436373434303733373039353531363136'],
    [undefined, 'c0'],
    [() => 1, 'c0'],
    [new Date(0), 'b8313937302d30312d30315430303a30303a30302e3030305a'],
    ['a'.repeat(31), `bf${'61'.repeat(31)}`],
    ['a'.repeat(32), `d920${'61'.repeat(32)}`],
    ['中'.repeat(11), `d921${'e4b8ad'.repeat(11)}`],
    ['中'.repeat(10), `be${'e4b8ad'.repeat(10)}`],
    ['\ud800', 'a3efbfbd'],
  ] as const) {
    test(hex, () => assert.equal(encode(value).toString('hex'), hex));
  }

  test('a cycle ends, and what was written can be read', () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const encoded = encode(cycle);
    assert.equal(skipValue(encoded, 0, encoded.length), encoded.length);
  });

  test('lengths around each size of a header', () => {
    for (const length of [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536]) {
      const text = 'x'.repeat(length);
      const list = Array.from({ length }, () => 1);
      const map = Object.fromEntries(list.map((_, n) => [`k${n}`, 1]));
      const data = new Uint8Array(length).fill(7);
      assert.deepEqual(decode(encode([text, list, map, data, new Extension(9, data)])), [
        text,
        list,
        map,
        data,
        new Extension(9, data),
      ]);
    }
  });
});

describe('properties', () => {
  const value = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4, withCrossShrink: true },
      fc.string({ unit: 'grapheme-composite' }).map((text) => text.toWellFormed()),
      fc.maxSafeInteger(),
      fc.double().filter((number) => !Number.isSafeInteger(number) || Object.is(number, -0)),
      fc.oneof(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) })),
      fc.constantFrom(null, true, false),
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.nat({ max: 0xffff_ffff }), fc.nat({ max: 999_999_999 }))
        .map(([seconds, nanoseconds]) => new EventTimeValue(seconds, nanoseconds)),
      fc
        .tuple(fc.integer({ min: -128, max: 127 }), fc.uint8Array({ maxLength: 20 }))
        .filter(([type, data]) => type !== 0 || data.length !== 8)
        .map(([type, data]) => new Extension(type, data)),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(
        fc.string({ maxLength: 12 }).map((key) => key.toWellFormed()),
        tie('value'),
        {
          maxKeys: 5,
          noNullPrototype: true,
        },
      ),
    ),
  })).value;

  test('what was written is read back, and skipped to its end', () => {
    fc.assert(
      fc.property(value, (given) => {
        const encoded = encode(given);
        assert.deepEqual(decode(encoded), given);
        assert.equal(skipValue(encoded, 0, encoded.length), encoded.length);
      }),
      { numRuns: 500 },
    );
  });

  test('a value that was cut off is seen as that, wherever it was cut', () => {
    fc.assert(
      fc.property(value, (given) => {
        const encoded = encode(given);
        for (let end = 0; end < encoded.length; end++) assert.equal(skipValue(encoded, 0, end), TRUNCATED);
      }),
      { numRuns: 200 },
    );
  });

  test('any bytes: an offset inside them or a reason, and the reader agrees', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (given) => {
        const next = skipValue(given, 0, given.length);
        assert.ok(next === TRUNCATED || next === INVALID || (next > 0 && next <= given.length));
        if (next < 0) return assert.throws(() => decode(given), RangeError);
        const reader = new MsgpackReader(given);
        reader.read();
        return assert.equal(reader.at, next);
      }),
      { numRuns: 1000 },
    );
  });

  test('keys that share a place in the table of known ones are not mixed up', () => {
    // First, middle and last byte and the length are all the table looks at.
    const key = fc
      .tuple(fc.stringMatching(/^[a-c]{0,3}$/), fc.stringMatching(/^[a-c]{0,3}$/))
      .map(([one, two]) => `k${one}m${two}k`);
    fc.assert(
      fc.property(fc.array(key, { maxLength: 20 }), (keys) => {
        const record = Object.fromEntries(keys.map((name) => [name, name]));
        assert.deepEqual(decode(encode(record)), record);
      }),
    );
  });

  test('numbers are read without a reader', () => {
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.double(), (whole, double) => {
        const into = new ByteWriter(4);
        writeInteger(into, whole);
        const floatAt = into.length;
        writeFloat(into, double);
        const b = into.copy();
        assert.equal(readNumber(b, 0), whole);
        assert.equal(readNumber(b, floatAt), double);
      }),
    );
  });
});
