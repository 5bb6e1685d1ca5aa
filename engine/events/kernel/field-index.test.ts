import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import type { Batch } from '../batch.ts';
import { ByteWriter } from '../byte-writer.ts';
import { field, fragment, type Field } from '../field.ts';
import { Extension } from '../msgpack.ts';
import { writeEventTime, writeValue } from '../msgpack-write.ts';
import { EventCursor } from '../view.ts';
import { FieldIndex, NO_PAIRS, ROW_COUNT, ROW_HEAD, ROW_PAIR, ROW_TOTAL } from './field-index.ts';
import { kernelState, useKernel } from './kernel.ts';

const NAMES = ['host', 'source', 'a', 'remote', 'request_id', 'request_it', '中文', 'a.b', ''] as const;

function entryOf(record: unknown): Buffer {
  const into = new ByteWriter(64);
  into.u8(0x92);
  writeEventTime(into, 1_763_812_345, 7);
  writeValue(into, record);
  return into.copy();
}
const entryRaw = (...bytes: readonly number[]): Buffer => Buffer.from([0x92, 0xd7, 0, 0x69, 1, 2, 3, 0, 0, 0, 9, ...bytes]);

/** Long enough for an index by its last event, which has no field but its own. */
function batchOf(entries: readonly Uint8Array[]): Batch {
  const into = new ByteWriter(64);
  into.raw(Buffer.from('not of the batch'));
  const start = into.length;
  for (const entry of entries) into.raw(entry);
  into.raw(entryOf({ filler: 'x'.repeat(1200) }));
  return { tag: 't', bytes: into.copy(), start, end: into.length, count: entries.length + 1 };
}

type Edit = (cursor: EventCursor) => unknown;

/** What a chain does to each event: the answers it gets, and the bytes that come out. */
function run(cursor: EventCursor, batch: Batch, edits: readonly Edit[]): { readonly answers: unknown[]; readonly bytes: Buffer } {
  const into = new ByteWriter(64);
  const answers: unknown[] = [];
  cursor.open(batch);
  for (let n = 0; n < batch.count; n++) {
    cursor.next(n);
    for (const edit of edits) answers.push(edit(cursor));
    answers.push(cursor.edited, cursor.entryStart, cursor.entryEnd, cursor.seconds, cursor.nanoseconds);
    cursor.write(into);
  }
  return { answers, bytes: into.copy() };
}

/** A cursor that knows all names already does the same as one that reads every event. */
function assertSame(batch: Batch, edits: readonly Edit[], known: readonly Field[]): void {
  const cursor = new EventCursor();
  run(
    cursor,
    batch,
    known.map((one) => (event) => event.has(one)),
  );
  const got = run(cursor, batch, edits);
  useKernel(false);
  const want = run(new EventCursor(), batch, edits);
  useKernel(true);
  assert.deepEqual(got.answers, want.answers);
  assert.equal(got.bytes.toString('latin1'), want.bytes.toString('latin1'));
}

const name = fc.constantFrom(...NAMES);
const value = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.integer(),
  fc.double(),
  fc.constantFrom(null, true),
  fc.uint8Array({ maxLength: 10 }).map((data) => new Extension(5, data)),
  fc.array(fc.nat(), { maxLength: 20 }),
  fc.dictionary(name, fc.string({ maxLength: 5 }), { maxKeys: 3 }),
);
const record = fc.dictionary(fc.oneof(name, fc.string({ maxLength: 40 })), value, { maxKeys: 20 });
const target = fc.oneof(
  name.map((one) => field(one)),
  fc.tuple(name, name).map((path) => field(path)),
  fc.constant(field('a.b')),
);
const edit: fc.Arbitrary<Edit> = fc.oneof(
  target.map((one) => (event: EventCursor) => event.value(one)),
  target.map((one) => (event: EventCursor) => [event.str(one), event.num(one)]),
  target.map((one) => (event: EventCursor) => {
    if (!event.locate(one)) return undefined;
    return Buffer.from(event.bytes.subarray(event.from, event.to)).toString('latin1');
  }),
  fc.tuple(target, value).map(
    ([one, given]) =>
      (event: EventCursor) =>
        event.set(one, given),
  ),
  target.map((one) => (event: EventCursor) => event.delete(one)),
  fc
    .tuple(fc.option(name, { nil: undefined }), fc.dictionary(name, value, { maxKeys: 3 }))
    .map(([under, fields]) => fragment(under, fields))
    .map((group) => (event: EventCursor) => event.append(group)),
  record.map((given) => (event: EventCursor) => event.replace(given)),
  fc.nat().map((seconds) => (event: EventCursor) => event.setTime(seconds, 5)),
  fc.constant((event: EventCursor) => event.toObject()),
);

