import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { compilePattern } from './match-pattern.ts';

const matches = (pattern: string, tag: string): boolean | string => {
  const matcher = compilePattern(pattern);
  return 'error' in matcher ? matcher.error : matcher(tag);
};

describe('match patterns', () => {
  const CASES: ReadonlyArray<readonly [string, readonly string[], readonly string[]]> = [
    ['', ['', 'a', 'a.b'], []],
    ['web.access', ['web.access'], ['web', 'web.access.log', 'web-access']],
    ['web.*', ['web.a', 'web.'], ['web', 'web.a.b']],
    ['web.**', ['web', 'web.a', 'web.a.b'], ['website']],
    ['**.error', ['error', 'a.error', 'a.b.error'], ['aerror', 'a.error.b']],
    ['日志.*', ['日志.杭州'], ['日志', '日志.a.b']],
    ['{a,b.{c,d}}.*', ['a.x', 'b.c.x', 'b.d.x'], ['b.x', 'b.c']],
    ['a  b.*\tc', ['a', 'b.x', 'c'], ['b', 'a b.x']],
    ['a,b', ['a,b'], ['a', 'b']],
    ['\\*', ['*'], ['a', '']],
    ['a.', ['a'], ['a.']],
    ['/web\\.(?:a|b)/', ['web.a', 'web.b'], ['web.ab', 'xweb.a']],
    ['/a|b/', ['a', 'b'], ['ab', 'axx', 'xxb']],
    ['a.{', ['a.'], ['a']],
    ['a*****b', ['ab', 'a.x.b'], ['a.x']],
    ['**.**.**.b', ['b', 'a.b', 'a.x.b'], ['ab']],
    ['{a,b}*.' + '*'.repeat(100), ['a.b', 'bx.y.z'], [`c.${'x.'.repeat(60)}`]],
  ];
  for (const [pattern, taken, refused] of CASES)
    test(JSON.stringify(pattern), () => {
      for (const tag of taken) assert.equal(matches(pattern, tag), true, tag);
      for (const tag of refused) assert.equal(matches(pattern, tag), false, tag);
    });

  for (const pattern of ['/a', '/', '/(/', '{'.repeat(40)])
    test(`refused: ${pattern}`, () => assert.ok('error' in compilePattern(pattern)));

  test('any text is compiled or refused; a tag without special characters matches itself', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...Array.from('abz09.*{},\\/[]()^$ 日中😀\u2028\n')) }),
        fc.string(),
        (pattern, tag) => {
          assert.notEqual(matches(pattern, tag), undefined);
        },
      ),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z0-9_-]{1,8}(\.[a-z0-9_-]{1,8}){0,4}$/), (tag) => {
        assert.equal(matches(tag, tag), true);
        assert.equal(matches(`${tag}.**`, tag), true);
        assert.equal(matches(`x ${tag}`, tag), true);
      }),
    );
  });
});
