import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EventCursor } from '../engine/events/view.ts';
import { FakeClock, makeBatch, testContext, type TestEvent } from '../engine/testing/driver.ts';
import type { Consumer } from '../engine/component.ts';
import { parseRules, type Rule } from './rule.ts';
import { createRuleConsumer, mergeSamples, OTHER_GROUP, type RulePart } from './samples.ts';

const RULE = { name: 'r', measure: 'count', condition: '> 10', every: 10 };

function rules(...fields: object[]): Rule[] {
  const result = parseRules(fields, () => ({ file: '-', line: 1, column: 1 }));
  assert.deepEqual(result.problems, []);
  return result.rules;
}

/** Lets a consumer see events that entered the log at a time in seconds. */
function observe(consumer: Consumer, seconds: number, events: readonly TestEvent[]): void {
  const cursor = new EventCursor();
  for (const event of events) {
    cursor.open(makeBatch([event], event.tag ?? 'app'));
    cursor.next(0);
    consumer.observe(cursor, seconds * 1000);
  }
}

const START = 1_700_000_000;
const groupsOf = (published: { readonly data: unknown } | undefined): RulePart['groups'] =>
  (published?.data as RulePart | undefined)?.groups ?? [];

describe('what a worker counts', () => {
  test('per interval and group, published when the interval has ended', async () => {
    const ctx = testContext({ metrics: {} }, { clock: new FakeClock(START * 1000) });
    const [rule] = rules({
      ...RULE,
      by: 'source.geo.region_name',
      from: 'app.**',
      measure: { ratio: 'http.status >= 500' },
      condition: '> 5%',
    });
    assert.ok(rule !== undefined);
    const consumer = createRuleConsumer([rule], ctx);
    assert.deepEqual(
      consumer.reads.map((field) => field.text),
      ['http.status', 'source.geo.region_name'],
    );
    const event = (status: number, region: string | undefined, tag = 'app.web'): TestEvent => ({
      tag,
      record: { http: { status }, source: { geo: region === undefined ? {} : { region_name: region } } },
    });
    observe(consumer, START + 1, [
      event(500, '浙江'),
      event(200, '浙江'),
      event(200, '北京'),
      event(500, undefined),
      event(500, '北京', 'other'),
    ]);
    observe(consumer, START + 11, [event(502, '浙江')]);
    consumer.close?.(START * 1000 + 9999);
    assert.deepEqual(ctx.published, []);
    consumer.close?.(START * 1000 + 10_000);
    assert.deepEqual(ctx.published, [
      {
        intervalMs: START * 1000,
        data: {
          rule: 'r',
          groups: [
            ['浙江', 1, 2],
            ['北京', 0, 1],
          ],
        },
      },
    ]);
    consumer.close?.(Infinity);
    assert.deepEqual(ctx.published[1], { intervalMs: (START + 10) * 1000, data: { rule: 'r', groups: [['浙江', 1, 1]] } });
  });
  test('groups are bounded: the rest is counted together', async () => {
    const ctx = testContext({ metrics: {} });
    const consumer = createRuleConsumer(rules({ ...RULE, by: 'ip', max_groups: 2 }), ctx);
    observe(
      consumer,
      START,
      ['a', 'b', 'c', 'a', 'd', 'c'].map((ip) => ({ record: { ip } })),
    );
    consumer.close?.(Infinity);
    assert.deepEqual(groupsOf(ctx.published[0]), [
      ['a', 2, 2],
      ['b', 1, 1],
      [OTHER_GROUP, 3, 3],
    ]);
  });
  test('intervals are bounded: what is older goes to the oldest', async () => {
    const ctx = testContext({ metrics: {} });
    const consumer = createRuleConsumer(rules(RULE), ctx);
    for (let n = 100; n >= 0; n--) observe(consumer, START + n * 10, [{ record: {} }]);
    consumer.close?.(Infinity);
    assert.equal(ctx.published.length, 64);
    assert.deepEqual(groupsOf(ctx.published[0]), [['', 38, 38]]);
  });
  test('group names can stand in an item key', async () => {
    const ctx = testContext({ metrics: {} });
    const consumer = createRuleConsumer(rules({ ...RULE, by: 'g' }), ctx);
    observe(
      consumer,
      START,
      ['a\nb', 'c\\', '', '   ', '省'.repeat(300), 'x"],[y', 7, null, ['l']].map((g) => ({ record: { g } })),
    );
    consumer.close?.(Infinity);
    assert.deepEqual(
      groupsOf(ctx.published[0]).map(([group]) => group),
      ['a b', 'c', '省'.repeat(128), 'x"],[y', '7'],
    );
  });
  test('a snapshot goes on where it was taken', async () => {
    const ctx = testContext({ metrics: {} });
    const first = createRuleConsumer(rules(RULE, { ...RULE, name: 'gone' }), ctx);
    observe(first, START, [{ record: {} }, { record: {} }]);
    const second = createRuleConsumer(rules(RULE), ctx);
    second.restore?.(first.snapshot?.());
    second.restore?.(undefined);
    observe(second, START + 1, [{ record: {} }]);
    second.close?.(Infinity);
    assert.deepEqual(ctx.published, [{ intervalMs: START * 1000, data: { rule: 'r', groups: [['', 3, 3]] } }]);
  });
});

describe('parts of several workers', () => {
  const [rule] = rules({ ...RULE, by: 'g', max_groups: 2 });
  assert.ok(rule !== undefined);
  for (const [name, parts, known, want] of [
    ['none', [], [], []],
    ['one group in two workers', [[['a', 1, 2]], [['a', 3, 4]]], [], [['a', 4, 6]]],
    [
      'more groups than allowed',
      [
        [
          ['a', 1, 1],
          ['b', 1, 1],
        ],
        [
          ['c', 2, 2],
          ['d', 3, 3],
        ],
      ],
      [],
      [
        ['a', 1, 1],
        ['b', 1, 1],
        [OTHER_GROUP, 5, 5],
      ],
    ],
    [
      'known groups keep their place',
      [
        [
          ['a', 1, 1],
          ['b', 1, 1],
          ['c', 2, 2],
        ],
      ],
      ['c', 'b'],
      [
        [OTHER_GROUP, 1, 1],
        ['b', 1, 1],
        ['c', 2, 2],
      ],
    ],
  ] as const) {
    test(name, () => {
      const merged = mergeSamples(
        rule,
        parts.map((groups) => ({ rule: 'r', groups })),
        new Set(known),
      );
      assert.deepEqual(
        merged.map(({ group, matched, total }) => [group, matched, total]),
        want,
      );
    });
  }
});
