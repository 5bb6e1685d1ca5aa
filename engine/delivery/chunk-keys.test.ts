import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Batch, Fields } from '../events/batch.ts';
import { getAt, parseAccessor, type Accessor } from '../events/record-accessor.ts';
import { rubyText } from '../ruby-values.ts';
import { makeBatch, readBatch } from '../testing/driver.ts';
import { bufferConfig } from './buffer-config.ts';
import { ChunkSplitter } from './chunk-keys.ts';

const place = { incarnation: 7n, segment: 1, offset: 2, enteredMs: 3 };

interface Part {
  readonly values: unknown;
  readonly ns: unknown[];
  readonly batch: Batch;
}

function split(config: Fields, batch: Batch, splitter = new ChunkSplitter(bufferConfig.parse(config))): Part[] {
  const parts: Part[] = [];
  splitter.split(batch, ({ values }, part) =>
    parts.push({ values, ns: readBatch(part).map(({ record }) => record['n']), batch: part }),
  );
  return parts;
}

const events = (...records: Fields[]): Batch => ({
  ...makeBatch(records.map((record, n) => ({ record: { n, ...record } }))),
  place,
});
const at = (...times: number[]): Batch => ({ ...makeBatch(times.map((time, n) => ({ time, record: { n } }))), place });

describe('events of a batch by chunk keys', () => {
  for (const [arg, batch, want] of [
    ['', events({}, {}), [[{}, [0, 1]]]],
    ['[]', events({}, {}), [[{}, [0, 1]]]],
    ['tag', events({}, {}), [[{ tag: 'test' }, [0, 1]]]],
    ['host', events({ host: 'a' }, { host: 'a' }), [[{ variables: { host: 'a' } }, [0, 1]]]],
    [
      'host',
      events({ host: 'a' }, { host: 'b' }, { host: 'a' }, {}),
      [
        [{ variables: { host: 'a' } }, [0, 2]],
        [{ variables: { host: 'b' } }, [1]],
        [{ variables: { host: '' } }, [3]],
      ],
    ],
    ['["tag", "host"]', events({ host: '北京' }), [[{ tag: 'test', variables: { host: '北京' } }, [0]]]],
    [
      'k',
      events({ k: 1 }, { k: true }, { k: null }, { k: 1.5 }, { k: '1' }, { k: [1, 'a'] }),
      [
        [{ variables: { k: '1' } }, [0, 4]],
        [{ variables: { k: 'true' } }, [1]],
        [{ variables: { k: '' } }, [2]],
        [{ variables: { k: '1.5' } }, [3]],
        [{ variables: { k: '[1, "a"]' } }, [5]],
      ],
    ],
    [
      '$.a.b',
      events({ a: { b: 'x' } }, { 'a.b': 'y' }),
      [
        [{ variables: { '$.a.b': 'x' } }, [0]],
        [{ variables: { '$.a.b': '' } }, [1]],
      ],
    ],
    [
      'a.b',
      events({ a: { b: 'x' } }, { 'a.b': 'y' }),
      [
        [{ variables: { 'a.b': '' } }, [0]],
        [{ variables: { 'a.b': 'y' } }, [1]],
      ],
    ],
    // Two values that are one text when they are put together.
    [
      'a,b',
      events({ a: 'x', b: 'yz' }, { a: 'xy', b: 'z' }),
      [
        [{ variables: { a: 'x', b: 'yz' } }, [0]],
        [{ variables: { a: 'xy', b: 'z' } }, [1]],
      ],
    ],
    [
      '__proto__',
      events({ a: 1 }),
      [[{ variables: Object.defineProperty({}, '__proto__', { value: '', enumerable: true }) }, [0]]],
    ],
  ] as const)
    test(`${arg}: ${JSON.stringify(readBatch(batch).map(({ record }) => record))}`, () => {
      const parts = split({ '@arg': arg }, batch);
      assert.deepEqual(
        parts.map(({ values, ns }) => [values, ns]),
        want,
      );
    });

  for (const [zone, times, want] of [
    [
      { timekey_use_utc: true },
      [7199, 7200, 10_799, 10_800],
      [
        [3600, [0]],
        [7200, [1, 2]],
        [10_800, [3]],
      ],
    ],
    [
      { timekey_zone: '+08:00', timekey: '1d' },
      [0, 57_599, 57_600],
      [
        [-28_800, [0, 1]],
        [57_600, [2]],
      ],
    ],
    [
      { timekey_zone: 'Asia/Kolkata' },
      [1800, 5399, 5400, 1799],
      [
        [1800, [0, 1]],
        [5400, [2]],
        [-1800, [3]],
      ],
    ],
    // Clocks go back at 01:00 UTC; slices of a day begin at midnight of the offset that holds at the time.
    [
      { timekey_zone: 'Europe/Berlin', timekey: '1d' },
      [1_698_541_199, 1_698_541_200],
      [
        [1_698_530_400, [0]],
        [1_698_534_000, [1]],
      ],
    ],
  ] as const)
    test(`time, ${JSON.stringify(zone)}: ${times.join(' ')}`, () => {
      const parts = split({ '@arg': 'time', timekey: '1h', ...zone }, at(...times));
      assert.deepEqual(
        parts.map(({ values, ns }) => [(values as { timekey: number }).timekey, ns]),
        want,
      );
    });

  test('a batch whose events agree is handed on as it is', () => {
    const batch = events({ host: 'a' }, { host: 'a' });
    assert.equal(split({ '@arg': 'host,tag' }, batch)[0]?.batch, batch);
    const splitter = new ChunkSplitter(bufferConfig.parse({ '@arg': 'time', timekey: '1h' }));
    const timed = at(3600, 3601);
    assert.equal(split({}, timed, splitter)[0]?.batch, timed);
  });

  test('parts keep the place and the ids of their events', () => {
    const [first, second] = split({ '@arg': 'host' }, events({ host: 'a' }, { host: 'b' }, { host: 'a' }));
    assert.deepEqual([first?.batch.place, first?.batch.ids], [place, Uint32Array.of(0, 2 << 8)]);
    assert.deepEqual(second?.batch.ids, Uint32Array.of(1 << 8));
    const again = split({ '@arg': 'n' }, first?.batch as Batch);
    assert.deepEqual(again[1]?.batch.ids, Uint32Array.of(2 << 8));
  });

  test('a long value counts up to a whole character before 1,024 bytes', () => {
    const long = 'é'.repeat(2000);
    const [part, other] = split({ '@arg': 'v' }, events({ v: `a${long}` }, { v: `a${long}b` }));
    assert.deepEqual(part?.values, { variables: { v: `a${'é'.repeat(511)}` } });
    assert.equal(other, undefined);
  });

  test('values from a file lead to the same slot', () => {
    const splitter = new ChunkSplitter(bufferConfig.parse({ '@arg': 'tag,host,time', timekey: 60 }));
    splitter.split(events({ host: 'a' }), (slot) => {
      assert.equal(splitter.slotOf({ ...slot.values }), slot);
      assert.equal(splitter.fits(slot.values), true);
    });
    for (const values of [
      {},
      { tag: 't' },
      { tag: 't', variables: { host: 'a' } },
      { tag: 't', timekey: 61, variables: { host: 'a' } },
    ])
      assert.equal(splitter.fits(values), false, JSON.stringify(values));
  });

  test('times of any size', () => {
    for (const zone of [{ timekey_use_utc: true }, { timekey_zone: 'Asia/Shanghai' }])
      for (const seconds of [0, 4_294_967_295, -1, 2 ** 40, -(2 ** 40), Number.MAX_SAFE_INTEGER])
        assert.equal(split({ '@arg': 'time', timekey: '1d', ...zone }, at(1, seconds)).flatMap(({ ns }) => ns).length, 2);
  });

  test('many keys cost no more for each', () => {
    const splitter = new ChunkSplitter(bufferConfig.parse({ '@arg': 'n' }));
    const batch = events(...Array.from({ length: 20_000 }, () => ({})));
    const started = performance.now();
    let parts = 0;
    splitter.split(batch, () => void parts++);
    assert.equal(parts, 20_000);
    // Takes 30 ms; with a search through the groups it would be seconds.
    assert.ok(performance.now() - started < 2000);
  });
});

