import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FakeClock, testContext } from '../engine/testing/driver.ts';
import type { Transition } from './evaluate.ts';
import { parseRules } from './rule.ts';
import { RuleScheduler, showValue, type RuleItem } from './schedule.ts';

const START_MS = 1_700_000_000_000;

function make(fields: object = {}) {
  const { rules, problems } = parseRules([{ name: 'r', measure: 'count', condition: '> 10', every: 10, ...fields }], () => ({
    file: '-',
    line: 1,
    column: 1,
  }));
  assert.deepEqual(problems, []);
  const clock = new FakeClock(START_MS);
  const { log, lines } = testContext({ metrics: {} });
  const items: RuleItem[] = [];
  const transitions: Transition[] = [];
  const scheduler = new RuleScheduler({
    rules,
    clock,
    log,
    host: 'mill',
    send: (more) => items.push(...more),
    onTransition: (transition) => transitions.push(transition),
  });
  const count = (seconds: number, n: number, group = ''): void =>
    scheduler.take(START_MS + seconds * 1000, { rule: 'r', groups: [[group, n, n]] });
  const sent = (): string[] =>
    items.splice(0).map(({ host, key, value, clock: at }) => `${host} ${at - START_MS / 1000} ${key} ${value}`);
  return { scheduler, clock, lines, items, transitions, count, sent, rules };
}

describe('intervals in the main thread', () => {
  test('are closed after a grace, with the sum of all workers', () => {
    const { scheduler, clock, count, sent, transitions, lines } = make();
    scheduler.start();
    scheduler.start();
    count(0, 6);
    count(0, 5);
    clock.advance(11_000);
    assert.deepEqual(sent(), []);
    clock.advance(500);
    assert.deepEqual(sent(), [
      'mill 10 millrace.rule.state[r] 1',
      'mill 10 millrace.rule.value[r] 11',
      'mill 10 millrace.rules.alive 1',
    ]);
    clock.advance(10_000);
    assert.deepEqual(sent(), [
      'mill 20 millrace.rule.state[r] 0',
      'mill 20 millrace.rule.value[r] 0',
      'mill 20 millrace.rules.alive 1',
    ]);
    assert.deepEqual(
      transitions.map(({ at, to }) => [at - START_MS, to]),
      [
        [10_000, 'firing'],
        [20_000, 'ok'],
      ],
    );
    assert.deepEqual(
      lines.map(({ level, message }) => [level, message]),
      [
        ['warn', 'rule is firing'],
        ['info', 'rule is ok again'],
      ],
    );
    scheduler.stop();
    scheduler.stop();
    clock.advance(60_000);
    assert.deepEqual(sent(), []);
  });
  test('late parts go to the next interval, very late ones are counted as lost', () => {
    const { scheduler, clock, count, sent } = make();
    scheduler.start();
    clock.advance(72_000);
    sent();
    count(60, 4);
    count(70, 7);
    count(-10, 50);
    scheduler.take(START_MS, 'nonsense');
    scheduler.take(START_MS, { rule: 'unknown', groups: [] });
    assert.deepEqual(scheduler.lateness, { late: 1, lost: 3 });
    clock.advance(9500);
    assert.match(sent().join(), /value\[r\] 11/);
    scheduler.stop();
  });
  test('a part of the future counts now', () => {
    const { scheduler, clock, count, sent } = make();
    scheduler.start();
    count(86_400, 3);
    clock.advance(11_500);
    assert.match(sent().join(), /value\[r\] 3/);
    scheduler.stop();
  });
  test('a long sleep is not evaluated interval by interval', () => {
    const { scheduler, clock, sent, lines } = make();
    clock.advance(86_400_000);
    scheduler.tick();
    assert.equal(sent().length, 2 * 60 + 1);
    assert.deepEqual(
      lines.map((line) => line.message),
      ['rule skipped intervals, the process or the machine was asleep'],
    );
  });
});

describe('groups', () => {
  test('are announced when they change and each hour, and reported each interval', () => {
    const { scheduler, clock, count, sent } = make({ by: 'g', forget: '2h' });
    scheduler.start();
    count(0, 11, '浙江');
    clock.advance(11_500);
    assert.deepEqual(sent(), [
      'mill 10 millrace.rule.state[r,"浙江"] 1',
      'mill 10 millrace.rule.value[r,"浙江"] 11',
      'mill 10 millrace.rule.groups[r] [{"{#GROUP}":"浙江"}]',
      'mill 10 millrace.rules.alive 1',
    ]);
    count(10, 1, 'a"b');
    clock.advance(10_000);
    assert.deepEqual(sent(), [
      'mill 20 millrace.rule.state[r,"浙江"] 0',
      'mill 20 millrace.rule.value[r,"浙江"] 0',
      'mill 20 millrace.rule.state[r,"a\\"b"] 0',
      'mill 20 millrace.rule.value[r,"a\\"b"] 1',
      'mill 20 millrace.rule.groups[r] [{"{#GROUP}":"a\\"b"},{"{#GROUP}":"浙江"}]',
      'mill 20 millrace.rules.alive 1',
    ]);
    clock.advance(3_600_000);
    assert.equal(sent().filter((line) => line.includes('groups[r]')).length, 1);
    scheduler.stop();
  });
  test('a forgotten group has its problem ended', () => {
    const { scheduler, clock, count, sent } = make({ by: 'g', condition: '== 0', forget: 60 });
    scheduler.start();
    count(0, 1, 'a');
    clock.advance(61_500);
    assert.match(sent().at(-3) ?? '', /state\[r,"a"\] 1/);
    clock.advance(10_000);
    assert.deepEqual(sent(), [
      'mill 70 millrace.rule.state[r,"a"] 0',
      'mill 70 millrace.rule.value[r,"a"] 0',
      'mill 70 millrace.rule.groups[r] []',
      'mill 70 millrace.rules.alive 1',
    ]);
    assert.deepEqual(scheduler.status(), []);
    scheduler.stop();
  });
});

describe('values', () => {
  for (const [measure, condition, value, want] of [
    ['count', '> 1', 12, '12'],
    ['rate', '> 1', 0.5, '0.5/s'],
    [{ rate: { per: '1m' } }, '> 1', 1.234_56, '1.235/min'],
    [{ ratio: 'a: 1' }, '> 1%', 0.0731, '7.31%'],
    [{ ratio: 'a: 1' }, '> 1%', undefined, '-'],
  ] as const) {
    test(want, () => {
      const { rules } = make({ measure, condition });
      assert.ok(rules[0] !== undefined);
      assert.equal(showValue(rules[0], value), want);
    });
  }
  test('a ratio is a percentage in Zabbix, and nothing is zero', () => {
    const { scheduler, clock, sent } = make({ measure: { ratio: 'a: 1' }, condition: '> 1%' });
    scheduler.take(START_MS, { rule: 'r', groups: [['', 7, 100]] });
    clock.advance(22_000);
    scheduler.tick();
    assert.deepEqual(
      sent().filter((line) => line.includes('value')),
      ['mill 10 millrace.rule.value[r] 7', 'mill 20 millrace.rule.value[r] 0'],
    );
    assert.equal(scheduler.status()[0]?.condition, '> 1%');
  });
});
