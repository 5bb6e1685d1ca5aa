import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as fc from 'fast-check';
import { decodeFrame, encodeFrame, encodeRequest, FrameReader, isFailure, parseAddress, parseReply } from './protocol.ts';

const SUCCESS = '{"response":"success","info":"processed: 2; failed: 1; total: 3; seconds spent: 0.25"}';
const COUNTED = { ok: true, response: 'success', processed: 2, failed: 1, total: 3, seconds: 0.25 };
const UNKNOWN = { processed: undefined, failed: undefined, total: undefined, seconds: undefined };

describe('frames of the sender protocol', () => {
  test('decode(encode(x)) = x, compressed or not, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        fc.boolean(),
        fc.array(fc.nat(50), { maxLength: 40 }),
        (payload, compress, cuts) => {
          const frame = encodeFrame(payload, { compress });
          const reader = new FrameReader();
          let at = 0;
          let got: ReturnType<FrameReader['push']>;
          for (const cut of [...cuts, frame.length]) {
            if (at >= frame.length) break;
            got = reader.push(frame.subarray(at, at + cut + 1));
            at += cut + 1;
          }
          if (at < frame.length) got = reader.push(frame.subarray(at));
          assert.ok(got !== undefined && !isFailure(got));
          assert.deepEqual(Buffer.from(got.payload), Buffer.from(payload));
        },
      ),
    );
  });
  test('any bytes: a frame or a failure, no throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.boolean(), (bytes, hasMagic) => {
        const outcome = decodeFrame(hasMagic ? Buffer.concat([Buffer.from('ZBXD'), bytes]) : bytes, 1000);
        assert.ok(isFailure(outcome) || outcome.payload.length <= 1000);
      }),
    );
  });

  test('an answer that comes byte by byte', () => {
    const payload = Buffer.alloc(300_000, 'x');
    const frame = encodeFrame(payload);
    const reader = new FrameReader();
    for (let at = 0; at < frame.length - 1; at++) assert.equal(reader.push(frame.subarray(at, at + 1)), undefined);
    assert.deepEqual(reader.push(frame.subarray(-1)), { flags: 1, payload });
  });

  const head = (flags: number, ...numbers: number[]): Buffer => {
    const bytes = Buffer.alloc(5 + numbers.length * 4);
    bytes.write('ZBXD');
    bytes[4] = flags;
    numbers.forEach((number, index) => bytes.writeUInt32LE(number, 5 + index * 4));
    return bytes;
  };
  for (const [name, bytes, want] of [
    ['nothing', Buffer.alloc(0), 'closed'],
    ['a web server', Buffer.from('HTTP/1.1 200 OK\r\n'), 'protocol'],
    ['one wrong byte', Buffer.from('X'), 'protocol'],
    ['magic cut', Buffer.from('ZB'), 'truncated'],
    ['flag 0x01 missing', head(0x02, 0, 0), 'protocol'],
    ['flag 0x10', head(0x11, 0, 0), 'protocol'],
    ['body cut', Buffer.concat([head(1, 9, 0), Buffer.from('abc')]), 'truncated'],
    ['3 GiB announced', head(1, 3 * 2 ** 30, 0), 'too-large'],
    ['2^40 announced in the large form', head(5, 0, 256, 0, 0), 'too-large'],
    ['inflated size over the limit', head(3, 10, 2 ** 31), 'too-large'],
    ['not zlib', Buffer.concat([head(3, 3, 5), Buffer.from('abc')]), 'zlib'],
    [
      'inflates to more than announced',
      Buffer.concat([
        head(3, encodeFrame('aaaa', { compress: true }).length - 13, 3),
        encodeFrame('aaaa', { compress: true }).subarray(13),
      ]),
      'zlib',
    ],
  ] as const) {
    test(name, () => {
      const outcome = decodeFrame(bytes);
      assert.equal(isFailure(outcome) ? outcome.kind : 'a frame', want);
    });
  }
  test('a request of zabbix_sender, byte for byte', () => {
    const frame = encodeFrame(encodeRequest([{ host: 'web', key: 'k', value: '北京', clock: 7, ns: 8 }]));
    const json = '{"request":"sender data","data":[{"host":"web","key":"k","value":"北京","clock":7,"ns":8}]}';
    assert.equal(frame.toString('latin1', 0, 5), 'ZBXD\u0001');
    assert.equal(frame.readUInt32LE(5), Buffer.byteLength(json));
    assert.equal(frame.subarray(13).toString('utf8'), json);
  });
  test('lone surrogates are replaced, ns without a clock is left out', () => {
    assert.equal(
      encodeRequest([{ host: 'h', key: 'k', value: 'a\ud800', ns: 5 }]),
      '{"request":"sender data","data":[{"host":"h","key":"k","value":"a\ufffd"}]}',
    );
  });
});

describe('answers of the sender protocol', () => {
  for (const [text, want] of [
    [SUCCESS, COUNTED],
    [
      '{"response":"success","info":"Processed 4 Failed 0 Total 4 Seconds spent 0.5"}',
      { ok: true, processed: 4, failed: 0, total: 4, seconds: 0.5 },
    ],
    [
      '{"response":"success","info":"processed: 10; failed: 20; total: 30"}',
      { processed: 10, failed: 20, total: 30, seconds: undefined },
    ],
    ['{"response":"success","info":"well done"}', { ok: true, ...UNKNOWN }],
    ['{"response":"success","info":["processed: 1"]}', { ok: true, info: '', ...UNKNOWN }],
    ['{}', { ok: false, response: '', info: '' }],
    ['{"response":"failed","info":"Zabbix server shutdown in progress"}', { ok: false, retry: true }],
    ['{"response":"failed","info":"no such request"}', { ok: false, info: 'no such request' }],
    [
      '{"response":"failed","redirect":{"revision":3,"address":"[fd00::1]:10052"}}',
      { redirect: { revision: 3, host: 'fd00::1', port: 10_052 } },
    ],
    ['{"response":"failed","redirect":{"revision":-1,"address":"a:1"}}', { redirect: undefined }],
    ['{"response":"failed","redirect":{"revision":1,"address":"a:99999"}}', { redirect: undefined }],
    ['{"response":"failed","redirect":{"reset":true}}', { redirect: undefined }],
    ['', { kind: 'json' }],
    ['null', { kind: 'json' }],
    ['[1]', { kind: 'json' }],
  ] as const) {
    test(text || 'empty', () => {
      const reply = parseReply(text) as unknown as Record<string, unknown>;
      for (const [name, value] of Object.entries(want)) assert.deepEqual(reply[name], value, name);
    });
  }
  test('any text: no throw', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => assert.equal(typeof parseReply(text), 'object')));
  });
});

describe('addresses of servers', () => {
  for (const [text, want] of [
    ['zbx.example.org', { host: 'zbx.example.org', port: 10_051 }],
    ['10.0.0.1:10055', { host: '10.0.0.1', port: 10_055 }],
    ['::1', { host: '::1', port: 10_051 }],
    ['[::1]:5', { host: '::1', port: 5 }],
    ['a:0', undefined],
    ['a:b', undefined],
    ['a b', undefined],
    ['', undefined],
  ] as const) {
    test(text || 'empty', () => assert.deepEqual(parseAddress(text), want));
  }
});
