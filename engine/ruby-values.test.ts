import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { rubyFloat, rubyInteger, rubySplit, rubyText } from './ruby-values.ts';

describe('text', () => {
  for (const [value, want] of [
    ['a"b', 'a"b'],
    [null, ''],
    [undefined, ''],
    [true, 'true'],
    [12, '12'],
    [0.1, '0.1'],
    [1e-7, '1.0e-07'],
    [1.5e300, '1.5e+300'],
    [-Infinity, '-Infinity'],
    [12345678901234567890n, '12345678901234567890'],
    [['x', null, 1], '["x", nil, 1]'],
    [{ a: { b: 'é"\n#{x}' } }, '{"a"=>{"b"=>"é\\"\\n\\#{x}"}}'],
    [{}, '{}'],
  ] as const) {
    test(JSON.stringify(want), () => assert.equal(rubyText(value), want));
  }
});

describe('numbers', () => {
  for (const [value, integer, float] of [
    ['12abc', 12, 12],
    [' -3.5e2x', -3, -350],
    ['abc', 0, 0],
    ['', 0, 0],
    ['1_000.5', 1000, 1000.5],
    ['.5', 0, 0.5],
    ['0x1A', 0, 0],
    [-2.7, -2, -2.7],
    [Number.NaN, 0, Number.NaN],
    [true, 0, 0],
    [{ a: 1 }, 0, 0],
    ['12345678901234567890', 12345678901234567890n, 1.2345678901234567e19],
  ] as const) {
    test(JSON.stringify(typeof value === 'number' ? String(value) : value), () => {
      assert.equal(rubyInteger(value), integer);
      assert.equal(rubyFloat(value), float);
    });
  }
});

describe('split', () => {
  for (const [text, delimiter, want] of [
    ['/,/user', ',', ['/', '/user']],
    [',a,,', ',', ['', 'a']],
    ['', ',', []],
    ['  a  b ', ' ', ['a', 'b']],
  ] as const) {
    test(JSON.stringify(text), () => assert.deepEqual(rubySplit(text, delimiter), want));
  }
});
