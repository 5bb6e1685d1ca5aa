import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Definition, EventView, Formatter } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { create, runFormatter, testContext } from '../../engine/testing/driver.ts';
import { jsonFormatter } from './json.ts';

const make = (config: Fields): Formatter =>
  create<Formatter>(jsonFormatter as unknown as Definition, config, testContext(jsonFormatter));
const time = { seconds: 1_700_000_000, nanoseconds: 5 };

describe('json', () => {
  for (const [config, record, want] of [
    [{}, { a: 1, b: '中"\n', c: { d: [true, null, 1.5] } }, '{"a":1,"b":"中\\"\\n","c":{"d":[true,null,1.5]}}\n'],
    [{}, {}, '{}\n'],
    [{ newline: 'crlf' }, { a: 1 }, '{"a":1}\r\n'],
    [{ add_newline: false }, { a: 1 }, '{"a":1}'],
    [{ time_key: '@timestamp' }, { a: 1 }, '{"a":1,"@timestamp":"2023-11-14T22:13:20.000000005Z"}\n'],
    [{ time_key: 'a' }, { a: 1 }, '{"a":1}\n'],
  ] as const) {
    test(want, () => assert.equal(runFormatter(make(config), { record, time }).toString('utf8'), want));
  }

  test('a view that is no cursor gives the same', () => {
    const record = { a: 1, b: ['中'] };
    const into = new ByteWriter(64);
    const view = { toObject: () => record, seconds: 1, nanoseconds: 0 } as unknown as EventView;
    make({}).format(view, into);
    assert.equal(into.copy().toString('utf8'), '{"a":1,"b":["中"]}\n');
  });

  test('any record is read back by JSON.parse', () => {
    const formatter = make({});
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (record) => {
        const text = runFormatter(formatter, { record, time }).toString('utf8');
        assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(record)));
      }),
      { numRuns: 300 },
    );
  });
});
