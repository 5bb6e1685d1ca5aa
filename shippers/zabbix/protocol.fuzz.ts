import assert from 'node:assert/strict';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { FrameReader, decodeFrame, encodeFrame, encodeRequest, isFailure, parseAddress, parseReply } from './protocol.ts';

const OK = '{"response":"success","info":"processed: 1; failed: 0; total: 1; seconds spent: 0.000156"}';
const MOVED = '{"response":"failed","redirect":{"revision":3,"address":"[::1]:10051"},"info":"has been paused"}';
const LIMIT = 1 << 20;

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'zabbix/reply',
    seeds: [
      encodeFrame(OK),
      encodeFrame(MOVED),
      encodeFrame(OK.repeat(50), { compress: true }),
      encodeFrame(encodeRequest([{ host: '甲', key: 'k[a,"b"]', value: '1' }])),
      Buffer.concat([encodeFrame(OK), encodeFrame(OK)]),
    ],
    words: [
      'ZBXD',
      '"response"',
      '"info"',
      'processed: 999999999999999999999',
      '"redirect"',
      '"revision"',
      '"address"',
      ...['0100000000', '0102', '0104', '0106', 'ffffffff'].map((hex) => Buffer.from(hex, 'hex')),
    ],
    run(bytes) {
      const whole = decodeFrame(bytes, LIMIT);
      // The same in two pieces.
      const reader = new FrameReader(LIMIT);
      const half = bytes.length >> 1;
      const pieces = reader.push(bytes.subarray(0, half)) ?? reader.push(bytes.subarray(half)) ?? reader.end();
      assert.equal(isFailure(pieces), isFailure(whole), 'in two pieces it is the same');
      if (isFailure(whole)) return whole.kind;
      assert.ok(whole.payload.length <= LIMIT);
      const reply = parseReply(whole.payload);
      return isFailure(reply) ? reply.kind : `${reply.ok} ${reply.processed === undefined} ${reply.redirect === undefined}`;
    },
  },
  {
    name: 'zabbix/address',
    seeds: ['host', 'host:10051', '[::1]:10051', '::1', '1.2.3.4:0', 'a,b'],
    words: [':', '[', ']', '::', '65536', '%'],
    maxBytes: 400,
    run(bytes) {
      const address = parseAddress(bytes.toString('utf8'));
      if (address === undefined) return 'none';
      assert.ok(address.port >= 1 && address.port <= 65_535);
      return `${address.port === 10_051} ${address.host.includes(':')}`;
    },
  },
];
