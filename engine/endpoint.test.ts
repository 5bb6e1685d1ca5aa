import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { httpUrl, withoutSecrets } from './endpoint.ts';

describe('endpoints', () => {
  for (const [given, want] of [
    ['http://127.0.0.1:9200', 'http://127.0.0.1:9200'],
    ['http://127.0.0.1:9200/', 'http://127.0.0.1:9200'],
    ['127.0.0.1:9200', 'http://127.0.0.1:9200'],
    ['https://u:p@search.example/es//', 'https://u:p@search.example/es'],
    ['ftp://search.example', undefined],
    ['http://', undefined],
    ['', undefined],
    [7, undefined],
  ] as const) {
    test(`URL ${given}`, () => {
      assert.equal(httpUrl().safeParse(given).data, want);
    });
  }

  for (const [given, want] of [
    ['https://u:p@search.example/es/?token=t', 'https://search.example/es'],
    ['http://127.0.0.1:9200', 'http://127.0.0.1:9200'],
    ['u:p@no url', 'no url'],
  ] as const) {
    test(`shown ${given}`, () => {
      assert.equal(withoutSecrets(given), want);
    });
  }

  test('a refused URL does not show its password', () => {
    const { error } = httpUrl().safeParse('ftp://u:hunter2@search.example');
    assert.doesNotMatch(error?.message ?? '', /hunter2/);
  });
});
