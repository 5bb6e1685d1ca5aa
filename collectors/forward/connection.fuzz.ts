import assert from 'node:assert/strict';
import { ForwardError, packedRequest } from '../../engine/events/forward.ts';
import { makeBatch } from '../../engine/testing/driver.ts';
import { readWholeBatch, type FuzzTarget } from '../../engine/testing/fuzz.ts';
import { ForwardConnection } from './connection.ts';

const batch = makeBatch([{ record: { a: '中文', n: 1 } }, { record: { b: 'x'.repeat(200) } }]);
const body = Buffer.from(batch.bytes.subarray(batch.start, batch.end));
const request = packedRequest('a.b', body, { count: 2, chunk: 'c', isGzip: false });
const LIMITS = { messageBytes: 2048, decompressedBytes: 1 << 16 };

/** What one connection makes of these bytes when they come in pieces of such a size. */
function outcome(bytes: Buffer, size: number): string {
  let sign = '';
  const connection = new ForwardConnection(
    LIMITS,
    {
      request(message, answer) {
        sign += message.batch === undefined ? ' none' : ` ${readWholeBatch(message.batch)}`;
        sign += `/${message.skipped}/${message.chunk === undefined ? 0 : answer(message.chunk).length}`;
      },
      oddity: (what) => (sign += ` ${what}`),
    },
    () => 1_700_000_000_000,
  );
  try {
    // A copy each: a socket's buffers are not used again, and neither may they be relied upon.
    for (let at = 0; at < bytes.length; at += size) connection.push(Buffer.from(bytes.subarray(at, at + size)));
  } catch (error) {
    if (!(error instanceof ForwardError)) throw error;
    // What stood before the end in the same piece may or may not have been taken; nobody has acknowledged it.
    return 'ended';
  }
  return sign;
}

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'forward/connection',
    seeds: [
      Buffer.concat([request, request, request]),
      Buffer.concat([Buffer.from('c0', 'hex'), request]),
      Buffer.concat([request, Buffer.from('93a161dbffffffff', 'hex'), request]),
      '["a",1,{"b":"c"},{"chunk":"x"}]["a",[[1,{}]]]',
    ],
    words: [request, 'db00000900', 'c4', 'dd00000002'].map((word) =>
      typeof word === 'string' ? Buffer.from(word, 'hex') : word,
    ),
    run(bytes) {
      const whole = outcome(bytes, Math.max(1, bytes.length));
      const size = 1 + ((bytes[bytes.length >> 1] ?? 0) % 40);
      assert.equal(outcome(bytes, size), whole, `pieces of ${size} bytes give the same`);
      return whole;
    },
  },
];
