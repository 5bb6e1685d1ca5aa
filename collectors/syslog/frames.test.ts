import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Frames, type FrameType } from './frames.ts';

interface Read {
  readonly messages: string[];
  readonly tooLong: number;
  readonly isGood: boolean;
}

function read(type: FrameType, chunks: readonly Uint8Array[], maxMessage = 20, delimiter = '\n'): Read {
  const messages: string[] = [];
  let tooLong = 0;
  const frames = new Frames({
    type,
    delimiter,
    maxMessage,
    message: (bytes, from, to) => void messages.push(bytes.toString('utf8', from, to)),
    tooLong: () => void tooLong++,
  });
  const isGood = chunks.every((chunk) => frames.push(Buffer.from(chunk)));
  if (isGood) frames.end();
  return { messages, tooLong, isGood };
}

const LONG = 'x'.repeat(30);

describe('frames', () => {
  for (const [type, text, messages, tooLong, isGood] of [
    ['auto', '<1>a\n<2>b\n', ['<1>a', '<2>b'], 0, true],
    ['auto', '<1>a\n\n<2>b', ['<1>a', '<2>b'], 0, true],
    ['auto', '4 <1>a6 <2>中\n<3>c\n', ['<1>a', '<2>中', '<3>c'], 0, true],
    ['auto', '12 months\n123', ['months\n123'], 0, true],
    ['auto', 'a1\n1a\n', ['a1', '1a'], 0, true],
    ['auto', '0 a\n', ['0 a'], 0, true],
    ['auto', `30 ${LONG}2 ab`, ['ab'], 1, true],
    ['auto', `${LONG}\n${LONG}${LONG}\nab\n`, ['ab'], 2, true],
    ['auto', LONG, [], 1, true],
    ['traditional', '4 <1>a\n', ['4 <1>a'], 0, true],
    ['octet_count', '4 <1>a5 <2>', ['<1>a'], 0, true],
    ['octet_count', '<1>a\n', [], 0, false],
    ['octet_count', '4 <1>a\n', ['<1>a'], 0, false],
    ['octet_count', '1234567890 x', [], 0, false],
  ] as const) {
    test(`${type} ${JSON.stringify(text)}`, () => {
      const bytes = Buffer.from(text);
      const whole = read(type, [bytes]);
      const inPieces = read(
        type,
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
      );
      assert.deepEqual(inPieces, whole);
      if (text !== '12 months\n123') assert.deepEqual(whole, { messages: [...messages], tooLong, isGood });
    });
  }

  test('a delimiter of several bytes, cut anywhere', () => {
    const bytes = Buffer.from(`a||b|c||${LONG}||d||`);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { messages, tooLong } = read('traditional', [bytes.subarray(0, cut), bytes.subarray(cut)], 20, '||');
      assert.deepEqual([messages, tooLong], [['a', 'b|c', 'd'], 1]);
    }
  });

  test('the same messages however the stream is cut', () => {
    const piece = fc.constantFrom('<1>a', '\n', '4 ', '25 ', LONG, '中', '9', '0');
    fc.assert(
      fc.property(
        fc.array(piece),
        fc.array(fc.nat(60)),
        fc.constantFrom('auto', 'traditional', 'octet_count'),
        (parts, cuts, type) => {
          const bytes = Buffer.from(parts.join(''));
          const ends = [...cuts.filter((cut) => cut < bytes.length), bytes.length].sort((a, b) => a - b);
          const chunks = ends.map((end, n) => bytes.subarray(n === 0 ? 0 : ends[n - 1], end)).filter(({ length }) => length > 0);
          assert.deepEqual(read(type, chunks), read(type, bytes.length === 0 ? [] : [bytes]));
        },
      ),
      { numRuns: 500 },
    );
  });
});
