import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { deleteAt, getAt, parseAccessor, setAt, type Accessor } from './record-accessor.ts';

const parsed = (text: string): Accessor => {
  const accessor = parseAccessor(text);
  assert.ok(typeof accessor === 'string' || !('error' in accessor), text);
  return accessor;
};

describe('record accessor', () => {
  const CASES: ReadonlyArray<readonly [string, Accessor | undefined]> = [
    ['host', 'host'],
    ['a.b[0]', 'a.b[0]'],
    ['$host', '$host'],
    ['', ''],
    ['$.a.b[1][-2].c', ['a', 'b', 1, -2, 'c']],
    ['$.城市.名', ['城市', '名']],
    ["$['a.b'][0][\"it's\"]", ['a.b', 0, "it's"]],
    ["$['']", ['']],
    ['$.a b', undefined],
    ['$.a[x]', undefined],
    ['$.a[0', undefined],
    ['$.', undefined],
    ["$['a'", undefined],
    ["$['a'].b", undefined],
    ['$[\'a"]', undefined],
    ['$[1.5]', undefined],
  ];
  for (const [text, want] of CASES)
    test(text || '(empty)', () => {
      const accessor = parseAccessor(text);
      if (want === undefined) assert.ok(typeof accessor === 'object' && 'error' in accessor);
      else assert.deepEqual(accessor, want);
    });

  test('get, set and delete on nested maps and lists; parents are not made', () => {
    const record = { a: { b: [1, { c: 'x' }] } };
    assert.equal(getAt(record, parsed('$.a.b[1].c')), 'x');
    assert.equal(getAt(record, parsed('$.a.b[-2]')), 1);
    assert.equal(getAt(record, parsed('$.a.b.c')), undefined);
    assert.equal(getAt(record, parsed('$.a.toString')), undefined);
    setAt(record, parsed('$.a.b[1].c'), 'y');
    setAt(record, parsed('$.a.b[7]'), 'far');
    setAt(record, parsed('$.no.such'), 1);
    deleteAt(record, parsed('$.a.b[0]'));
    deleteAt(record, parsed('$.no.such'));
    assert.deepEqual(record, { a: { b: [{ c: 'y' }] } });
  });

  test('__proto__ is a key like any other', () => {
    const record: Record<string, unknown> = {};
    setAt(record, '__proto__', 1);
    setAt({}, parsed('$.__proto__.polluted'), 1);
    assert.deepEqual(Object.keys(record), ['__proto__']);
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  });

  test('any text is parsed or refused; a path in brackets reads back', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseAccessor(`$${text}`)));
    const step = fc.oneof(
      fc.nat(1000),
      fc.string().filter((text) => !/['"]/.test(text)),
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1 }), (path) => {
        assert.deepEqual(
          parseAccessor(`$${path.map((part) => (typeof part === 'number' ? `[${part}]` : `['${part}']`)).join('')}`),
          path,
        );
      }),
    );
  });
});
