import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, test } from 'node:test';
import type { Formatter } from '../../engine/component.ts';
import { makeBatch, makeChunk } from '../../engine/testing/driver.ts';
import { printTo } from './stdout.ts';

const formatter: Formatter = { format: (event, into) => void into.utf8(`${JSON.stringify(event.toObject())}\n`) };
const signal = new AbortController().signal;
const chunk = makeChunk([makeBatch([{ record: { a: '中' } }, { record: { b: 2 } }]), makeBatch([{ record: { c: 3 } }])]);

describe('stdout', () => {
  test('prints a line for each event, in order', async () => {
    let text = '';
    const stream = new Writable({
      write(bytes: Buffer, _encoding, done) {
        text += bytes.toString('utf8');
        done();
      },
    });
    const output = printTo(stream, formatter);
    await output.start?.();
    assert.equal(await output.write(chunk, signal), 'delivered');
    await output.stop?.();
    await output.stop?.();
    assert.equal(text, '{"a":"中"}\n{"b":2}\n{"c":3}\n');
    assert.equal(stream.listenerCount('error'), 0);
  });

  test('a closed stream is a verdict, not a crash', async () => {
    const stream = new Writable({ write: (_bytes, _encoding, done) => done(new Error('EPIPE')) });
    const output = printTo(stream, formatter);
    await output.start?.();
    assert.deepEqual(await output.write(chunk, signal), { retry: 'all', reason: 'cannot print: EPIPE' });
  });

  test('what was printed before a failure is not printed again', async () => {
    let writes = 0;
    const stream = new Writable({ write: (_bytes, _encoding, done) => (++writes === 1 ? done() : done(new Error('full'))) });
    const wide: Formatter = { format: (_event, into) => void into.utf8('x'.repeat(1 << 20)) };
    const output = printTo(stream, wide);
    await output.start?.();
    assert.deepEqual(await output.write(chunk, signal), { retry: [1, 2], reason: 'cannot print: full' });
  });
});
