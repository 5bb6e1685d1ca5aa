import assert from 'node:assert/strict';
import { writeAck } from '../../engine/events/forward.ts';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { MAX_REPLY_BYTES, readReplies } from './reply.ts';

const ack = writeAck(Buffer.from('\xb8p8n9gmxTQVC8/nh2wlKKeQ==', 'latin1'));

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'forward/reply',
    seeds: [
      ack,
      Buffer.concat([ack, ack, ack.subarray(0, 9)]),
      Buffer.from('93a448454c4f83a56e6f6e6365c40161a461757468a0a96b656570616c697665c3', 'hex'),
    ],
    words: [ack, ...['81a361636b', 'dbffffffff', 'c4ff', 'df00ffffff', 'a448454c4f', 'c1'].map((hex) => Buffer.from(hex, 'hex'))],
    maxBytes: MAX_REPLY_BYTES + 200,
    run(bytes) {
      const { acks, read, problem } = readReplies(bytes);
      assert.ok(read >= 0 && read <= bytes.length);
      return `${acks.length} ${problem}`;
    },
  },
];
