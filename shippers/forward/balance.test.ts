import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Balance } from './balance.ts';

/** `a60 b30 c60s b0!`: name, weight, s for standby, ! for down. */
const members = (text: string): { name: string; weight: number; standby: boolean; isUp: boolean }[] =>
  text.split(' ').map((word) => {
    const [, name = '', weight = '', flags = ''] = /^([a-z])(\d+)([s!]*)$/.exec(word) ?? [];
    return { name, weight: Number(weight), standby: flags.includes('s'), isUp: !flags.includes('!') };
  });

describe('the order in which servers are tried', () => {
  for (const [servers, rounds, want] of [
    ['a60', 3, 'a a a'],
    ['a60 b60', 4, 'ab ba ab ba'],
    ['a60 b30', 3, 'ab ba ab'],
    ['a1 b0', 2, 'a a'],
    ['a60 b60s', 2, 'ab ab'],
    ['a60! b60s', 2, 'ba ba'],
    ['a60! b60 c60s', 2, 'bca cba'],
    ['a30! b60 c60s d60s', 1, 'bcda'],
    ['a60! b60! c30s d30s e30s', 1, 'cdeab'],
    ['a60! b60!', 2, 'ab ab'],
    ['a0', 1, ''],
  ] as const)
    test(servers, () => {
      const balance = new Balance(members(servers));
      const orders = Array.from({ length: rounds }, () =>
        balance
          .order(({ isUp }) => isUp)
          .map(({ name }) => name)
          .join(''),
      );
      assert.equal(orders.join(' '), want);
    });

  test('shares follow the weights', () => {
    const balance = new Balance(members('a60 b30 c10'));
    const counts: Record<string, number> = {};
    for (let n = 0; n < 1000; n++) {
      const name = balance.order(() => true)[0]?.name ?? '';
      counts[name] = (counts[name] ?? 0) + 1;
    }
    assert.deepEqual(counts, { a: 600, b: 300, c: 100 });
  });
});
