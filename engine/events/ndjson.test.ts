import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from './byte-writer.ts';
import { Extension, EventTimeValue } from './msgpack.ts';
import { writeMapHeader, writeString, writeValue } from './msgpack-write.ts';
import { JsonWriter } from './ndjson.ts';

const TIME_KEY = Buffer.from('@timestamp');

/** JSON of a record of MessagePack that begins somewhere in a buffer, written somewhere into another one. */
function render(record: Buffer, timeKey?: Buffer, writer = new JsonWriter(), seconds = 1_700_000_000, nanoseconds = 5): string {
  const around = Buffer.concat([Buffer.from('xyz'), record]);
  const into = new ByteWriter(8);
  into.latin1('>');
  assert.equal(writer.record(into, around, 3, timeKey, seconds, nanoseconds), around.length);
  return into.copy().toString().slice(1);
}

const hexValue = (hex: string): Buffer => Buffer.from(`81a176${hex.replaceAll(' ', '')}`, 'hex');

function packed(value: unknown): Buffer {
  const into = new ByteWriter(16);
  writeValue(into, value);
  return into.copy();
}

describe('values by their bytes', () => {
  for (const [hex, want] of [
    ['00', '0'],
    ['7f', '127'],
    ['ff', '-1'],
    ['e0', '-32'],
    ['c0', 'null'],
    ['c2', 'false'],
    ['c3', 'true'],
    ['cc ff', '255'],
    ['cd ffff', '65535'],
    ['ce ffffffff', '4294967295'],
    ['cf 00000000ffffffff', '4294967295'],
    ['cf 00038d7ea4c67fff', '999999999999999'],
    ['cf 00038d7ea4c68000', '1000000000000000'],
    ['cf ffffffffffffffff', '18446744073709551615'],
    ['d0 80', '-128'],
    ['d1 8000', '-32768'],
    ['d2 80000000', '-2147483648'],
    ['d3 8000000000000000', '-9223372036854775808'],
    ['d3 ffffffffffffffff', '-1'],
    ['d3 00000000000003e8', '1000'],
    ['ca 3fc00000', '1.5'],
    ['ca 3dcccccd', '0.10000000149011612'],
    ['ca 7fc00000', 'null'],
    ['cb 7ff0000000000000', 'null'],
    ['cb fff0000000000000', 'null'],
    ['cb 8000000000000000', '0'],
    ['cb 3fb999999999999a', '0.1'],
    ['cb 41d954fc40000000', '1700000000'],
    ['a0', '""'],
    ['a161', '"a"'],
    ['a3 e4b8ad', '"中"'],
    ['d9 01 22', '"\\""'],
    ['da 0002 5c0a', '"\\\\\\n"'],
    ['db 00000001 01', '"\\u0001"'],
    ['c4 03 616263', '"abc"'],
    ['c5 0001 61', '"a"'],
    ['c6 00000001 61', '"a"'],
    ['80', '{}'],
    ['90', '[]'],
    ['93 01 a0 92 c0 80', '[1,"",[null,{}]]'],
    ['dc 0001 02', '[2]'],
    ['dd 00000001 02', '[2]'],
    ['de 0001 a161 02', '{"a":2}'],
    ['df 00000001 a161 90', '{"a":[]}'],
    ['d7 00 6553f100 00000005', '"2023-11-14T22:13:20.000000005Z"'],
    ['c7 08 00 6553f100 3b9ac9ff', '"2023-11-14T22:13:20.999999999Z"'],
    ['d4 01 00', 'null'],
    ['c7 03 07 010203', 'null'],
    ['81 01 02', '{"1":2}'],
    ['81 c0 02', '{"null":2}'],
    ['81 c4 01 61 02', '{"a":2}'],
  ] as const) {
    test(hex, () => assert.equal(render(hexValue(hex)), `{"v":${want}}`));
  }
});

describe('texts', () => {
  const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
  for (const length of [0, 1, 2, 3, 4, 5, 7, 8, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025, 5000]) {
    test(`${length} bytes, escapes at any place`, () => {
      for (const mark of ['', '"', '\\', '\n', '\u0000', '\u001f', '\u007f']) {
        const plain = 'abcdefghij'.repeat(501).slice(0, Math.max(0, length - mark.length));
        for (const at of [0, 1, 2, 3, 4, plain.length >> 1, plain.length]) {
          const text = plain.slice(0, at) + mark + plain.slice(at);
          assert.equal(render(packed({ [text]: text })), JSON.stringify({ [text]: text }));
        }
      }
    });
  }
  test('every character of Latin-1', () => assert.equal(render(packed({ [all]: all })), JSON.stringify({ [all]: all })));

  test('long keys that leave little room for their values', () => {
    const record = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`${n}${'k'.repeat(n * 8)}`, 'v'.repeat(255 - n)] as const),
    );
    assert.equal(render(packed(record)), JSON.stringify(record));
    const escaped = Object.fromEntries(
      Array.from({ length: 40 }, (_, n) => [`${n}${'\u0001'.repeat(28)}`, 'v'.repeat(255)] as const),
    );
    assert.equal(render(packed(escaped)), JSON.stringify(escaped));
  });

  test('bytes that are not UTF-8 are copied', () => {
    const record = Buffer.from('81a176a4d6d0ff22', 'hex');
    const into = new ByteWriter(8);
    new JsonWriter().record(into, record, 0, undefined, 0, 0);
    assert.deepEqual(into.copy(), Buffer.from('{"v":"\xd6\xd0\xff\\""}', 'latin1'));
  });
});

