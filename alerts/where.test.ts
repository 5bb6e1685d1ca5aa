import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { compileWhere, RecordReader } from './match.ts';
import { fieldsOf, parseWhere, renderWhereError } from './where.ts';

const EVENT = {
  status: 503,
  code: '503',
  level: 'ERROR',
  path: '/api/v1/orders',
  message: 'say "hi" * 北京',
  empty: '',
  gone: null,
  tags: ['a', 'b', 7],
  http: { response: { status_code: 500 } },
  'http.flat': 'x',
  ok: true,
  not: 5,
};

describe('conditions hold or not', () => {
  for (const [text, want] of [
    ['*', true],
    ['status >= 503', true],
    ['status > 503', false],
    ['status<504', true],
    ['status <= 502', false],
    ['code >= 500', true],
    ['level > 3', false],
    ['status: 503', true],
    ['status: 503.0', true],
    ['code: 503', true],
    ['status: "503"', true],
    ['status: 50', false],
    ['level: ERROR', true],
    ['level: error', false],
    ['level: (WARN or ERROR)', true],
    ['level: (WARN or FATAL)', false],
    ['tags: (a and b)', true],
    ['tags: c', false],
    ['tags > 6', true],
    ['path: /api/*', true],
    ['path: *orders', true],
    ['path: /*/v1/*', true],
    ['path: /api/*/api', false],
    ['path: "/api/*"', false],
    ['path: *', true],
    ['empty: *', true],
    ['empty: ""', true],
    ['gone: *', false],
    ['missing: *', false],
    ['not missing: *', true],
    ['not status: 503', false],
    ['not not status: 503', true],
    ['http.response.status_code: 500', true],
    ['http.flat: x', true],
    ['http: *', true],
    ['"http.flat": x', true],
    ['ok: true', true],
    ['not: 5', true],
    ['status: 1 or status: 503 and level: ERROR', true],
    ['(status: 1 or status: 503) and level: WARN', false],
    ['status: 503 AND level: ERROR', true],
    ['message: *\\"hi\\"*', true],
    ['message: *\\**北京', true],
    ['message: "say \\"hi\\" * 北京"', true],
    ['a\\*b: 1', false],
    ['__proto__: *', false],
    ['constructor: *', false],
  ] as const) {
    test(text, () => {
      const where = parseWhere(text);
      assert.ok('op' in where, 'error' in where ? where.error : '');
      assert.equal(compileWhere(where)(new RecordReader().read(EVENT)), want);
    });
  }
});

describe('wrong conditions say what and where', () => {
  for (const [text, offset, error] of [
    ['', 0, /expected a condition/],
    ['  ', 0, /expected a condition/],
    ['status', 6, /expected : > >= < <= after `status`/],
    ['status >', 8, /expected a number after `>`/],
    ['status >= high', 10, /expected a number after `>=`/],
    ['status = 5', 7, /field: value/],
    ['status != 5', 7, /field: value/],
    ['status: 5 level: 6', 10, /expected `and`, `or` or the end, not `level`/],
    ['(status: 5', 10, /expected `\)`/],
    ['status: 5)', 9, /not `\)`/],
    ['status: (5 or', 13, /expected a value/],
    ['a: "b', 3, /not closed/],
    ['a: {b: 1}', 3, /nested groups/],
    ['a*: 1', 0, /field name with \*/],
    ['and', 3, /expected :/],
    ['a: 1 and', 8, /expected a field/],
    ['x'.repeat(5000), 4096, /at most 4096/],
    ['('.repeat(200), 65, /at most 64 deep/],
    ['not '.repeat(200), 260, /at most 64 deep/],
  ] as const) {
    test(text.slice(0, 30) || 'empty', () => {
      const result = parseWhere(text);
      assert.ok('error' in result);
      assert.match(result.error, error);
      assert.equal(result.offset, offset);
    });
  }
  test('the caret stands below the place, also after wide characters', () => {
    assert.equal(renderWhereError('省份: x y', { error: 'wrong', offset: 6 }), `wrong\n  省份: x y\n  ${' '.repeat(8)}^`);
  });
});

describe('any condition', () => {
  test('is read or refused within its length, and never throws', () => {
    const pieces = fc.array(
      fc.constantFrom('a', ':', '(', ')', ' and ', ' or ', 'not ', '*', '"', '\\', '>', '<=', '5', ' ', '甲', '{'),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          pieces.map((list) => list.join('')),
        ),
        (text) => {
          const where = parseWhere(text);
          if ('error' in where) return assert.ok(where.offset >= 0 && where.offset <= text.length);
          assert.equal(typeof compileWhere(where)(new RecordReader().read(EVENT)), 'boolean');
        },
      ),
    );
  });
  test('wildcards match what the same regular expression matches', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 8 });
    fc.assert(
      fc.property(fc.array(letters, { minLength: 2, maxLength: 4 }), letters, (parts, value) => {
        const where = parseWhere(`f: x${parts.join('*')}`);
        assert.ok('op' in where);
        const want = new RegExp(`^x${parts.join('.*')}$`).test(`x${value}`);
        assert.equal(compileWhere(where)(new RecordReader().read({ f: `x${value}` })), want);
      }),
    );
  });
  test('names the fields it reads', () => {
    const where = parseWhere('a > 1 and not (b.c: x* or a: *) or "d e": (1 or 2)');
    assert.ok('op' in where);
    assert.deepEqual([...fieldsOf(where)], ['a', 'b.c', 'd e']);
  });
});
