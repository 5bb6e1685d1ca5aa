import assert from 'node:assert/strict';
import { checkEntries } from '../../engine/events/entries.ts';
import { INVALID } from '../../engine/events/msgpack.ts';
import { makeBatch } from '../../engine/testing/driver.ts';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { readBulkAnswer, readError } from './bulk-answer.ts';
import { BulkWriter } from './bulk.ts';

const writer = new BulkWriter({ operation: 'create', indexOf: undefined, idKey: undefined, timeKey: '@timestamp' });
const place = { incarnation: 1n, segment: 1_700_000_000_000, offset: 7, enteredMs: 0 };
const batch = makeBatch([
  { record: { message: '中文 "x"\n', n: 1.5, big: 2n ** 63n } },
  { record: { '@timestamp': 'x', a: { b: [null] } } },
]);
const ITEMS = 3;

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'elasticsearch/answer',
    seeds: [
      '{"errors":false,"items":[{"create":{"status":201}},{"create":{"status":201}},{"create":{"status":200}}]}',
      '{"errors":true,"items":[{"create":{"status":409,"error":{"type":"version_conflict_engine_exception","reason":"x"}}},{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"r"}}},{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":"outer","caused_by":{"type":"t","reason":"inner","caused_by":null}}}}]}',
      '{"errors":true,"items":[{"index":{"_index":"a","status":201,"failure_store":"used"}},{"create":{"status":403,"error":"text"}},{"create":{}}]}',
      '<html>',
      '{"error":{"root_cause":[],"type":"x","reason":"y"},"status":503}',
      '{"error":"text","status":400}',
    ],
    words: [
      '"status":20',
      '"status":',
      '"error":',
      '"caused_by":',
      '"reason":',
      'null',
      '{',
      '}',
      '[',
      ']',
      '"items":',
      '"_index":"b"',
      '"failure_store":"used"',
      '"errors":false',
      '409',
      '400',
      '1e9',
    ],
    run(bytes) {
      const text = bytes.toString('utf8');
      readError(text);
      const outcome = readBulkAnswer(text, ITEMS, 'create');
      if (outcome === undefined) return 'unfit';
      const { stored, repeated, inFailureStore, retry, refused } = outcome;
      assert.equal(stored + repeated + retry.length + refused.length, ITEMS, 'every item has one outcome');
      assert.ok(inFailureStore <= stored);
      for (const index of [...retry, ...refused.map((each) => each.index)]) assert.ok(index >= 0 && index < ITEMS);
      return `${stored} ${repeated} ${inFailureStore} ${retry.length} ${refused.length} ${outcome.isOverloaded}`;
    },
  },
  {
    name: 'elasticsearch/body',
    seeds: [Buffer.from(batch.bytes.subarray(batch.start, batch.end))],
    words: [
      'c0',
      'c401ff',
      'cb7ff8000000000000',
      'cfffffffffffffffff',
      'd7006553740000000000',
      'a180',
      'aa4074696d657374616d70',
      '80',
      '90',
    ].map((hex) => Buffer.from(hex, 'hex')),
    run(bytes) {
      const checked = checkEntries('fuzz', bytes, 0, bytes.length, undefined, 1_700_000_000_000);
      if (checked === INVALID || checked.batch === undefined) return 'none';
      const body = writer.write([{ ...checked.batch, place }]);
      const lines = body.bytes.toString('utf8').split('\n');
      assert.equal(lines.length, 2 * checked.batch.count + 1, 'two lines for each event');
      for (const line of lines.slice(0, -1)) JSON.parse(line);
      return `${checked.batch.count} ${32 - Math.clz32(body.bytes.length)}`;
    },
  },
];