describe('the time of the event', () => {
  for (const [record, want] of [
    [{}, '{"@timestamp":"2023-11-14T22:13:20.000000005Z"}'],
    [{ a: 1 }, '{"a":1,"@timestamp":"2023-11-14T22:13:20.000000005Z"}'],
    [{ '@timestamp': 'own', a: 1 }, '{"@timestamp":"own","a":1}'],
    [{ '@timestamq': 1 }, '{"@timestamq":1,"@timestamp":"2023-11-14T22:13:20.000000005Z"}'],
    [{ m: { '@timestamp': 1 } }, '{"m":{"@timestamp":1},"@timestamp":"2023-11-14T22:13:20.000000005Z"}'],
  ] as const) {
    test(JSON.stringify(record), () => assert.equal(render(packed(record), TIME_KEY), want));
  }
  test('a key whose header is longer than it has to be', () => {
    const record = Buffer.concat([Buffer.from([0x81, 0xda, 0, 10]), TIME_KEY, Buffer.from([1])]);
    assert.equal(render(record, TIME_KEY), '{"@timestamp":1}');
  });
  test('seconds that change, and a year that has no form', () => {
    const writer = new JsonWriter();
    for (const [seconds, nanoseconds, want] of [
      [0, 0, '"1970-01-01T00:00:00.000000000Z"'],
      [4_294_967_295, 123_456_789, '"2106-02-07T06:28:15.123456789Z"'],
      [253_402_300_800, 0, 'null'],
      [0, 4_294_967_295, '"1970-01-01T00:00:00.294967295Z"'],
    ] as const)
      assert.equal(render(packed({}), TIME_KEY, writer, seconds, nanoseconds), `{"@timestamp":${want}}`);
  });
});

describe('properties', () => {
  const writer = new JsonWriter();

  test('numbers are printed as JSON.stringify prints them', () => {
    const decimal = fc.tuple(fc.integer(), fc.integer({ min: 0, max: 9 })).map(([digits, places]) => digits / 10 ** places);
    const number = fc.oneof(fc.double(), fc.float(), decimal, fc.maxSafeInteger(), fc.double({ min: -1e16, max: 1e16 }));
    fc.assert(
      fc.property(number, (v) => {
        assert.equal(render(packed({ v }), undefined, writer), JSON.stringify({ v }));
        const into = new ByteWriter(16);
        writeMapHeader(into, 1);
        writeString(into, 'v');
        into.u8(0xcb);
        into.ensure(8);
        into.bytes.writeDoubleBE(v, into.length);
        into.length += 8;
        assert.equal(render(into.copy(), undefined, writer), JSON.stringify({ v }));
      }),
      { numRuns: 1000 },
    );
  });

  test('any JSON value comes out as JSON.stringify writes it', () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 }).map((t) => t.toWellFormed());
    const record = fc.dictionary(
      text.filter((key) => key !== '__proto__'),
      fc.jsonValue({ maxDepth: 3, stringUnit: 'grapheme-composite' }),
      { noNullPrototype: true },
    );
    fc.assert(
      fc.property(record, (value) => {
        assert.equal(render(packed(value), undefined, writer), JSON.stringify(value));
      }),
      { numRuns: 200 },
    );
  });

  test('whatever MessagePack there is, the result is JSON', () => {
    const scalar = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(Buffer.from(bytes).toString('utf8'))),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }),
      fc.record({ s: fc.nat(), n: fc.nat() }).map(({ s, n }) => new EventTimeValue(s, n)),
      fc
        .record({ type: fc.integer({ min: -128, max: 127 }), data: fc.uint8Array({ maxLength: 20 }) })
        .map(({ type, data }) => new Extension(type, data)),
      fc.double(),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(scalar, scalar), { maxLength: 20 }), (pairs) => {
        const into = new ByteWriter(16);
        writeMapHeader(into, pairs.length);
        for (const [key, value] of pairs) {
          writeValue(into, key);
          writeValue(into, value);
        }
        JSON.parse(render(into.copy(), TIME_KEY, writer));
      }),
      { numRuns: 200 },
    );
  });
});
