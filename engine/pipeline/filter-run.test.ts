import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Batch, Fields } from '../events/batch.ts';
import { field } from '../events/field.ts';
import type { EventView } from '../component.ts';
import { Account, sumOf } from '../telemetry/accounts.ts';
import { makeBatch, readBatch } from '../testing/driver.ts';
import { FilterRunner, Ordinals, batchesOf, type FilterNode } from './filter-run.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const node = (process: (event: EventView) => void): FilterNode => ({
  id: 'f',
  filter: { reads: [], process },
  account: new Account(),
  log: silent,
});
const place = { incarnation: 1n, segment: 2, offset: 3, enteredMs: 4 };

// What a filter may do, as data: once for the view, once for plain objects.
type Deed =
  | { readonly do: 'set' | 'delete' | 'dropIf' | 'failIf' | 'emitIf'; readonly key: string; readonly value: number }
  | { readonly do: 'replace'; readonly key: string; readonly value: number };

const KEYS = ['a', 'b', 'c'] as const;
const FIELDS = new Map(KEYS.map((key) => [key, field(key)]));

function onView(deed: Deed): (event: EventView) => void {
  const at = FIELDS.get(deed.key as 'a') ?? field(deed.key);
  return (event) => {
    const isMeant = event.num(at) === deed.value;
    if (deed.do === 'set') event.set(at, deed.value);
    else if (deed.do === 'delete') event.delete(at);
    else if (deed.do === 'replace') {
      if (isMeant) event.replace({ b: 'new', n: event.value(field('n')) });
    } else if (!isMeant) return;
    else if (deed.do === 'dropIf') event.drop('asked');
    else if (deed.do === 'failIf') throw new Error('asked');
    else event.emit('made', event.toObject());
  };
}

interface Plain {
  readonly kept: { record: Fields; index: number }[];
  readonly created: { record: Fields; index: number; label: string | undefined }[];
}

/** The same with objects, as short as can be. */
function onObjects(deeds: readonly Deed[], records: readonly Fields[], failuresTo: string | undefined): Plain {
  const plain: Plain = { kept: [], created: [] };
  for (const [index, given] of records.entries()) {
    let record: Fields | undefined = { ...given };
    for (const deed of deeds) {
      const isMeant: boolean = record[deed.key] === deed.value;
      if (deed.do === 'set') record[deed.key] = deed.value;
      else if (deed.do === 'delete') delete record[deed.key];
      else if (!isMeant) continue;
      else if (deed.do === 'replace') record = { b: 'new', n: record['n'] };
      else if (deed.do === 'emitIf') plain.created.push({ record: { ...record }, index, label: undefined });
      else {
        if (deed.do === 'failIf' && failuresTo !== undefined)
          plain.created.push({ record: { ...record }, index, label: failuresTo });
        record = undefined;
        break;
      }
    }
    if (record !== undefined) plain.kept.push({ record, index });
  }
  return plain;
}

const deed: fc.Arbitrary<Deed> = fc.record({
  do: fc.constantFrom('set', 'delete', 'dropIf', 'failIf', 'emitIf', 'replace'),
  key: fc.constantFrom(...KEYS),
  value: fc.integer({ min: 0, max: 2 }),
});
const record = fc
  .record({ a: fc.integer({ min: 0, max: 2 }), b: fc.integer({ min: 0, max: 2 }), text: fc.string() }, { requiredKeys: [] })
  // Records of the driver are plain objects.
  .map((fields): Fields => ({ ...fields }));

