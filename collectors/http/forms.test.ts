import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { corsHeaders } from './cors.ts';
import { parseMultipart, parseQuery } from './forms.ts';

const texts = (params: ReadonlyMap<string, Buffer>): Record<string, string> =>
  Object.fromEntries([...params].map(([name, value]) => [name, value.toString('utf8')]));

describe('queries', () => {
  for (const [query, want] of [
    ['', {}],
    ['a=1&b=%E4%B8%AD+x', { a: '1', b: '中 x' }],
    ['a=1&a=2&&c', { a: '1', c: '' }],
    ['a=x=y', { a: 'x=y' }],
    ['a=%&b=%4&c=%zz', { a: '%', b: '%4', c: '%zz' }],
    ['%61=1', { a: '1' }],
  ] as const) {
    test(query, () => assert.deepEqual(texts(parseQuery(Buffer.from(query))), want));
  }
  test('what URLSearchParams writes', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1, unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), (fields) => {
        const query = Buffer.from(new URLSearchParams(fields).toString());
        assert.deepEqual(texts(parseQuery(query)), { ...fields });
      }),
    );
  });
  test('there is an end to parameters', () => {
    const many = Buffer.from(Array.from({ length: 2000 }, (_, n) => `k${n}=1`).join('&'));
    assert.equal(parseQuery(many).size, 1000);
  });
});

describe('multipart', () => {
  const part = (name: string, value: string): string =>
    `--B\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
  for (const [body, want] of [
    [`${part('json', '{"a":1}')}${part('time', '12')}--B--\r\n`, { json: '{"a":1}', time: '12' }],
    [`${part('json', '')}--B--`, { json: '' }],
    [part('json', 'cut'), {}],
    ['--B\r\nno head--B--', {}],
    ['', {}],
  ] as const) {
    test(JSON.stringify(body), () => assert.deepEqual(texts(parseMultipart(Buffer.from(body), 'B', new Map())), want));
  }
});

describe('origins', () => {
  for (const [origins, origin, want] of [
    [undefined, 'https://a', ''],
    [['*'], undefined, '*'],
    [['https://a'], 'https://a', 'https://a'],
    [['https://a'], 'https://ab', undefined],
    [['https://*.a.cn'], 'https://x.y.a.cn', 'https://x.y.a.cn'],
    [['https://*.a.cn'], 'https://a.cn', undefined],
    [['ab*ba'], 'aba', undefined],
    [['https://a'], undefined, undefined],
  ] as const) {
    test(`${origins?.join(',')} ${origin}`, () => {
      const headers = corsHeaders({ cors_allow_origins: origins, cors_allow_credentials: false }, origin);
      assert.equal(headers && (headers['Access-Control-Allow-Origin'] ?? ''), want);
    });
  }
});
