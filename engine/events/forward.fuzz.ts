import assert from 'node:assert/strict';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { makeBatch, readBatch } from '../testing/driver.ts';
import { readWholeBatch, type FuzzTarget } from '../testing/fuzz.ts';
import { checkEntries } from './entries.ts';
import { ForwardError, packedRequest, readRequest } from './forward.ts';
import { JsonSplitter, readJsonRequest } from './forward-json.ts';
import { MessageScanner } from './message-scanner.ts';
import { INVALID, MsgpackReader, TRUNCATED, decode, skipValue } from './msgpack.ts';
import { parseAccessor, getAt, setAt, deleteAt } from './record-accessor.ts';

const DECOMPRESSED_BYTES = 1 << 20;
const NOW_MS = 1_700_000_000_000;

const batch = makeBatch([
  { record: { message: 'GET / "中文"\n', code: 200, time: 0.25, ok: true, nil: null, big: 2n ** 63n, list: [1, -2, [3]] } },
  { record: {}, time: { seconds: 1, nanoseconds: 999_999_999 } },
  { record: { nested: { a: { b: [{ c: 'd'.repeat(300) }] } }, binary: new Uint8Array([0, 255]) } },
]);
const entries = Buffer.from(batch.bytes.subarray(batch.start, batch.end));
const plain = { count: 3, chunk: undefined, isGzip: false };
const requests: readonly Buffer[] = [
  packedRequest('app.web', entries, plain),
  packedRequest('app.web', entries, { ...plain, chunk: 'p8n9gmxTQVC8/nh2wlKKeQ==' }),
  packedRequest('app.web', gzipSync(entries), { count: 3, chunk: 'x', isGzip: true }),
  // zstd, the Forward mode with integer times, one Message, Fluent Bit's [time, metadata].
  Buffer.concat([
    Buffer.from('93a174c4', 'hex'),
    sized(zstdCompressSync(entries)),
    Buffer.from('81aa636f6d70726573736564a47a737464', 'hex'),
  ]),
  Buffer.from('92a16192920081a1610192ce655374c081a16102', 'hex'),
  Buffer.from('94a161ce655374c081a16ba17681a56368756e6ba178', 'hex'),
  Buffer.from('92a161919292d70065537400000000fe8081a16101', 'hex'),
  Buffer.from('c0', 'hex'),
];

function sized(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([body.length]), body]);
}

