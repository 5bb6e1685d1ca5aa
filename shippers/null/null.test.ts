import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeBatch, makeChunk } from '../../engine/testing/driver.ts';
import { nullOutput } from './null.ts';

for (const [config, verdict] of [
  [{}, 'delivered'],
  [{ never_flush: true }, { retry: 'all', reason: 'never_flush is set' }],
] as const) {
  test(`null ${JSON.stringify(config)}`, async () => {
    const output = nullOutput.create(nullOutput.config.parse(config), undefined as never);
    assert.deepEqual(await output.write(makeChunk([makeBatch([{ record: {} }])]), new AbortController().signal), verdict);
  });
}
