import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';
import { MAX_REPLY_BYTES, WANTS_HANDSHAKE, readReplies } from './reply.ts';

const pack = (...values: readonly unknown[]): Buffer => {
  const into = new ByteWriter(64);
  for (const value of values) writeValue(into, value);
  return into.copy();
};

describe('replies', () => {
  for (const [name, bytes, want] of [
    ['nothing', Buffer.alloc(0), { acks: [], read: 0 }],
    ['one', pack({ ack: 'abc=' }), { acks: ['abc='], read: 10 }],
    ['the id as binary', pack({ ack: Buffer.from('abc=') }), { acks: ['abc='], read: 11 }],
    ['two at once', pack({ ack: 'a' }, { ack: 'b' }), { acks: ['a', 'b'], read: 14 }],
    ['other keys beside it', pack({ time: 1, ack: 'a', more: [1, { x: 2 }] }), { acks: ['a'], read: 24 }],
    ['one and the start of another', Buffer.concat([pack({ ack: 'a' }), Buffer.from([0x81, 0xa3])]), { acks: ['a'], read: 7 }],
    ['a greeting', pack(['HELO', { nonce: 'x' }]), { acks: [], read: 0, problem: WANTS_HANDSHAKE }],
    ['an empty map', pack({}), { acks: [], read: 0, problem: 'sent an answer that is no acknowledgement' }],
    ['an id that is a number', pack({ ack: 5 }), { acks: [], read: 0, problem: 'sent an answer that is no acknowledgement' }],
    [
      'an ack, then HTTP',
      Buffer.concat([pack({ ack: 'a' }), Buffer.from('HTTP/1.1 400')]),
      { acks: ['a'], read: 7, problem: 'sent an answer that is no acknowledgement' },
    ],
    ['a byte that is never used', Buffer.from([0xc1]), { acks: [], read: 0, problem: 'sent an answer that is not MessagePack' }],
    [
      'a text without end',
      Buffer.concat([Buffer.from([0xdb, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(MAX_REPLY_BYTES)]),
      { acks: [], read: 0, problem: 'sent an endless answer' },
    ],
  ] as const)
    test(name, () => assert.deepEqual(readReplies(bytes), want));

  test('nesting without end', () => assert.match(readReplies(Buffer.alloc(1000, 0x91)).problem ?? '', /not MessagePack/));

  test('no bytes make it throw, and it never reads past them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const { read } = readReplies(bytes);
        assert.ok(read >= 0 && read <= bytes.length);
      }),
      { numRuns: 5000 },
    );
  });

  test('the pieces in which they come make no difference', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'grapheme-ascii', maxLength: 40 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 20 }),
        (ids, step) => {
          const bytes = pack(...ids.map((ack) => ({ ack })));
          let rest = Buffer.alloc(0);
          const seen: string[] = [];
          for (let at = 0; at < bytes.length; at += step) {
            rest = Buffer.concat([rest, bytes.subarray(at, at + step)]);
            const { acks, read, problem } = readReplies(rest);
            assert.equal(problem, undefined);
            seen.push(...acks);
            rest = rest.subarray(read);
          }
          assert.deepEqual(seen, ids);
        },
      ),
    );
  });
});