const WORDS: readonly Uint8Array[] = [
  'c0',
  'c1',
  'c2',
  'c400',
  'c5ffff',
  'c6ffffffff',
  'c7ff00',
  'c90000000800',
  'ca7fc00000',
  'cb7ff8000000000000',
  'cfff'.repeat(8),
  'd380'.padEnd(16, '0'),
  'd7000000000000000000',
  'd7006553740000000000',
  'd9ff',
  'daffff',
  'dbffffffff',
  'dcffff',
  'ddffffffff',
  'deffff',
  'dfffffffff',
  '8f',
  '9f',
  '80',
  '90',
  'a0',
  'a56368756e6b',
  'aa636f6d70726573736564',
  'a4677a6970',
  'a47a737464',
].map((hex) => Buffer.from(hex, 'hex'));

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'events/forward-request',
    seeds: requests,
    words: WORDS,
    run(bytes) {
      const scanner = new MessageScanner();
      const { at, state } = scanner.scan(bytes, 0, bytes.length);
      if (state === 'invalid') return state;
      if (state === 'more') {
        // The same in two pieces, as they come from a socket.
        return `more ${32 - Math.clz32(scanner.missing)}`;
      }
      try {
        const request = readRequest(bytes, 0, at, { decompressedBytes: DECOMPRESSED_BYTES }, NOW_MS);
        if (typeof request === 'string') return request;
        const sign = request.batch === undefined ? 'none' : readWholeBatch(request.batch);
        return `${sign} ${request.skipped} ${request.truncated} ${request.chunk?.length}`;
      } catch (error) {
        if (error instanceof ForwardError) return error.message;
        throw error;
      }
    },
  },
  {
    name: 'events/entries',
    seeds: [entries, Buffer.concat([entries, entries.subarray(0, 20)])],
    words: WORDS,
    run(bytes) {
      const checked = checkEntries('fuzz', bytes, 0, bytes.length, undefined, NOW_MS);
      if (checked === INVALID) return 'invalid';
      if (checked.batch === undefined) return `none ${checked.skipped} ${checked.truncated}`;
      // What was mended is sound: a second look finds nothing.
      const { bytes: sound, start, end, count } = checked.batch;
      const again = checkEntries('fuzz', sound, start, end, undefined, NOW_MS);
      assert.ok(again !== INVALID && again.skipped === 0 && !again.truncated, 'what was mended is sound');
      assert.equal(again.batch?.count, count);
      return `${readWholeBatch(checked.batch)} ${checked.skipped} ${checked.truncated}`;
    },
  },
  {
    name: 'events/msgpack',
    seeds: [...requests, entries],
    words: WORDS,
    run(bytes) {
      const end = skipValue(bytes, 0, bytes.length);
      const scan = new MessageScanner().scan(bytes, 0, bytes.length);
      if (end >= 0) {
        assert.deepEqual([scan.state, scan.at], ['done', end], 'the scanner finds the same end');
        const reader = new MsgpackReader(bytes, 0, end);
        reader.read();
        assert.ok(reader.done, 'the reader reads what the skipper skips');
        return `value ${bytes[0] ?? 0}`;
      }
      assert.ok(end === TRUNCATED || end === INVALID);
      // Nested too deeply: the one thing that only the skipper refuses.
      if (end === TRUNCATED && scan.state === 'done') throw new Error('the scanner found an end where the skipper found none');
      let refused = false;
      try {
        decode(bytes);
      } catch {
        refused = true;
      }
      return `${end} ${scan.state} ${refused}`;
    },
  },
  {
    name: 'events/forward-json',
    seeds: [
      '["tag",1700000000,{"message":"中文\\n"},{"chunk":"x"}]',
      '["tag",[[1700000000,{"a":1}],[1700000001,{"b":[1,{"c":null}]}]]]["tag",1,{}]',
      '{"a":"b]}"} [1,2] ["t",[]]',
      // As deep as may be and deeper; about as large as may be, of which the end is missing.
      `["t",1,{"a":${'['.repeat(97)}1${']'.repeat(97)}}]`,
      `["t",1,{"a":${'['.repeat(99)}`,
      `["t",1,{"a":"${'日志\\'.repeat(500)}`,
    ],
    words: ['"chunk"', '{"', '[[', ']]', '\\"', '1.7e9', '-1', '"a":'],
    run(bytes) {
      const half = bytes.length >> 1;
      const splitter = new JsonSplitter(4000);
      let sign = '';
      try {
        // In two halves, the second one in small pieces.
        const parts = [bytes.subarray(0, half)];
        for (let at = half; at < bytes.length; at += 7) parts.push(bytes.subarray(at, at + 7));
        for (const part of parts) {
          for (const document of splitter.push(part)) {
            const request = readJsonRequest(document, NOW_MS);
            if (typeof request === 'string') sign += request;
            else sign += request.batch === undefined ? 'none' : readWholeBatch(request.batch);
          }
        }
      } catch (error) {
        if (error instanceof ForwardError) return error.message;
        throw error;
      }
      return sign;
    },
  },
  {
    name: 'events/record-accessor',
    seeds: ['host', '$.a.b[0]', '$[\'a.b\']["c"][0][-1]', '$.', '$[', '$.a[99999999999]', '$.nested.a.b[0].c'],
    words: ['$.', "['", "']", '[0]', '[-1]', '__proto__', 'constructor', 'nested', '.a'],
    run(bytes) {
      const accessor = parseAccessor(bytes.toString('utf8'));
      if (typeof accessor === 'object' && 'error' in accessor) return accessor.error.replaceAll(/["'].*["']/g, '');
      const [first, , third] = readBatch(batch);
      for (const record of [first?.record, third?.record]) {
        if (record === undefined) continue;
        getAt(record, accessor);
        setAt(record, accessor, 1);
        deleteAt(record, accessor);
      }
      assert.equal(({} as Record<string, unknown>)['fuzz'], undefined);
      return typeof accessor === 'string' ? 'key' : accessor.length;
    },
  },
];
