import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Account, sumOf } from './accounts.ts';

test('reasons without end are counted as other', () => {
  const account = new Account();
  for (let n = 0; n < 100; n++) account.drop(`reason ${n}`, 2);
  account.drop('reason 0', 1);
  assert.equal(Object.keys(account.dropped).length, 33);
  assert.deepEqual([account.dropped['reason 0'], account.dropped['other'], sumOf(account.dropped)], [3, 136, 201]);
});