describe('index of fields', () => {
  before(() => useKernel(true));
  after(() => useKernel(true));

  test('rows of what was asked for before', () => {
    const index = new FieldIndex();
    const batch = batchOf([
      entryOf({ x: 1, host: 'a', remote: 'b', y: [1, { host: 2 }] }),
      entryRaw(0xde, 0, 1, 0xd9, 4, ...Buffer.from('host'), 1),
      entryRaw(0x81, 1, 1),
      entryOf({ remote: null }),
    ]);
    assert.equal(index.knows(Buffer.from('host')), false);
    assert.equal(index.knows(Buffer.from('remote')), false);
    assert.equal(index.knows(Buffer.from('host')), false, 'not before the next batch');
    index.read(batch);
    assert.equal(index.knows(Buffer.from('host')), true);
    const found: number[][] = [];
    for (let row = 0; row < index.end;) {
      const count = index.rows[row + ROW_COUNT] as number;
      found.push(count === NO_PAIRS ? [] : [index.rows[row + ROW_TOTAL] as number, count]);
      row += ROW_HEAD + (count === NO_PAIRS ? 0 : count * ROW_PAIR);
    }
    assert.deepEqual(found, [[4, 2], [1, 1], [], [1, 1], [1, 0]]);
  });

  test('any edits, as without it', () => {
    assert.equal(kernelState(), 'on');
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 4 }),
        fc.array(edit, { minLength: 1, maxLength: 6 }),
        fc.subarray(NAMES.map((one) => field(one))),
        (records, edits, known) => assertSame(batchOf(records.map(entryOf)), edits, known),
      ),
      { numRuns: 300 },
    );
  });

  for (const [title, bytes] of [
    ['the same key twice', entryRaw(0x83, 0xa1, 0x61, 1, 0xa1, 0x61, 2, 0xa1, 0x62, 3)],
    ['one key forty times', entryRaw(0xde, 0, 40, ...Array.from({ length: 40 }, () => [0xa1, 0x61, 1]).flat())],
    ['a key that is no text', entryRaw(0x82, 7, 1, 0xa1, 0x61, 2)],
    ['a key of str 16', entryRaw(0x82, 0xda, 0, 1, 0x61, 1, 0xa1, 0x62, 2)],
    ['a time of whole seconds', Buffer.from([0x92, 0xce, 0x69, 1, 2, 3, 0x82, 0xa1, 0x61, 1, 0xa1, 0x62, 2])],
  ] as const) {
    test(title, () => {
      const edits: Edit[] = [
        (event) => event.num(field('a')),
        (event) => event.delete(field('a')),
        (event) => event.set(field('b'), 'c'),
      ];
      assertSame(batchOf([entryOf({ a: 1, b: 2 }), bytes, entryOf({ b: 1, a: 2 })]), edits, [field('a')]);
    });
  }

  test('a batch of several windows, with an event that is longer than one', () => {
    const entries = Array.from({ length: 2500 }, (_, n) => entryOf({ n, a: n, text: 'z'.repeat(n % 900) }));
    const long = entryOf({ a: 1, long: 'l'.repeat(600_000) });
    const edits: Edit[] = [(event) => event.num(field('a')), (event) => event.delete(field('a'))];
    assertSame(batchOf([...entries, long, ...entries.slice(0, 50)]), edits, [field('a')]);
  });

  test('more names than the kernel looks out for: all is read', () => {
    const names = Array.from({ length: 200 }, (_, n) => field(`name-${n}`));
    const batch = batchOf([entryOf({ 'name-0': 1, 'name-150': 2 })]);
    const edits = names.map(
      (one): Edit =>
        (event) =>
          event.num(one),
    );
    assertSame(batch, edits, names);
    const cursor = new EventCursor();
    for (let round = 0; round < 3; round++) assert.equal(run(cursor, batch, edits).answers.filter((one) => one === 2).length, 1);
  });

  test('an entry that is cut off ends the index, and nothing is read beyond it', () => {
    const index = new FieldIndex();
    index.knows(Buffer.from('a'));
    const batch = batchOf([entryOf({ a: 1 }), entryOf({ b: 2 })]);
    index.read(batch);
    const whole = index.end;
    for (const end of [batch.end - 1, batch.end - 50, batch.end - 200]) {
      index.read({ ...batch, end });
      assert.equal(index.end, whole - ROW_HEAD);
    }
  });

  test('bytes that were changed never bring the kernel down', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 4 }), changes, (records, changed) => {
        const batch = batchOf(records.map(entryOf));
        const bytes = Uint8Array.from(batch.bytes);
        for (const [at, byte] of changed) bytes[batch.start + (at % (batch.end - batch.start))] = byte;
        const index = new FieldIndex();
        for (const one of NAMES) index.knows(Buffer.from(one));
        index.read({ ...batch, bytes });
        assert.equal(kernelState(), 'on');
        assert.ok(index.rows.subarray(0, index.end).length === index.end);
      }),
      { numRuns: 500 },
    );
  });
});