describe('whatever the events', () => {
  const value = fc.oneof(fc.string({ maxLength: 3 }), fc.constantFrom('a', 'b', 1, 2, true, null, '北京', { k: 'x' }, [1]));
  const record = fc.dictionary(fc.constantFrom('a', 'b', 'a.b', 'k'), value, { maxKeys: 4 });
  const keys = fc.subarray(['tag', 'time', 'a', 'b', 'a.b', '$.a.k'], { minLength: 0 });

  test('they come apart as an object for each would', () => {
    fc.assert(
      fc.property(
        keys,
        fc.array(fc.array(fc.record({ record, time: fc.integer({ min: 0, max: 10_000 }) }), { maxLength: 8 }), { maxLength: 5 }),
        (names, batches) => {
          const splitter = new ChunkSplitter(
            bufferConfig.parse({ '@arg': names.join(','), timekey: '1h', timekey_use_utc: true }),
          );
          const fields = names.filter((name) => name !== 'tag' && name !== 'time');
          for (const some of batches) {
            const batch = makeBatch(some.map((event, n) => ({ time: event.time, record: { n, ...event.record } })));
            const want = new Map<string, number[]>();
            for (const [n, event] of some.entries()) {
              const key = JSON.stringify({
                ...(names.includes('time') && { timekey: event.time - (event.time % 3600) }),
                ...(names.includes('tag') && { tag: 'test' }),
                ...(fields.length > 0 && {
                  variables: Object.fromEntries(
                    fields.map((name) => [name, rubyText(getAt(event.record as Fields, parseAccessor(name) as Accessor))]),
                  ),
                }),
              });
              want.set(key, [...(want.get(key) ?? []), n]);
            }
            const seen = new Map(split({}, batch, splitter).map(({ values, ns }) => [JSON.stringify(values), ns]));
            if (some.length > 0) assert.deepEqual(seen, want);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
