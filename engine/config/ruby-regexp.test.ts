import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { translateRubyRegexp } from './ruby-regexp.ts';

describe('regular expressions of Ruby', () => {
  /** Source, flags, text, what the whole match is (undefined: none). */
  const CASES: ReadonlyArray<readonly [string, string, string, string | undefined]> = [
    ['^b$', '', 'a\nb\nc', 'b'],
    ['^b$', '', 'a b', undefined],
    ['a.b', '', 'a\rb', 'a\rb'],
    ['a.b', '', 'a\nb', undefined],
    ['a.b', 'm', 'a\nb', 'a\nb'],
    ['(?m:.)x', '', '\nx', '\nx'],
    ['\\Aa\\Z', '', 'a\n', 'a'],
    ['\\Aa\\z', '', 'a\n', undefined],
    ['\\h+', '', 'xyz1aFg', '1aF'],
    ['[^\\h]+', '', '1axyz', 'xyz'],
    ['\\s', '', '\u3000', undefined],
    ['[[:space:]]', '', '\u3000', '\u3000'],
    ['[[:alpha:]]+', '', '12杭州3', '杭州'],
    ['[[:^digit:]]+', '', '12ab', 'ab'],
    ['\\p{Han}+', '', 'abc杭州', '杭州'],
    ['[a-z&&[^aeiou]]+', '', 'aebcd', 'bcd'],
    ['[]a]+', '', 'x]a', ']a'],
    ['[a\\-z]+', '', 'b-z', '-z'],
    ['[\\w.%+-]+@[\\w.-]+', '', 'to a.b+c@d-e.f!', 'a.b+c@d-e.f'],
    ['a(?i)b|C', '', 'xac', 'ac'],
    ['(?i:A)b', '', 'ab', 'ab'],
    ['(?i:A)b', '', 'aB', undefined],
    ['A', 'i', 'a', 'a'],
    ['(?x) a \\  b # why\n c', '', 'a bc', 'a bc'],
    ['a b', 'x', 'ab', 'ab'],
    ['"(?>[^"]|\\\\")*"', '', '"ab"', '"ab"'],
    ['a++ab', '', 'aaab', undefined],
    ['(a)++(b)\\2', '', 'aabb', 'aabb'],
    ['(?<q>[\'"])(x)\\k<q>', '', "'x'", "'x'"],
    ['a{,2}b', '', 'aaab', 'aab'],
    ['{"a":\\d}', '', '{"a":1}', '{"a":1}'],
    ['a{2}{2}', '', 'aaaaa', 'aaaa'],
    ['x\\/y\\-z\\ \\"\\#', '', 'x/y-z "#', 'x/y-z "#'],
    ['\\x41\\u4e2d\\u{62 63}\\t', '', 'A中bc\t', 'A中bc\t'],
    ['a(?#note)b', '', 'ab', 'ab'],
    ['\\Ra', '', '\r\na', '\r\na'],
    ['😀+', '', 'x😀😀', '😀😀'],
    ['', '', 'a', ''],
  ];
  for (const [source, flags, text, want] of CASES)
    test(`/${source}/${flags} on ${JSON.stringify(text)}`, () => {
      const regexp = translateRubyRegexp(source, flags);
      assert.ok(typeof regexp !== 'string', String(regexp));
      assert.equal(regexp.exec(text)?.[0], want);
    });

  test('plain groups do not capture beside named ones', () => {
    const regexp = translateRubyRegexp('(a)(?<n>b)(?:c)');
    assert.ok(typeof regexp !== 'string');
    assert.deepEqual([...(regexp.exec('abc') ?? [])], ['abc', 'b']);
  });

  test('on single lines the anchors are plain', () => {
    const regexp = translateRubyRegexp('^a$', '', { singleLine: true });
    assert.equal(String(regexp), '/^a$/v');
  });

  for (const source of [
    '(',
    ')',
    'a)',
    '[',
    '[b-a]',
    '*a',
    '\\',
    '(?<1a>x)',
    '(?~a)',
    '\\g<a>',
    '(?(1)a|b)',
    '(?<a>x)\\1',
    '\\1',
    '[[:nope:]]',
    '\\p{Nope}',
    '\\xg',
    '('.repeat(200),
    'a{2,1}',
  ])
    test(`refused: ${source.slice(0, 20)}`, () => assert.equal(typeof translateRubyRegexp(source), 'string'));

  test('any text is translated or refused', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '(',
        ')',
        '[',
        ']',
        '^',
        '$',
        '\\',
        '{',
        '}',
        '-',
        '&&',
        '(?',
        '(?<a>',
        '(?i)',
        '*',
        '+',
        '?',
        '|',
        'a',
        '[:alpha:]',
        '\\k<a>',
        '\\1',
        '\\p{L}',
        '1,2',
      ),
      fc.string({ unit: fc.constantFrom(...Array.from('abz09.*{},\\/[]()^$ 日中😀\u2028\n')) }),
    );
    fc.assert(
      fc.property(fc.array(piece), (parts) => void translateRubyRegexp(parts.join(''))),
      { numRuns: 300 },
    );
  });

  test('what has no special meaning matches itself', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        const regexp = translateRubyRegexp(text.replaceAll(/[\\^$.*+?()[\]{}|/#\s&~-]/g, '\\$&'));
        assert.ok(typeof regexp !== 'string', String(regexp));
        assert.equal(regexp.exec(`<${text}>`)?.[0], text);
      }),
    );
  });
});
