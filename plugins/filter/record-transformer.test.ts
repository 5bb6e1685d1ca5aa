import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { describe, test } from 'node:test';
import type { Definition, Filter } from '../../engine/component.ts';
import { sectionFromData, sectionToInput } from '../../engine/config/section.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, runFilter, testContext } from '../../engine/testing/driver.ts';
import { recordTransformerFilter } from './record-transformer.ts';

const definition = recordTransformerFilter as unknown as Definition;
const input = (config: Fields): Fields => sectionToInput(sectionFromData('filter', config));

function run(config: Fields, record: Fields): { record: Fields | undefined; seconds: number | undefined; warnings: number } {
  const ctx = testContext(definition);
  const { events } = runFilter(
    create<Filter>(definition, input(config), ctx),
    [{ record, time: { seconds: 1_600_000_000, nanoseconds: 5 } }],
    'app.web.access',
  );
  return {
    record: events[0]?.record,
    seconds: events[0]?.seconds,
    warnings: ctx.lines.filter(({ level }) => level === 'warn').length,
  };
}

describe('record_transformer', () => {
  const base = { m: 'hi', n: 7, deep: { a: { b: '中' }, list: ['x', 'y'] } };
  for (const [config, want] of [
    [{ record: { env: 'prod', n: '5' } }, { ...base, env: 'prod', n: '5' }],
    [
      { record: { t: '${tag}', a: '${tag_parts[0]}', z: '${tag_parts[-1]}', none: '${tag_parts[9]}' } },
      { ...base, t: 'app.web.access', a: 'app', z: 'access', none: null },
    ],
    [{ record: { p: '${tag_prefix[1]}', s: '${tag_suffix[-2]}' } }, { ...base, p: 'app.web', s: 'web.access' }],
    [{ record: { h: '${hostname}!' } }, { ...base, h: `${hostname()}!` }],
    [{ record: { c: '${record["n"]}', d: 'n=${record["n"]}' } }, { ...base, c: 7, d: 'n=7' }],
    [{ record: { b: '${record["deep"]["a"]["b"]}', y: '${record["deep"]["list"][-1]}' } }, { ...base, b: '中', y: 'y' }],
    [{ record: { all: '<${record["deep"]}>' } }, { ...base, all: '<{"a"=>{"b"=>"中"}, "list"=>["x", "y"]}>' }],
    [{ record: { m: '${record["n"]}', n: '${record["m"]}' } }, { ...base, m: 7, n: 'hi' }],
    [
      { auto_typecast: false, record: { c: '${record["n"]}', e: '${record["none"]}' } },
      { ...base, c: '7', e: '' },
    ],
    [{ record: { j: '{"k ${tag_parts[0]}":["${record[\\"n\\"]}",1]}' } }, { ...base, j: { 'k app': [7, 1] } }],
    [{ record: { j: '[INFO] ${tag_parts[1]}' } }, { ...base, j: '[INFO] web' }],
    [{ record: { 'x.${tag_parts[2]}': '1' } }, { ...base, 'x.access': '1' }],
    [
      { record: { '$.deep.a.c': '${record["m"]}', '$.new.field': '1' } },
      { ...base, deep: { a: { b: '中', c: 'hi' }, list: ['x', 'y'] }, new: { field: '1' } },
    ],
    [{ remove_keys: 'm,$.deep.list[0],$.deep.a,none' }, { n: 7, deep: { list: ['y'] } }],
    [
      { renew_record: true, keep_keys: 'n, none', record: { a: '${record["m"]}' } },
      { n: 7, a: 'hi' },
    ],
    [{ record: { tmp: '1' }, remove_keys: 'tmp' }, base],
  ] as const) {
    test(JSON.stringify(config), () => {
      const result = run(config as Fields, base);
      assert.deepEqual(result.record, want);
      assert.deepEqual([result.seconds, result.warnings], [1_600_000_000, 0]);
    });
  }

  test('renew_time_key takes the time from the new record, before fields are removed', () => {
    assert.equal(run({ renew_time_key: 't', remove_keys: 't', record: { t: '${record["n"]}' } }, base).seconds, 7);
    assert.equal(run({ renew_time_key: 'm' }, base).seconds, 0);
    assert.equal(run({ renew_time_key: 'none' }, base).seconds, 1_600_000_000);
    assert.equal(run({ renew_time_key: 't' }, { t: 1e300 }).seconds, 1_600_000_000);
  });

  test('an unknown placeholder is empty, with one warning at the start', () => {
    const result = run({ record: { a: "${record['m']}", b: '-${ tag }-' } }, base);
    assert.deepEqual([result.record?.['a'], result.record?.['b'], result.warnings], [null, '--', 2]);
  });

  for (const [config, problem] of [
    [{ enable_ruby: true }, /Ruby is not run here/],
    [{ keep_keys: 'a' }, /needs renew_record/],
    [{ record: { '$.': '1' } }, /names no field/],
  ] as const) {
    test(JSON.stringify(config), () => {
      assert.match(
        recordTransformerFilter.check?.(recordTransformerFilter.config.parse(input(config))).join('\n') ?? '',
        problem,
      );
    });
  }
});
