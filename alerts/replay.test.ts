import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { renderReplay, renderReplayJson, replay, type ReplayEvent } from './replay.ts';
import { parseRules, type Rule } from './rule.ts';

const START = 1_700_000_000;

function load(data: unknown): Rule[] {
  const { rules, problems } = parseRules(data, () => ({ file: '-', line: 1, column: 1 }));
  assert.deepEqual(problems, []);
  return rules;
}

const event = (seconds: number, record: ReplayEvent['record'] = {}, tag = 'app'): ReplayEvent => ({
  tag,
  seconds: START + seconds,
  nanoseconds: 0,
  record,
});
const many = (count: number, of: ReplayEvent): ReplayEvent[] => Array.from({ length: count }, () => of);
const shown = (events: readonly ReplayEvent[], rules: Rule[]): string[] =>
  replay(events, rules).transitions.map(
    ({ rule, group, at, to }) =>
      `${at / 1000 - START} ${rule}${group === '' ? '' : ` ${group}`} ${to === 'firing' ? 'fires' : 'clears'}`,
  );

describe('a log becomes transitions', () => {
  const [burst] = load([{ name: 'burst', measure: 'count', condition: '> 2', every: 10 }]);
  assert.ok(burst !== undefined);
  for (const [name, events, want] of [
    ['nothing', [], []],
    ['the last interval is evaluated', many(3, event(5)), ['10 burst fires']],
    ['a gap is walked through', [...many(3, event(5)), event(95)], ['10 burst fires', '20 burst clears']],
    ['an hour later', [...many(3, event(5)), ...many(3, event(3600))], ['10 burst fires', '20 burst clears', '3610 burst fires']],
    ['out of order within the interval', [event(7), event(3), event(5)], ['10 burst fires']],
    ['too late counts in the open interval', [event(5), event(15), event(1), event(2)], ['20 burst fires']],
  ] as const) {
    test(name, () => assert.deepEqual(shown(events, [burst]), want));
  }
  test('lateness is counted', () => assert.equal(replay([event(5), event(15), event(1)], [burst]).late, 1));
  test('a gap of years ends', () => {
    assert.deepEqual(shown([...many(3, event(0)), ...many(3, event(1e9))], [burst]).length, 3);
  });
  test('the same events give the same, with every interval counted once', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(500), { maxLength: 200 }), (seconds) => {
        const events = seconds.toSorted((a, b) => a - b).map((second) => event(second));
        const first = shown(events, [burst]);
        assert.deepEqual(shown(events, [burst]), first);
        const busy = new Set(
          [...Map.groupBy(seconds, (second) => Math.floor(second / 10))]
            .filter(([, group]) => group.length > 2)
            .map(([interval]) => interval),
        );
        const runs = [...busy].filter((interval) => !busy.has(interval - 1)).length;
        assert.equal(first.filter((line) => line.endsWith('fires')).length, runs);
      }),
    );
  });
});

describe('the rules that come with the product', () => {
  const rules = load((parse(readFileSync(new URL('rules/mission.yaml', import.meta.url), 'utf8')) as { alerts: unknown }).alerts);
  const web = (second: number, status: number): ReplayEvent =>
    event(second, { http: { response: { status_code: status } } }, 'access.nginx');
  const login = (second: number, region: string): ReplayEvent =>
    event(
      second,
      { event: { action: 'login', outcome: 'failure' }, source: { geo: { region_name: region } } },
      'service.accounts',
    );
  const quiet = (from: number, to: number): ReplayEvent[] =>
    Array.from({ length: (to - from) * 4 }, (_, n) => web(from + n / 4, 200));
  const rest = quiet(0, 200);
  const inOrder = (events: ReplayEvent[]): ReplayEvent[] => events.toSorted((a, b) => a.seconds - b.seconds);

  for (const [name, events, want] of [
    ['a quiet day', rest, []],
    ['5 % of errors are not above 5 %', [...rest, ...many(2, web(41, 500))], []],
    ['a burst of errors', [...rest, ...many(10, web(41, 502)), web(55, 503)], ['50 error-ratio fires', '70 error-ratio clears']],
    ['few events say nothing', many(5, web(1, 500)), []],
    ['silence', [...quiet(0, 20), ...quiet(130, 140)], ['80 no-events fires', '140 no-events clears']],
    [
      'log-in failures of one province',
      [...rest, ...many(15, login(12, '浙江')), ...many(8, login(31, '浙江')), ...many(9, login(31, '北京'))],
      ['40 login-failures 浙江 fires', '100 login-failures 浙江 clears'],
    ],
  ] as const) {
    test(name, () => assert.deepEqual(shown(inOrder([...events]), rules), want));
  }
});

describe('what a replay prints', () => {
  const rules = load([
    { name: '5xx', measure: { ratio: 'status >= 500' }, condition: '> 5%', every: 10, by: 'province' },
    { name: 'silence', measure: 'count', condition: '== 0', every: 10 },
  ]);
  const run = replay([event(1, { status: 500, province: '浙江' }), event(25, { status: 200, province: '浙江' })], rules);
  test('a table', () => {
    assert.equal(
      renderReplay(run, rules),
      `TIME                      WHAT    RULE     GROUP  VALUE  WHEN
2023-11-14T22:13:30.000Z  fires   5xx      浙江   100%   > 5%
2023-11-14T22:13:40.000Z  clears  5xx      浙江   -      > 5%
2023-11-14T22:13:40.000Z  fires   silence  -      0      == 0
2023-11-14T22:13:50.000Z  clears  silence  -      1      == 0
2 rules over 2 events (2023-11-14T22:13:21.000Z to 2023-11-14T22:13:45.000Z): fired 2 times
`,
    );
  });
  test('JSON', () => {
    const json = JSON.parse(renderReplayJson(run)) as { events: number; transitions: unknown[] };
    assert.equal(json.events, 2);
    assert.deepEqual(json.transitions[0], {
      rule: '5xx',
      group: '浙江',
      at: '2023-11-14T22:13:30.000Z',
      from: 'ok',
      to: 'firing',
      value: 1,
    });
  });
  test('nothing', () =>
    assert.equal(renderReplay(replay([], rules), rules), '2 rules over 0 events (no events): fired 0 times\n'));
});
