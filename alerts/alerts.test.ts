import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Placed } from '../engine/config/yaml.ts';
import { placesOf, readRules, sendersOf } from './alerts.ts';
import { ZABBIX_TARGET } from './zabbix/target.ts';

const at = (line: number, value: unknown, children: Record<string, Placed> = {}): Placed => ({
  value,
  place: { file: 'millrace.yaml', line, column: 1 },
  children: new Map(Object.entries(children)),
});

describe('rules from a configuration file', () => {
  const rule = { name: 'a', measure: 'count', condition: '> x' };
  const alerts = at(1, [rule], { 0: at(2, rule, { name: at(2, 'a'), condition: at(4, '> x') }) });
  test('problems stand where the value stands', () => {
    assert.deepEqual(
      readRules(alerts).problems.map(({ place, message }) => [place.line, message]),
      [[4, 'condition: "x" is not a number']],
    );
  });
  test('the nearest place that is known', () => assert.equal(placesOf(alerts)([0, 'measure', 'count']).line, 2));
  test('no alerts at all', () => assert.deepEqual(readRules(undefined), { rules: [], problems: [] }));
});

describe('where values are sent', () => {
  for (const [fields, want] of [
    [{ url: 'http://zbx.example.org/zabbix' }, [{ host: 'zbx.example.org', port: 10_051 }]],
    [
      { url: 'http://a', sender: 'b:20051,c' },
      [
        { host: 'b', port: 20_051 },
        { host: 'c', port: 10_051 },
      ],
    ],
    [{ url: 'http://[::1]:8080' }, [{ host: '::1', port: 10_051 }]],
  ] as const) {
    test(JSON.stringify(fields), () => assert.deepEqual(sendersOf(ZABBIX_TARGET.parse(fields)), want));
  }
  test('a wrong one', () =>
    assert.throws(() => sendersOf(ZABBIX_TARGET.parse({ url: 'http://a', sender: 'a:b' })), { code: 'MR_CONFIG' }));
});