describe('filters over a batch', () => {
  test('do the same as filters over objects, and keep books and ids', () => {
    const runner = new FilterRunner();
    fc.assert(
      fc.property(
        fc.array(deed, { minLength: 1, maxLength: 5 }),
        fc.array(record, { minLength: 1, maxLength: 12 }),
        fc.constantFrom(undefined, '@ERROR'),
        fc.boolean(),
        (deeds, bodies, failuresTo, hasIds) => {
          const records = bodies.map((body, n) => ({ ...body, n }));
          const ids = Uint32Array.from(records, (_, n) => ((n * 3) << 8) | (n % 2));
          const batch: Batch = { ...makeBatch(records.map((one) => ({ record: one }))), place, ...(hasIds ? { ids } : {}) };
          const nodes = deeds.map((one) => node(onView(one)));
          const want = onObjects(deeds, records, failuresTo);
          const idOf = (index: number): number => (hasIds ? (ids[index] as number) : index << 8);
          const { batch: got, created } = runner.run(nodes, batch, failuresTo);
          assert.deepEqual(
            got === undefined ? [] : readBatch(got).map((event) => event.record),
            want.kept.map((one) => one.record),
          );
          if (got !== undefined) {
            assert.equal(got.count, want.kept.length);
            assert.deepEqual(
              Array.from({ length: got.count }, (_, n) => got.ids?.[n] ?? n << 8),
              want.kept.map(({ index }) => idOf(index)),
            );
            assert.equal(got.place, place);
          }
          assert.deepEqual(
            created.map(({ record: made, index, label }) => ({ record: made, index, label })),
            want.created.map((one) => ({ ...one, index: idOf(one.index) >>> 8 })),
          );
          for (const { account } of nodes) assert.equal(account.in + account.created, account.out + sumOf(account.dropped));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('a batch that nobody changes is the very same batch', () => {
    const batch = makeBatch([{ record: { n: 1 } }, { record: { n: 2 } }]);
    assert.equal(new FilterRunner().run([node((event) => void event.num(field('n')))], batch, undefined).batch, batch);
  });

  test('nothing is left', () => {
    const batch = makeBatch([{ record: { n: 1 } }]);
    assert.equal(new FilterRunner().run([node((event) => event.drop('x'))], batch, undefined).batch, undefined);
  });

  test('the batch before is not changed by what happens to the next', () => {
    const runner = new FilterRunner();
    const change = [node((event) => event.set(field('seen'), event.num(field('n'))))];
    const first = runner.run(change, makeBatch([{ record: { n: 1 } }]), undefined).batch;
    runner.run(change, makeBatch([{ record: { n: 2 } }, { record: { n: 3 } }]), undefined);
    assert.deepEqual(first === undefined ? [] : readBatch(first).map((event) => event.record), [{ n: 1, seen: 1 }]);
  });

  test('a consumer that fails on an event sees the next one', () => {
    const account = new Account();
    const seen: unknown[] = [];
    const consumer = {
      reads: [],
      observe: (event: EventView, enteredMs: number) => {
        if (event.num(field('n')) === 1) throw new Error('boom');
        seen.push([event.num(field('n')), enteredMs]);
      },
    };
    const runner = new FilterRunner();
    runner.observe(
      { id: 'c', consumer, account, log: silent },
      { ...makeBatch([{ record: { n: 1 } }, { record: { n: 2 } }]), place },
      99,
    );
    runner.observe({ id: 'c', consumer, account, log: silent }, makeBatch([{ record: { n: 3 } }]), 99);
    assert.deepEqual(seen, [
      [2, 4],
      [3, 99],
    ]);
    assert.deepEqual([account.in, account.out, account.errors], [3, 3, 1]);
  });
});

describe('events that were made', () => {
  const made = (tag: string, n: number, index: number, label?: string) => ({
    tag,
    label,
    seconds: n,
    nanoseconds: 5,
    record: { n },
    index,
  });

  test('one batch per tag and label, in order, with ids and the place of where they came from', () => {
    const ordinals = new Ordinals();
    const origin = { ...makeBatch([{ record: {} }]), place };
    const created = [made('a', 1, 0), made('b', 2, 0), made('a', 3, 1, '@L'), made('a', 4, 1)];
    const batches = batchesOf(created, origin, ordinals, () => assert.fail());
    assert.deepEqual(
      batches.map(({ batch, label }) => [
        batch.tag,
        label,
        readBatch(batch).map((event) => [event.seconds, event.nanoseconds, event.record['n']]),
        [...(batch.ids ?? [])],
        batch.place,
      ]),
      [
        [
          'a',
          undefined,
          [
            [1, 5, 1],
            [4, 5, 4],
          ],
          [1, 258],
          place,
        ],
        ['b', undefined, [[2, 5, 2]], [2], place],
        ['a', '@L', [[3, 5, 3]], [257], place],
      ],
    );
  });

  test('an index of 24 bits stays a positive number', () => {
    assert.equal(new Ordinals().take(0xffffff), 0xffffff01);
  });

  test('ordinals run out at 255, for that event alone', () => {
    const ordinals = new Ordinals();
    assert.deepEqual(
      Array.from({ length: 256 }, () => ordinals.take(7)).map((id) => (id === undefined ? undefined : id & 255)),
      [...Array.from({ length: 255 }, (_, n) => n + 1), undefined],
    );
    assert.equal(ordinals.take(8), (8 << 8) | 1);
  });
});
