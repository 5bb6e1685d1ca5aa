import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { evaluate, NO_STATE, type RuleState, type Sample, type Transition } from './evaluate.ts';
import { parseRules, type Rule } from './rule.ts';

function rule(fields: object): Rule {
  const { rules, problems } = parseRules([{ name: 'r', measure: 'count', condition: '> 10', every: 10, ...fields }], () => ({
    file: '-',
    line: 1,
    column: 1,
  }));
  assert.deepEqual(problems, []);
  assert.ok(rules[0] !== undefined);
  return rules[0];
}

type Counts = number | readonly [matched: number, total: number] | Readonly<Record<string, number>>;

/** Interval by interval from time 0; transitions as `seconds: group fires|clears`. */
function run(of: Rule, intervals: readonly Counts[]): string[] {
  let state: RuleState = NO_STATE;
  const seen: string[] = [];
  for (const [index, counts] of intervals.entries()) {
    const result = evaluate(of, samplesOf(counts), state, (index + 1) * of.everyMs);
    state = result.state;
    seen.push(
      ...result.transitions.map(
        ({ at, group, to }: Transition) =>
          `${at / 1000}: ${group}${group === '' ? '' : ' '}${to === 'firing' ? 'fires' : 'clears'}`,
      ),
    );
  }
  return seen;
}

function samplesOf(counts: Counts): Sample[] {
  if (typeof counts === 'number') return [{ group: '', matched: counts, total: counts }];
  if (Array.isArray(counts)) return [{ group: '', matched: Number(counts[0]), total: Number(counts[1]) }];
  return Object.entries(counts).map(([group, n]) => ({ group, matched: n, total: n }));
}

const RATIO = { measure: { ratio: 's >= 500' }, condition: '> 5%' };

describe('samples become transitions', () => {
  for (const [name, fields, intervals, want] of [
    ['below the limit', {}, [0, 10, 5], []],
    ['above it once', {}, [0, 11, 5], ['20: fires', '30: clears']],
    ['stays above', {}, [11, 12, 13, 0], ['10: fires', '40: clears']],
    ['hysteresis holds a problem', { recovery: '< 5' }, [11, 8, 8, 4, 8], ['10: fires', '40: clears']],
    ['for: too short', { for: 20 }, [11, 0, 11, 0], []],
    ['for: long enough', { for: 20 }, [11, 11, 0], ['20: fires', '30: clears']],
    ['for: starts anew after a gap', { for: 30 }, [11, 11, 0, 11, 11, 11], ['60: fires']],
    ['for: between the conditions nothing is pending', { for: 20, recovery: '< 5' }, [11, 8, 11, 11], ['40: fires']],
    ['absence', { condition: '== 0', for: 30 }, [5, 0, 0, 0, 0, 1], ['40: fires', '60: clears']],
    ['absence from the start', { condition: '== 0', for: 20 }, [0, 0], ['20: fires']],
    ['rate per second', { measure: 'rate', condition: '>= 2' }, [19, 20, 19], ['20: fires', '30: clears']],
    ['rate per minute', { measure: { rate: { per: '1m' } }, condition: '> 60' }, [10, 11], ['20: fires']],
    [
      'ratio',
      RATIO,
      [
        [1, 20],
        [2, 20],
        [1, 20],
      ],
      ['20: fires', '30: clears'],
    ],
    [
      'ratio over nothing is no problem',
      RATIO,
      [
        [0, 0],
        [0, 0],
      ],
      [],
    ],
    [
      'ratio over too few',
      { ...RATIO, min_events: 20 },
      [
        [9, 10],
        [18, 20],
      ],
      ['20: fires'],
    ],
    [
      'a low ratio is none either',
      { ...RATIO, condition: '< 50%' },
      [
        [0, 0],
        [1, 4],
      ],
      ['20: fires'],
    ],
    [
      'too few end a problem',
      { ...RATIO, min_events: 20, recovery: '< 1%' },
      [
        [18, 20],
        [9, 10],
      ],
      ['10: fires', '20: clears'],
    ],
    ['over several intervals', { over: 30 }, [4, 4, 4, 4, 0, 0], ['30: fires', '50: clears']],
    [
      'ratio over several',
      { ...RATIO, over: 20 },
      [
        [0, 100],
        [10, 100],
        [0, 100],
        [0, 100],
      ],
      [],
    ],
    [
      'groups on their own',
      { by: 'g' },
      [{ a: 11, b: 1 }, { b: 11 }, {}],
      ['10: a fires', '20: a clears', '20: b fires', '30: b clears'],
    ],
    ['a silent group counts as zero', { by: 'g', condition: '== 0' }, [{ 北京: 1 }, {}], ['20: 北京 fires']],
    [
      'a group that is forgotten',
      { by: 'g', condition: '== 0', forget: 60 },
      [{ a: 1 }, {}, {}, {}, {}, {}, {}, {}],
      ['20: a fires', '70: a clears'],
    ],
  ] as readonly [string, object, Counts[], string[]][]) {
    test(name, () => assert.deepEqual(run(rule(fields), intervals), want));
  }
});

describe('evaluate', () => {
  const counts = fc.array(fc.dictionary(fc.constantFrom('a', 'b', 'c'), fc.nat(20)), { maxLength: 40 });
  test('changes nothing that it is given, and gives the same again', () => {
    fc.assert(
      fc.property(counts, (intervals) => {
        const of = rule({ by: 'g', for: 20, recovery: '< 5', over: 20 });
        let state: RuleState = NO_STATE;
        for (const [index, groups] of intervals.entries()) {
          const before = structuredClone(state);
          const first = evaluate(of, samplesOf(groups), state, (index + 1) * 10_000);
          assert.deepEqual(state, before);
          assert.deepEqual(evaluate(of, samplesOf(groups), structuredClone(state), (index + 1) * 10_000), first);
          state = first.state;
        }
      }),
    );
  });
  test('fires and clears alternate for every group', () => {
    fc.assert(
      fc.property(counts, (intervals) => {
        const last = new Map<string, string>();
        for (const line of run(rule({ by: 'g', recovery: '< 5' }), intervals)) {
          const [, group = '', what = ''] = /^\d+: (\w) (\w+)$/.exec(line) ?? [];
          assert.notEqual(last.get(group) ?? 'clears', what);
          last.set(group, what);
        }
      }),
    );
  });
});
