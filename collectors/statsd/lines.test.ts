import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Lines } from './lines.ts';

const LIMIT = 10;

/** What was handed over, as lines; each piece is spoilt after its push. */
function read(pieces: readonly string[]): string[] {
  const seen: string[] = [];
  const lines = new Lines(LIMIT, (packet) => void seen.push(...packet.toString('utf8').split(/(?<=\n)/)));
  for (const piece of pieces) {
    const bytes = Buffer.from(piece);
    lines.push(bytes);
    bytes.fill(0);
  }
  lines.end();
  assert.equal(lines.keptBytes, 0);
  return seen;
}

describe('lines of a stream', () => {
  for (const [pieces, want] of [
    [['a\nb\n'], ['a\n', 'b\n']],
    [
      ['a', '\n', 'b'],
      ['a\n', 'b'],
    ],
    [
      ['a\nb', 'c\nd'],
      ['a\n', 'bc\n', 'd'],
    ],
    [['\n'], ['\n']],
    [
      ['1234567890', '\na\n'],
      ['1234567890\n', 'a\n'],
    ],
    [
      ['12345678901', '23\na\n'],
      ['12345678901', 'a\n'],
    ],
    [
      ['12345', '678901', '2', '3\na', '\n'],
      ['12345678901', 'a\n'],
    ],
    [
      ['a\n12345678901', '2'],
      ['a\n', '12345678901'],
    ],
    [
      ['12345678901', '\n', 'a\n'],
      ['12345678901', 'a\n'],
    ],
  ] as const)
    test(JSON.stringify(pieces), () => assert.deepEqual(read(pieces), want));

  test('the pieces in which bytes come make no difference', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', '中', '\n', 'bc')), fc.integer({ min: 1, max: 9 }), (parts, size) => {
        const text = parts
          .join('')
          .split('\n')
          .map((line) => line.slice(0, 3))
          .join('\n');
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, n) => text.slice(n * size, (n + 1) * size));
        assert.equal(read(pieces).join(''), text);
      }),
    );
  });

  test('a long line byte by byte is copied a bounded number of times', () => {
    const size = 1 << 18;
    let got = 0;
    const lines = new Lines(size, (packet) => (got += packet.length));
    const byte = Buffer.from('x');
    let copied = 0;
    let kept = 0;
    for (let n = 0; n < size; n++) {
      lines.push(byte);
      copied++;
      if (lines.keptBytes > kept) copied += kept;
      kept = lines.keptBytes;
    }
    lines.push(Buffer.from('\n'));
    assert.equal(got, size + 1);
    assert.ok(copied < size * 3, `${copied} bytes copied for ${size}`);
  });
});
