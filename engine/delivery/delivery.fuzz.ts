import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { makeBatch } from '../testing/driver.ts';
import type { FuzzTarget } from '../testing/fuzz.ts';
import { encodeHead, encodeRecord, readChunk } from './chunk-file.ts';
import { idOfLine, parseLetter, readEvent } from './dead-letters-format.ts';
import { parseFileName } from './dead-letters-names.ts';
import { ProgressFile, type SlotStore } from './progress-file.ts';

const batch = makeBatch([{ record: { message: '中文', n: 1 } }]);
const event = Buffer.from(batch.bytes.subarray(batch.start, batch.end)).toString('base64');
const LETTER = `{"id":"0123456789abcdefghijklmnopqrstuv","buried":"2026-01-02T03:04:05.678Z","output":"es","reason":"400 mapping","status":400,"tries":2,"tag":"a.b","place":["1f",1700000000000,77,1700000000001,3],"metadata":{"tag":"a.b"},"event":"${event}"`;
const seal = (body: string): string => `${body},"crc":"${crc32(body).toString(16).padStart(8, '0')}"}`;

/** Three slots of a file that holds only these bytes, at the start of the first one. */
const slotsOf = (bytes: Buffer): SlotStore => ({
  read(into, at) {
    if (at < bytes.length) bytes.copy(into, 0, at);
  },
  write: () => undefined,
  sync: (done) => done(null),
  close: () => undefined,
});

function progressOf(lowWater: number, ranges: readonly number[]): Buffer {
  let written: Buffer = Buffer.alloc(0);
  new ProgressFile({ ...slotsOf(written), write: (bytes) => (written = Buffer.from(bytes)) }).save(lowWater, ranges);
  return written;
}

const CHUNK = Buffer.concat([
  encodeHead({ openedMs: 1_700_000_000_000, values: { timekey: 1_700_000_000, tag: 'a.b', variables: { host: '甲' } } }),
  ...encodeRecord({ ...batch, place: { incarnation: 1n, segment: 1, offset: 2, enteredMs: 3 } }, 77),
  ...encodeRecord({ ...batch, ids: Uint32Array.of(5) }, 99),
]);

/** Gives head and first record checksums that are right. */
function sealChunk(bytes: Buffer): void {
  if (bytes.length < 32) return;
  const headEnd = 16 + bytes.readUInt32LE(12);
  if (headEnd + 8 > bytes.length) return;
  bytes.writeUInt32LE(crc32(bytes.subarray(16, headEnd)), 8);
  const end = headEnd + 8 + bytes.readUInt32LE(headEnd + 4);
  if (end <= bytes.length) bytes.writeUInt32LE(crc32(bytes.subarray(headEnd + 4, end)), headEnd);
}

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'delivery/dead-letter',
    // The last one holds an empty list in place of an entry.
    seeds: [seal(LETTER), LETTER, seal(LETTER.replace(event, 'kA=='))],
    words: [
      '"id":"',
      '"place":',
      '"event":"',
      '"metadata":',
      'null',
      '[',
      ']',
      '{',
      '}',
      '"zz"',
      '1e999',
      '-1',
      event.slice(0, 8),
    ],
    run(bytes) {
      const text = bytes.toString('utf8');
      idOfLine(text);
      parseFileName(text);
      let sign = '';
      // As it is, and with a checksum that is right: whoever can write the file can do that too.
      for (const line of [text, seal(text.replace(/,"crc":.*$/s, ''))]) {
        const letter = parseLetter(line);
        sign += letter === undefined ? ' no' : ` ${letter.place === undefined} ${letter.tries}`;
        if (letter === undefined) continue;
        assert.ok(Number.isFinite(letter.buriedMs));
        JSON.stringify(readEvent(letter.event));
      }
      return sign;
    },
  },
  {
    name: 'delivery/progress',
    seeds: [progressOf(0, []), progressOf(12_345, [20_000, 20_100, 30_000, 2 ** 50])],
    words: ['ffffffff', '00000000', '10270000', '11270000', '28000000'].map((hex) => Buffer.from(hex, 'hex')),
    run(bytes) {
      // With a checksum that is right, half of the time.
      if (bytes.length > 40 && bytes.length % 2 === 0) {
        const length = bytes.readUInt32LE(12);
        if (length > 12 && length <= bytes.length) bytes.writeUInt32LE(crc32(bytes.subarray(12, length)), 8);
      }
      const saved = new ProgressFile(slotsOf(bytes)).load();
      return saved === undefined ? 'none' : `${saved.ranges.length} ${saved.lowWater === 0}`;
    },
  },
  {
    name: 'delivery/chunk-file',
    seeds: [
      CHUNK,
      CHUNK.subarray(0, CHUNK.length - 7),
      Buffer.concat([CHUNK, Buffer.alloc(100)]),
      encodeHead({ openedMs: 0, values: {} }),
    ],
    words: [
      '"openedMs"',
      '"timekey"',
      '"variables"',
      ...['ffffffff', '00000000', '01000000', '03000000', '1c000000'].map((hex) => Buffer.from(hex, 'hex')),
    ],
    run(bytes) {
      if (bytes.length % 2 === 0) sealChunk(bytes);
      const chunk = readChunk(bytes);
      if (typeof chunk !== 'object') return chunk ?? 'none';
      assert.ok(chunk.goodBytes <= bytes.length);
      for (const { batch: read } of chunk.records) assert.ok(read.start <= read.end && read.end <= bytes.length);
      return `${chunk.records.length} ${chunk.damage?.replaceAll(/\d+/g, '')}`;
    },
  },
];
