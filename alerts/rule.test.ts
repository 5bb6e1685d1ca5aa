import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import type { PlaceOf } from './rule.ts';
import { parseRules } from './rule.ts';
import { holds, parseThreshold, shown } from './threshold.ts';

const placeOf: PlaceOf = (path) => ({ file: path.join('.'), line: 1, column: 1 });
const MINIMUM = { name: 'a', measure: 'count', condition: '> 1' };

const rules = (count: number): object[] => Array.from({ length: count }, (_, n) => ({ ...MINIMUM, name: `r${n}` }));

describe('rules are read', () => {
  test('with their defaults', () => {
    const { rules, problems } = parseRules([MINIMUM], placeOf);
    assert.deepEqual(problems, []);
    assert.deepEqual(rules, [
      {
        name: 'a',
        summary: 'a',
        from: '**',
        where: { op: 'all' },
        measure: { kind: 'count', part: { op: 'all' } },
        by: undefined,
        maxGroups: 100,
        everyMs: 10_000,
        intervals: 1,
        condition: { text: '> 1', limits: [{ sign: '>', value: 1 }] },
        recovery: undefined,
        forMs: 0,
        minEvents: 1,
        forgetMs: 3_600_000,
        severity: 'average',
        tags: {},
      },
    ]);
  });
  const part = { op: 'compare', field: 's', by: '>=', number: 5 };
  for (const [measure, want] of [
    ['rate', { kind: 'rate', part: { op: 'all' }, perMs: 1000 }],
    [{ count: 's >= 5' }, { kind: 'count', part }],
    [{ count: { where: 's >= 5' } }, { kind: 'count', part }],
    [{ rate: 's >= 5' }, { kind: 'rate', part, perMs: 1000 }],
    [{ rate: { per: '1m' } }, { kind: 'rate', part: { op: 'all' }, perMs: 60_000 }],
    [{ ratio: 's >= 5' }, { kind: 'ratio', part, whole: { op: 'all' } }],
    [{ ratio: { part: 's >= 5', whole: 's: *' } }, { kind: 'ratio', part, whole: { op: 'exists', field: 's' } }],
  ] as const) {
    test(JSON.stringify(measure), () => {
      const { rules, problems } = parseRules([{ name: 'a', measure, condition: '> 0' }], placeOf);
      assert.deepEqual(problems, []);
      assert.deepEqual(rules[0]?.measure, want);
    });
  }
  test('nothing below alerts', () => assert.deepEqual(parseRules(null, placeOf), { rules: [], problems: [] }));
  test('the rules that come with the product', () => {
    const file = parse(readFileSync(new URL('rules/mission.yaml', import.meta.url), 'utf8')) as { alerts: unknown };
    const { rules, problems } = parseRules(file.alerts, placeOf);
    assert.deepEqual(problems, []);
    assert.deepEqual(
      rules.map((rule) => rule.name),
      ['error-ratio', 'no-events', 'login-failures'],
    );
    assert.deepEqual(structuredClone(rules), rules);
  });
});

