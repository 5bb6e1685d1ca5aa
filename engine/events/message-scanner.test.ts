import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from './byte-writer.ts';
import { MessageScanner } from './message-scanner.ts';
import { INVALID, skipValue } from './msgpack.ts';
import { writeValue } from './msgpack-write.ts';

function encode(value: unknown): Buffer {
  const into = new ByteWriter(4);
  writeValue(into, value);
  return into.copy();
}

/** Where values end in a stream that comes in pieces; what a connection does with a scanner. */
function endsOf(stream: Buffer, cuts: readonly number[]): number[] | 'invalid' {
  const scanner = new MessageScanner();
  const ends: number[] = [];
  let scanned = 0;
  for (const cut of [...cuts, stream.length]) {
    while (scanned < cut) {
      const { at, state } = scanner.scan(stream, scanned, cut);
      scanned = at;
      if (state === 'invalid') return 'invalid';
      if (state === 'more') break;
      ends.push(at);
      scanner.reset();
    }
  }
  return ends;
}

describe('one value', () => {
  for (const [hex, state, at, missing] of [
    ['01', 'done', 1, 0],
    ['c1', 'invalid', 0, 0],
    ['91c1', 'invalid', 1, 0],
    ['', 'more', 0, 0],
    ['91', 'more', 1, 0],
    ['a36161', 'more', 3, 1],
    ['c605', 'more', 0, 0],
    ['c600100000', 'more', 5, 1_048_576],
    ['c6ffffffff', 'more', 5, 4_294_967_295],
    ['d70000', 'more', 3, 7],
    ['ddffffffff01', 'more', 6, 0],
    ['82a161', 'more', 3, 0],
    ['0102', 'done', 1, 0],
  ] as const) {
    test(`"${hex}"`, () => {
      const bytes = Buffer.from(hex, 'hex');
      const scanner = new MessageScanner();
      assert.deepEqual(scanner.scan(bytes, 0, bytes.length), { at, state });
      assert.equal(scanner.missing, missing);
    });
  }

  test('nesting of any depth takes no stack', () => {
    const depth = 1_000_000;
    const bytes = Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.of(0xc0)]);
    assert.deepEqual(new MessageScanner().scan(bytes, 0, depth + 1), { at: depth + 1, state: 'done' });
  });
});

describe('properties', () => {
  const cutsOf = (length: number, parts: readonly number[]): number[] =>
    parts.map((part) => Math.floor(part * length)).toSorted((a, b) => a - b);
  const parts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });

  test('values end where they end, whatever the pieces', () => {
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 3 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.string(), fc.uint8Array({ maxLength: 100 }), fc.dictionary(fc.string(), fc.integer())),
    );
    fc.assert(
      fc.property(fc.array(value, { maxLength: 4 }), parts, (values, where) => {
        const pieces = values.map(encode);
        const stream = Buffer.concat(pieces);
        let end = 0;
        const ends = pieces.map((piece) => (end += piece.length));
        assert.deepEqual(endsOf(stream, cutsOf(stream.length, where)), ends);
      }),
    );
  });

  test('any bytes: as skipping says, whatever the pieces', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), parts, (given, where) => {
        const stream = Buffer.from(given);
        const ends = endsOf(stream, []);
        assert.deepEqual(endsOf(stream, cutsOf(stream.length, where)), ends);
        const first = skipValue(stream, 0, stream.length);
        if (first > 0) assert.equal(ends === 'invalid' ? first : ends[0], first);
        else if (first === INVALID) assert.equal(ends, 'invalid');
        else if (ends !== 'invalid') assert.deepEqual(ends, []);
      }),
      { numRuns: 500 },
    );
  });
});
