import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ERROR_CODES, MillraceError } from '../engine/errors.ts';
import { fitted, showError, table, visible, widthOf, wrapped } from './output.ts';

describe('nothing from the network acts on the terminal', () => {
  for (const [text, want] of [
    ['plain 中文\tand\nlines', 'plain 中文\tand\nlines'],
    ['\u001b[31mred', '\\u{1b}[31mred'],
    ['\r overwritten', '\\u{d} overwritten'],
    ['\u202egnp.exe', '\\u{202e}gnp.exe'],
    ['\u009b31m', '\\u{9b}31m'],
    ['\0', '\\u{0}'],
  ] as const) {
    test(JSON.stringify(text), () => assert.equal(visible(text), want));
  }
});

describe('columns', () => {
  for (const [text, want] of [
    ['', 0],
    ['abc', 3],
    ['浙江', 4],
    ['é', 1],
    ['e\u0301', 1],
    ['한', 2],
    ['😀', 2],
  ] as const) {
    test(`width of ${JSON.stringify(text)}`, () => assert.equal(widthOf(text), want));
  }

  test('numbers to the right, Chinese in line', () => {
    assert.equal(
      table(
        ['REGION', 'COUNT', 'NOTE'],
        [
          ['浙江', 5, 'a'],
          ['Texas', 1200, ''],
        ],
      ),
      'REGION  COUNT  NOTE\n浙江        5  a\nTexas    1200\n',
    );
  });
  test('no rows', () => assert.equal(table(['A', 'B'], []), 'A  B\n'));
});

describe('an error is shown with its code and its remedy', () => {
  const shown = (error: unknown): [string, number] => {
    let text = '';
    const code = showError(error, (part) => (text += part));
    return [text, code];
  };
  test('one of ours', () => {
    const [text, code] = shown(new MillraceError('MR_CONNECT', 'cannot connect to 127.0.0.1:1'));
    assert.equal(text, `error[MR_CONNECT]: cannot connect to 127.0.0.1:1\n  fix: ${ERROR_CODES.MR_CONNECT.remedy}\n`);
    assert.equal(code, 69);
  });
  test('several lines start on a line of their own', () => {
    const [text, code] = shown(new MillraceError('MR_CONFIG', 'a.conf:1:1: error: x\na.conf:2:1: error: y'));
    assert.ok(text.startsWith('error[MR_CONFIG]: \na.conf:1:1: error: x\n'));
    assert.equal(code, 78);
  });
  test('anything else is a defect of ours, without its stack', () => {
    const [text, code] = shown(new TypeError('x is not a function'));
    assert.match(text, /^error\[MR_INTERNAL\]: x is not a function\n {2}fix: /);
    assert.doesNotMatch(text, /\n\s+at /);
    assert.equal(code, 70);
  });
  test('a full disk', () => {
    const [text, code] = shown(Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' }));
    assert.match(text, /^error\[MR_DISK\]: ENOSPC: no space left on device, write\n {2}fix: /);
    assert.equal(code, 74);
  });
  test('a message with escapes', () => assert.match(shown(new MillraceError('MR_CONNECT', '\u001b[2J'))[0], /\\u\{1b\}\[2J/));
});

describe('what fits', () => {
  for (const [text, width, want] of [
    ['abc', 3, 'abc'],
    ['abcd', 3, 'ab…'],
    ['浙江省', 6, '浙江省'],
    ['浙江省', 5, '浙江…'],
    ['浙江省', 4, '浙…'],
    ['abc', Infinity, 'abc'],
  ] as const)
    test(`${text} in ${width}`, () => assert.equal(fitted(text, width), want));
});

describe('lines of words', () => {
  for (const [text, width, indent, want] of [
    ['', 10, 0, ''],
    ['a b c', Infinity, 0, 'a b c'],
    ['aaa bbb ccc', 7, 2, 'aaa bbb\n  ccc'],
    ['aaa bbb ccc ddd', 7, 2, 'aaa bbb\n  ccc\n  ddd'],
    ['浙江省 杭州市', 10, 0, '浙江省\n杭州市'],
    ['a-word-that-is-longer x', 5, 0, 'a-word-that-is-longer\nx'],
  ] as const)
    test(`${JSON.stringify(text)} in ${width}`, () => assert.equal(wrapped(text, width, indent), want));
});
