import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Definition, Filter, Parser } from '../../engine/component.ts';
import { sectionFromData, sectionToInput } from '../../engine/config/section.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, runFilter, testContext, type FilterRun } from '../../engine/testing/driver.ts';
import { parserFilter } from './parser.ts';

/** A stand-in: `key=value` pairs, `time` as seconds; an item `;` starts another event; `!` is refused. */
const pairs: Parser = {
  parse(bytes, start, end, into) {
    const text = Buffer.from(bytes).toString('utf8', start, end);
    if (text.startsWith('!')) return 'refused';
    for (const part of text.split(';')) {
      into.begin();
      for (const pair of part.split(' ')) {
        const [key = '', value = ''] = pair.split('=');
        if (key === 'time') into.time(Number(value), 0);
        else into.record({ [key]: value });
      }
      into.commit();
    }
    return undefined;
  },
};

const definition = parserFilter as unknown as Definition;
const NOW_MS = 1_700_000_000_000;
function run(config: Fields, record: Fields): FilterRun {
  const ctx = testContext(definition, { parser: () => pairs });
  const input = sectionToInput(sectionFromData('filter', { key_name: 'm', parse: { '@type': 'pairs' }, ...config }));
  return runFilter(create<Filter>(definition, input, ctx), [{ record, time: 1_600_000_000 }]);
}

describe('what becomes of an event', () => {
  const now = NOW_MS / 1000;
  const kept = 1_600_000_000;
  for (const [config, record, want, seconds] of [
    [{}, { m: 'a=1', k: 2 }, { a: '1' }, now],
    [{}, { m: 'a=1 time=1500000000' }, { a: '1' }, 1_500_000_000],
    [{ reserve_time: true }, { m: 'a=1 time=1500000000' }, { a: '1' }, kept],
    [{ parse: { '@type': 'pairs', estimate_current_event: 'false' } }, { m: 'a=1' }, { a: '1' }, kept],
    [{ reserve_data: true }, { m: 'k=1', k: 2 }, { m: 'k=1', k: '1' }, now],
    [{ reserve_data: true, remove_key_name_field: true }, { m: 'a=1', k: 2 }, { k: 2, a: '1' }, now],
    [{ reserve_data: true, remove_key_name_field: true }, { m: 'm=1', k: 2 }, { k: 2, m: '1' }, now],
    [{ inject_key_prefix: 'p.' }, { m: 'a=中' }, { 'p.a': '中' }, now],
    [{ hash_value_field: 'h' }, { m: 'a=1', k: 2 }, { h: { a: '1' } }, now],
    [{ hash_value_field: 'h', reserve_data: true }, { m: 'a=1' }, { m: 'a=1', h: { a: '1' } }, now],
    [{ key_name: '$.x.y' }, { x: { y: 'a=1' } }, { a: '1' }, now],
    [{}, { m: 12 }, { 12: '' }, now],
    [{ replace_invalid_sequence: true }, { m: Buffer.from([0x61, 0x3d, 0xff]) }, { a: '?' }, now],
  ] as const) {
    test(JSON.stringify([config, record]), () => {
      const { events, dropped, created } = run(config as Fields, record as Fields);
      assert.deepEqual(dropped, []);
      assert.deepEqual(created, []);
      assert.deepEqual(events[0]?.record, want);
      assert.equal(events[0]?.seconds, seconds);
    });
  }
});

describe('what cannot be read', () => {
  for (const [config, record, reason] of [
    [{}, { m: '!', k: 1 }, 'refused'],
    [{}, { k: 1 }, 'field to parse is missing'],
    [{}, { m: null }, 'field to parse is missing'],
    [{}, { m: Buffer.from([0xff]) }, 'not UTF-8'],
    [{}, { m: 'a=1;b=2' }, 'a list of several maps'],
  ] as const) {
    test(JSON.stringify(record), () => {
      const { events, dropped, created } = run(config, record);
      assert.deepEqual([events, dropped], [[], [reason]]);
      assert.equal(created[0]?.label, '@ERROR');
      assert.deepEqual(Object.keys(created[0]?.record ?? {}), Object.keys(record));
      assert.equal(created[0]?.seconds, 1_600_000_000);
    });
  }

  test('reserve_data lets it pass, and tells @ERROR', () => {
    const { events, created } = run({ reserve_data: true, remove_key_name_field: true }, { m: '!', k: 1 });
    assert.deepEqual(events[0]?.record, { m: '!', k: 1 });
    assert.equal(events[0]?.seconds, 1_600_000_000);
    assert.equal(created.length, 1);
  });

  test('emit_invalid_record_to_error false tells nobody', () => {
    assert.deepEqual(run({ emit_invalid_record_to_error: false }, { m: '!' }).created, []);
  });
});