describe('wrong rules say what and where, all at once', () => {
  for (const [name, data, want] of [
    ['no list', { a: 1 }, [['', /expected a list of rules/]]],
    ['no map', ['x'], [['0', /expected a rule: a map/]]],
    [
      'nothing in it',
      [{}],
      [
        ['0.name', /needs a name/],
        ['0.measure', /needs one/],
        ['0.condition', /needs one/],
      ],
    ],
    ['unknown key', [{ ...MINIMUM, serverity: 'high' }], [['0.serverity', /unknown parameter "serverity"/]]],
    ['name with a bracket', [{ ...MINIMUM, name: 'a]' }], [['0.name', /letters, digits/]]],
    ['severity', [{ ...MINIMUM, severity: 'fatal' }], [['0.severity', /expected one of not_classified/]]],
    ['every', [{ ...MINIMUM, every: '5x' }], [['0.every', /expected a duration/]]],
    ['every too short', [{ ...MINIMUM, every: '100ms' }], [['0.every', /at least 1000 ms/]]],
    ['over', [{ ...MINIMUM, every: '10s', over: '25s' }], [['0.over', /multiple of every/]]],
    ['from', [{ ...MINIMUM, from: '/a' }], [['0.from', /expected a closing/]]],
    ['where', [{ ...MINIMUM, where: 'a >= b' }], [['0.where', /expected a number after `>=`, at character 6/]]],
    ['where in a measure', [{ ...MINIMUM, measure: { count: 'a' } }], [['0.measure.count', /count: expected :/]]],
    [
      'where in a part',
      [{ ...MINIMUM, condition: '> 1%', measure: { ratio: { part: 'a', whole: 'b: *' } } }],
      [['0.measure.ratio.part', /part: expected :/]],
    ],
    ['measure', [{ ...MINIMUM, measure: 'sum' }], [['0.measure', /not known/]]],
    ['measure of two', [{ ...MINIMUM, measure: { count: 'a: 1', rate: 'b: 1' } }], [['0.measure', /expected one of/]]],
    ['measure key', [{ ...MINIMUM, measure: { ratio: { parts: 'a: 1' } } }], [['0.measure.ratio.parts', /not known/]]],
    ['percent of a count', [{ ...MINIMUM, condition: '> 5%' }], [['0.condition', /only a ratio/]]],
    ['ratio above one', [{ ...MINIMUM, measure: { ratio: 'a: 1' }, condition: '> 5' }], [['0.condition', /from 0 to 1/]]],
    ['over too many intervals', [{ ...MINIMUM, every: '10s', over: '2h' }], []],
    ['over one more', [{ ...MINIMUM, every: '10s', over: '7210s' }], [['0.over', /at most 720 times/]]],
    ['as many rules as may be', rules(500), []],
    ['one more rule', rules(501), [['', /at most 500 rules, found 501/]]],
    ['name twice', [MINIMUM, MINIMUM], [['1.name', /there already/]]],
    [
      'two in one',
      [{ ...MINIMUM, every: 0, where: '(' }],
      [
        ['0.every', /at least/],
        ['0.where', /expected a field/],
      ],
    ],
  ] as readonly [string, unknown, [string, RegExp][]][]) {
    test(name, () => {
      const { problems } = parseRules(data, placeOf);
      assert.deepEqual(
        problems.map((problem) => problem.place.file),
        want.map(([path]) => path),
      );
      for (const [index, [, message]] of want.entries()) assert.match(problems[index]?.message ?? '', message);
    });
  }
  test('a near miss is named', () => {
    assert.equal(parseRules([{ ...MINIMUM, serverity: 'high' }], placeOf).problems[0]?.hint, 'did you mean "severity"?');
  });
  test('the place in a condition is drawn', () => {
    assert.match(parseRules([{ ...MINIMUM, where: 'a >= b' }], placeOf).problems[0]?.hint ?? '', /\n {2}a >= b\n {7}\^$/);
  });
});

describe('thresholds', () => {
  for (const [given, unit, value, want] of [
    ['> 5%', 'ratio', 0.05, false],
    ['> 5%', 'ratio', 0.051, true],
    ['>=5%', 'ratio', 0.05, true],
    ['> 0.05', 'ratio', 0.06, true],
    ['== 0', 'number', 0, true],
    ['= 0', 'number', 1, false],
    ['!= 0', 'number', 1, true],
    ['< 1_000', 'number', 999, true],
    [{ above: 10, below: 5 }, 'number', 4, true],
    [{ above: 10, below: 5 }, 'number', 7, false],
    [{ above: '10%' }, 'ratio', 0.2, true],
  ] as const) {
    test(`${JSON.stringify(given)} and ${value}`, () => {
      const threshold = parseThreshold(given, unit);
      assert.ok(typeof threshold !== 'string');
      assert.equal(holds(threshold, value), want);
    });
  }
  for (const given of [undefined, 5, '', '5%', '> x', '> ', {}, { over: 1 }, { above: true }, []]) {
    test(`not ${JSON.stringify(given)}`, () => assert.equal(typeof parseThreshold(given, 'number'), 'string'));
  }
  test('percentages survive the way', () => {
    const threshold = parseThreshold('>7%', 'ratio');
    assert.ok(typeof threshold !== 'string');
    assert.equal(threshold.text, '> 7%');
    assert.equal(shown(0.0731, 'ratio'), '7.31%');
  });
});
