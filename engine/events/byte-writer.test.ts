import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter, viewOf } from './byte-writer.ts';

describe('writing', () => {
  for (const [name, write, hex] of [
    ['u8', (w: ByteWriter) => w.u8(0x1ff), 'ff'],
    ['u16', (w: ByteWriter) => w.u16(0x1234), '1234'],
    ['u32', (w: ByteWriter) => w.u32(0xfedcba98), 'fedcba98'],
    ['u32 of a negative number', (w: ByteWriter) => w.u32(-1), 'ffffffff'],
    ['latin1', (w: ByteWriter) => w.latin1('aÿ'), '61ff'],
    ['utf8', (w: ByteWriter) => w.utf8('中'), 'e4b8ad'],
    ['raw', (w: ByteWriter) => w.raw(Uint8Array.of(1, 2, 3)), '010203'],
    ['a part', (w: ByteWriter) => w.raw(Uint8Array.of(1, 2, 3), 1, 2), '02'],
    ['nothing', (w: ByteWriter) => w.raw(new Uint8Array()), ''],
  ] as const) {
    test(name, () => {
      const writer = new ByteWriter(1);
      write(writer);
      write(writer);
      assert.equal(writer.copy().toString('hex'), hex + hex);
    });
  }

  test('utf8 tells how many bytes it wrote', () => assert.equal(new ByteWriter(1).utf8('a中'), 4));

  test('any pieces, by either way of copying, come out one after the other', () => {
    const piece = fc.tuple(fc.nat({ max: 600 }), fc.nat({ max: 40 }), fc.boolean());
    const source = Buffer.from(Uint8Array.from({ length: 700 }, (_, n) => n * 7));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        const writer = new ByteWriter(1);
        const parts = pieces.map(([length, start, byView]) => {
          if (byView) writer.span(source, viewOf(source), start, start + length);
          else writer.raw(source, start, start + length);
          return source.subarray(start, start + length);
        });
        assert.deepEqual(writer.copy(), Buffer.concat(parts));
        assert.equal(writer.view.buffer, writer.bytes.buffer);
      }),
    );
  });
});

describe('handing over', () => {
  test('what was taken is not written to again', () => {
    const writer = new ByteWriter(4);
    writer.latin1('first');
    const taken = writer.take();
    writer.latin1('other');
    assert.deepEqual([taken.toString(), writer.copy().toString()], ['first', 'other']);
  });

  test('a copy stays what it was', () => {
    const writer = new ByteWriter(16);
    writer.latin1('first');
    const copy = writer.copy();
    writer.reset();
    writer.latin1('other');
    assert.equal(copy.toString(), 'first');
  });
});
