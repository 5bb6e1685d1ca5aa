import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { applyTargets, BOARDS, checkBoards, planTargets, targetsSchema } from './targets.ts';

describe('targets together', () => {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-targets-'));
  const desired = { baseDir: dir, boards: BOARDS, rules: [] };
  after(() => {
    rmSync(dir, { recursive: true });
  });

  test('the boards ask only for fields that the templates know', () => {
    assert.deepEqual(checkBoards(), []);
  });

  test('no targets, nothing to do', async () => {
    assert.deepEqual(await planTargets(targetsSchema.parse({}), desired), []);
  });

  test('plan writes nothing, apply does, the second plan is empty', async () => {
    const targets = targetsSchema.parse({ kibana: { file: 'boards.ndjson' } });
    const actions = async (run: typeof planTargets) =>
      (await run(targets, desired)).flatMap((outcome) => outcome.steps.map((step) => step.action));
    assert.deepEqual(await actions(planTargets), ['create']);
    assert.equal(existsSync(join(dir, 'boards.ndjson')), false);
    assert.deepEqual(await actions(applyTargets), ['create']);
    assert.deepEqual(await actions(planTargets), ['keep']);
  });

  test('one target that cannot be planned: the others are shown, nothing is applied', async () => {
    const targets = targetsSchema.parse({
      kibana: { file: 'other.ndjson' },
      graphite: { url: 'http://127.0.0.1:1' },
      zabbix: { url: 'http://127.0.0.1:1', token: 't' },
    });
    const outcomes = await applyTargets(targets, desired);
    assert.deepEqual(
      outcomes.map(({ target, steps, failure }) => [target, steps.length, failure?.code]),
      [
        ['kibana', 1, undefined],
        ['graphite', 0, 'MR_CONNECT'],
        ['zabbix', 0, 'MR_CONNECT'],
      ],
    );
    assert.equal(existsSync(join(dir, 'other.ndjson')), false);
  });

  for (const [input, message] of [
    [{ elastic: {} }, /elastic/],
    [{ graphite: {} }, /url/],
    [{ kibana: {} }, /expected `url` or `file`/],
  ] as const) {
    test(`refuses ${JSON.stringify(input)}`, () => {
      assert.match(targetsSchema.safeParse(input).error?.message ?? '', message);
    });
  }
});
