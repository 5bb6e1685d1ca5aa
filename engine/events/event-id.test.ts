import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Place } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import { eventId, IdWriter, parseEventId } from './event-id.ts';

interface Parts {
  readonly segment: number;
  readonly incarnation: bigint;
  readonly offset: number;
  readonly id: number;
}

function idOf({ id, ...place }: Parts): string {
  const writer = new IdWriter();
  const into = new ByteWriter(1);
  writer.frame({ ...place, enteredMs: 0 });
  writer.write(into, id);
  return into.copy().toString();
}

const bitsOf = ({ segment, incarnation, offset, id }: Parts): bigint =>
  (BigInt(segment) << 112n) | (incarnation << 72n) | (BigInt(offset) << 32n) | BigInt(id);

describe('ids', () => {
  for (const [parts, want] of [
    [{ segment: 0, incarnation: 0n, offset: 0, id: 0 }, '0'.repeat(32)],
    [{ segment: 0, incarnation: 0n, offset: 0, id: 1 }, `${'0'.repeat(31)}1`],
    [{ segment: 0, incarnation: 0n, offset: 0, id: 31 << 8 }, `${'0'.repeat(29)}7o0`],
    [{ segment: 0, incarnation: 0n, offset: 1, id: 0 }, `${'0'.repeat(25)}4000000`],
    [{ segment: 0, incarnation: 0n, offset: 8, id: 0 }, `${'0'.repeat(24)}10000000`],
    [{ segment: 2 ** 48 - 1, incarnation: 2n ** 40n - 1n, offset: 2 ** 40 - 1, id: 0xffff_ffff }, 'v'.repeat(32)],
  ] as const) {
    test(want, () => assert.equal(idOf(parts), want));
  }

  test('are the 160 bits in base 32, and sort as they do', () => {
    const parts = fc.record({
      segment: fc.nat({ max: 2 ** 48 - 1 }),
      incarnation: fc.bigInt({ min: 0n, max: 2n ** 40n - 1n }),
      offset: fc.nat({ max: 2 ** 40 - 1 }),
      id: fc.nat({ max: 2 ** 32 - 1 }),
    });
    fc.assert(
      fc.property(parts, parts, (one, other) => {
        assert.equal(idOf(one), bitsOf(one).toString(32).padStart(32, '0'));
        assert.equal(idOf(one) < idOf(other), bitsOf(one) < bitsOf(other));
      }),
    );
  });

  test('frame after frame by one writer makes the same as a writer for each', () => {
    const writer = new IdWriter();
    const into = new ByteWriter(32);
    const one = { segment: 1_700_000_000_000, incarnation: 5n, offset: 9, id: 256 };
    for (const parts of [
      one,
      { ...one, offset: 2 ** 33 },
      { ...one, incarnation: 6n },
      { ...one, segment: 1_700_000_000_001 },
      one,
    ]) {
      into.reset();
      writer.frame({ ...parts, enteredMs: 0 });
      writer.write(into, parts.id);
      assert.equal(into.copy().toString(), idOf(parts));
    }
  });

  test('a head that is copied and a tail that is written make the same', () => {
    const writer = new IdWriter();
    const place: Place = { segment: 1_700_000_000_000, incarnation: 77n, offset: 123_457, enteredMs: 0 };
    const [whole, parts] = [new ByteWriter(1), new ByteWriter(1)];
    writer.frame(place);
    for (const id of [0, 255, 256, 0x8000_0000, 0xffff_ff00]) {
      writer.write(whole, id);
      parts.raw(writer.head);
      writer.tail(parts, id);
    }
    assert.deepEqual(parts.copy(), whole.copy());
  });

  test('can be read back', () => {
    fc.assert(
      fc.property(
        fc.nat(2 ** 48 - 1),
        fc.bigInt({ min: 0n, max: 2n ** 40n - 1n }),
        fc.nat(2 ** 40 - 1),
        fc.nat(0xffff_ffff),
        (...all) => {
          const [segment, incarnation, offset, index] = all;
          const id = eventId({ segment, incarnation, offset, enteredMs: 0 }, index);
          assert.deepEqual(parseEventId(id), { segment, incarnation, offset, index });
        },
      ),
    );
  });

  for (const text of ['', '0'.repeat(31), '0'.repeat(33), `${'0'.repeat(31)}w`, `${'0'.repeat(31)}A`, `${'0'.repeat(32)}\n`])
    test(`${JSON.stringify(text)} is none`, () => assert.equal(parseEventId(text), undefined));
});
