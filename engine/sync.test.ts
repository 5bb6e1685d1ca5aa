import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { differences, isInStep, renderSteps, renderStepsJson, type Step } from './sync.ts';

const CASES: ReadonlyArray<readonly [string, readonly Step[], string]> = [
  ['nothing managed', [], 'in step: 0 objects, nothing to do\n'],
  [
    'all kept',
    [{ target: 'kibana', action: 'keep', what: 'dashboard a' }],
    'kibana\n    dashboard a\nin step: 1 objects, nothing to do\n',
  ],
  [
    'every sign, grouped by target',
    [
      { target: 'zabbix', action: 'create', what: 'host group 甲' },
      { target: 'graphite', action: 'delete', what: 'dashboard old' },
      { target: 'zabbix', action: 'change', what: 'template t', detail: 'trigger a: priority\ntrigger b: new' },
      { target: 'zabbix', action: 'keep', what: 'host h' },
    ],
    'zabbix\n  + host group 甲\n  ~ template t\n      trigger a: priority\n      trigger b: new\n    host h\ngraphite\n  - dashboard old\n' +
      '1 to create, 1 to change, 1 to delete, 1 in step\n',
  ],
];

describe('steps of plan and apply', () => {
  for (const [name, steps, want] of CASES) {
    test(name, () => {
      assert.equal(renderSteps(steps), want);
      assert.deepEqual(JSON.parse(renderStepsJson(steps)), { inStep: isInStep(steps), steps });
    });
  }
});

describe('differences', () => {
  for (const [before, after, want] of [
    [{ a: 1 }, { a: 1 }, []],
    [{ a: { b: '5s' } }, { a: { b: '1s' } }, ['a.b: 5s -> 1s']],
    [{ a: [1, 2] }, { a: [2, 1], 乙: true }, ['a: [1,2] -> [2,1]', '乙: absent -> true']],
    [{ a: null }, { a: {} }, ['a: null -> {}']],
    [{ a: 1, b: 1, c: 1 }, {}, ['a: 1 -> absent', 'b: 1 -> absent', 'and 1 more']],
    [{ a: 'x'.repeat(99) }, { a: 1 }, [`a: ${'x'.repeat(57)}... -> 1`]],
  ] as const) {
    test(JSON.stringify([before, after]).slice(0, 60), () => {
      assert.deepEqual(differences(before, after, 2), want);
    });
  }
});
