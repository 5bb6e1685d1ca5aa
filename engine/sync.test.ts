import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isInStep, renderSteps, renderStepsJson, type Step } from './sync.ts';

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

void describe('steps of plan and apply', () => {
  for (const [name, steps, want] of CASES) {
    void test(name, () => {
      assert.equal(renderSteps(steps), want);
      assert.deepEqual(JSON.parse(renderStepsJson(steps)), { inStep: isInStep(steps), steps });
    });
  }
});
