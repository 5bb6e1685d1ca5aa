import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ForwardError } from './forward.ts';
import { JsonSplitter } from './forward-json.ts';

function split(pieces: readonly Buffer[], limitBytes = 1 << 20): unknown[] {
  const splitter = new JsonSplitter(limitBytes);
  return pieces.flatMap((piece) => splitter.push(piece));
}

const cut = (bytes: Buffer, size: number): Buffer[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, n) => bytes.subarray(n * size, (n + 1) * size));

describe('documents of JSON in a stream', () => {
  for (const [text, want] of [
    ['["t",1,{}]', [['t', 1, {}]]],
    [
      '["t",1,{}]["u",[]]',
      [
        ['t', 1, {}],
        ['u', []],
      ],
    ],
    ['\n ["a"] \r\n{"b":1}\n', [['a'], { b: 1 }]],
    ['["]","[{","\\"]","\\\\"]', [[']', '[{', '"]', '\\']]],
    ['["日志"]', [['日志']]],
    ['["t",', []],
  ] as const)
    test(JSON.stringify(text), () => {
      const bytes = Buffer.from(text);
      for (const size of [1, 2, 3, 100]) assert.deepEqual(split(cut(bytes, size)), want, `pieces of ${size}`);
    });

  for (const [name, text, reason] of [
    ['more than the limit, whole', `["${'x'.repeat(100)}"]`, /larger than chunk_size_limit/],
    ['more than the limit, without an end', `["${'x'.repeat(100)}`, /larger than chunk_size_limit/],
    ['nothing but blanks', ' '.repeat(101), /larger than chunk_size_limit/],
    ['nested too deeply', '['.repeat(101), /nested deeper than 100/],
    ['no JSON', '[nonsense]', /not JSON/],
    ['a bracket too many', ']', /not JSON/],
  ] as const)
    test(`${name} is refused`, () => {
      for (const size of [1, 7, 1000])
        assert.throws(
          () => split(cut(Buffer.from(text), size), name === 'nested too deeply' ? 1000 : 100),
          (error) => error instanceof ForwardError && reason.test(error.message),
          `pieces of ${size}`,
        );
    });

  test('as deep as may be', () => {
    const text = '['.repeat(100) + ']'.repeat(100);
    assert.equal(JSON.stringify(split([Buffer.from(text)])), `[${text}]`);
  });

  test('the pieces in which bytes come make no difference', () => {
    fc.assert(
      fc.property(fc.array(fc.array(fc.jsonValue()), { maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (documents, size) => {
        const texts = documents.map((document) => JSON.stringify(document));
        const want = texts.map((text) => JSON.parse(text) as unknown);
        assert.deepEqual(split(cut(Buffer.from(texts.join('\n')), size)), want);
      }),
      { numRuns: 40 },
    );
  });

  test('a large document byte by byte is copied a bounded number of times', () => {
    const bytes = Buffer.from(JSON.stringify(['t', 1, { big: 'x'.repeat(1 << 19) }]));
    const splitter = new JsonSplitter(1 << 20);
    let copied = 0;
    let kept = 0;
    let documents = 0;
    for (let at = 0; at < bytes.length; at++) {
      documents += splitter.push(bytes.subarray(at, at + 1)).length;
      copied++;
      // What was kept moves when its buffer is another one; that is the only other copy.
      if (splitter.keptBytes > kept) copied += kept;
      kept = splitter.keptBytes;
    }
    assert.equal(documents, 1);
    assert.ok(copied < bytes.length * 4, `${copied} bytes copied for ${bytes.length}`);
    assert.equal(splitter.keptBytes, 0);
  });
});
