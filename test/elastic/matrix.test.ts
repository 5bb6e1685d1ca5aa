import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { FILE, renderGuarantees } from './guarantees.ts';
import { runMatrix, type Result } from './matrix.ts';
import { ROWS } from './rows.ts';

describe('elasticsearch output against a scripted server', () => {
  let results: Result[] = [];
  before(async () => {
    results = await runMatrix();
  });

  for (const [n, row] of ROWS.entries()) {
    test(`${row.group}: ${row.name}`, () => {
      const result = results[n] as Result;
      assert.deepEqual([...result.dead.keys()], row.dead ?? [], 'dead letters');
      assert.equal(result.delivered.length + result.dead.size, result.events, 'every event has one fate');
      assert.equal(result.missing, 0, 'delivered and not there');
      assert.equal(result.twice, row.twice ?? 0, 'stored twice');
      assert.equal(result.metrics['possible_repeats'], row.twice ?? 0, 'counted as perhaps stored twice');
      assert.equal(result.tries, row.tries, 'tries');
    });
  }

  test('docs/guarantees.md is what these runs say (mend with: node test/elastic/guarantees.ts)', () => {
    assert.equal(readFileSync(FILE, 'utf8'), renderGuarantees(results));
  });

  test('what waits for people is said once when it begins and once when it ends', () => {
    const { lines, verdicts } = results.find(({ row }) => row.name === '401, wrong password') as Result;
    assert.deepEqual(
      lines.map(({ level }) => level),
      ['error', 'info'],
    );
    const [first] = verdicts;
    assert.ok(first !== 'delivered' && first?.state === 'stalled' && first.afterMs === 30_000);
  });
});
