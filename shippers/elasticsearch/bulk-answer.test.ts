import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { readBulkAnswer, readError } from './bulk-answer.ts';

describe('answers', () => {
  test('every item is acted on by its position', () => {
    const parsing = {
      type: 'document_parsing_exception',
      reason: 'failed to parse',
      caused_by: { type: 'y', reason: 'For input string: "z"' },
    };
    const answer = {
      took: 1,
      errors: true,
      items: [
        { create: { status: 201, _index: '.ds-a-000002' } },
        { create: { status: 409, error: { type: 'version_conflict_engine_exception', reason: 'there' } } },
        { create: { status: 429, error: { type: 'x', reason: 'full' } } },
        { create: { status: 400, error: parsing } },
        { index: { status: 400, error: 'a text' } },
        { create: { status: 201, failure_store: 'used', _index: '.fs-a-000001' } },
        { create: { status: 404, error: { type: 'index_not_found_exception', reason: 'no such index [甲]' } } },
      ],
    };
    const outcome = readBulkAnswer(JSON.stringify(answer), 7, 'create');
    assert.deepEqual(outcome, {
      stored: 2,
      repeated: 1,
      inFailureStore: 1,
      retry: [2, 6],
      refused: [
        { index: 3, reason: '400 document_parsing_exception: failed to parse; For input string: "z"', cause: 'mapping' },
        { index: 4, reason: '400 error: a text', cause: 'mapping' },
      ],
      causes: new Map([
        ['overload', 1],
        ['index', 1],
      ]),
      reason: '429 x: full',
      isOverloaded: true,
      waiting: 'index',
      storedIn: new Map([
        ['.ds-a-000002', 1],
        ['.fs-a-000001', 1],
      ]),
    });
  });

  test('all stored is told without reading each item', () => {
    const text = '{"took":3,"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}}]}';
    assert.equal(readBulkAnswer(text, 2, 'create')?.stored, 2);
    assert.equal(readBulkAnswer(text, 3, 'create'), undefined);
  });

  for (const [name, text] of [
    ['one item less', '{"errors":false,"items":[{"create":{"status":201}}]}'],
    ['one item more', '{"errors":true,"items":[{},{},{}]}'],
    ['no items', '{"errors":false}'],
    ['cut off', `{"errors":false,"items":[{"create":{"status":201}},{"create":{"st`],
    ['a page of a proxy', '<html>'],
    ['null', 'null'],
    ['nothing', ''],
  ] as const) {
    test(`${name}: nobody knows what was stored`, () => assert.equal(readBulkAnswer(text, 2, 'create'), undefined));
  }

  test('reasons are cut, whatever the server quotes in them', () => {
    const error = { type: 'document_parsing_exception', reason: '中'.repeat(40_000) };
    const text = JSON.stringify({ errors: true, items: [{ create: { status: 400, error } }] });
    assert.ok((readBulkAnswer(text, 1, 'create')?.refused[0]?.reason.length ?? 0) < 400);
  });

  test('no answer makes it throw, and every item has exactly one fate', () => {
    fc.assert(
      fc.property(fc.json(), fc.integer({ min: 0, max: 3 }), (text, count) => void readBulkAnswer(text, count, 'create')),
    );
    const item = fc.oneof(
      fc.jsonValue(),
      fc.record({
        create: fc.record({ status: fc.constantFrom(200, 201, 400, 404, 409, 429, 500, 503), error: fc.jsonValue() }),
      }),
    );
    fc.assert(
      fc.property(fc.array(item, { maxLength: 5 }), (items) => {
        const outcome = readBulkAnswer(JSON.stringify({ errors: true, items }), items.length, 'create');
        assert.ok(outcome);
        assert.equal(outcome.stored + outcome.repeated + outcome.retry.length + outcome.refused.length, items.length);
      }),
    );
  });
});

describe('errors of whole requests', () => {
  for (const [text, want] of [
    ['{"error":{"type":"a","reason":"b","caused_by":{"reason":"c"}},"status":400}', { type: 'a', reason: 'b; c' }],
    ['{"error":"no handler","status":400}', { type: 'error', reason: 'no handler' }],
    ['{"message":"a gateway"}', undefined],
    ['<html>413</html>', undefined],
    ['', undefined],
    ['null', undefined],
  ] as const) {
    test(text, () => assert.deepEqual(readError(text), want));
  }
});
