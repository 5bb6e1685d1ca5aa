import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EventView } from './component.ts';
import { extractConfig, injectConfig, makeExtractor, makeInjector, type Extracted } from './inject.ts';
import { runFilter } from './testing/driver.ts';

const time = { seconds: 1_700_000_000, nanoseconds: 123_456_789 };

describe('inject', () => {
  for (const [config, want] of [
    [
      { tag_key: 'a', hostname_key: 'h', hostname: '主机', worker_id_key: 'w' },
      { a: 'app', h: '主机', w: 3 },
    ],
    [{ time_key: 'a' }, { a: 1_700_000_000.123456 }],
    [{ time_key: 'a', time_type: 'unixtime_millis' }, { a: 1_700_000_000_123 }],
    [{ time_key: 'a', time_type: 'unixtime_micros' }, { a: 1_700_000_000_123_456 }],
    [{ time_key: 'a', time_type: 'unixtime_nanos' }, { a: 1_700_000_000_123_456_789n }],
    [{ time_key: 'a', time_type: 'string', timezone: '+0800' }, { a: '2023-11-15T06:13:20+08:00' }],
    [{ time_key: 'a', time_type: 'string', utc: true, time_format: '%F %T.%3N' }, { a: '2023-11-14 22:13:20.123' }],
  ] as const) {
    test(JSON.stringify(config), () => {
      const filter = { reads: [], process: makeInjector(injectConfig.parse(config), 3) };
      assert.deepEqual(runFilter(filter, [{ record: { a: 'old' }, time }], 'app').events[0]?.record, { ...want });
    });
  }
});

describe('extract', () => {
  for (const [config, record, want, left] of [
    [{ tag_key: 't' }, { t: 5, x: 1 }, { tag: '5', time: undefined }, { x: 1 }],
    [{ tag_key: '$.a.t', keep_tag_key: true }, { a: { t: 'x' } }, { tag: 'x', time: undefined }, { a: { t: 'x' } }],
    [{ time_key: 't' }, { t: '5.5' }, { tag: undefined, time: { seconds: 5, nanoseconds: 500_000_000 } }, {}],
    [{ time_key: 't', time_type: 'string', time_format: '%s', keep_time_key: true }, { t: 'never' }, undefined, { t: 'never' }],
    [{ tag_key: 'x', time_key: 't' }, {}, { tag: undefined, time: undefined }, {}],
  ] as const) {
    test(JSON.stringify(config), () => {
      const extract = makeExtractor(extractConfig.parse(config));
      let got: Extracted | undefined;
      const process = (event: EventView): void => void (got = extract(event));
      const { events } = runFilter({ reads: [], process }, [{ record: { ...record } }]);
      assert.deepEqual(got, want);
      assert.deepEqual(events[0]?.record, left);
    });
  }
});
