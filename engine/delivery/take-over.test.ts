import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { ByteWriter } from '../events/byte-writer.ts';
import { writeValue } from '../events/msgpack-write.ts';
import { FakeClock, makeBatch, readBatch, type LogLine } from '../testing/driver.ts';
import { bufferConfig } from './buffer-config.ts';
import { ChunkFiles, chunkDirectory } from './chunk-files.ts';
import { decodeMeta, parseChunkName, readContent } from './fluentd-buffer.ts';
import { takeOver } from './take-over.ts';

const ID = '5f32232e76a4d1bdfdbeed36c384b03b';
const silent = { debug() {}, info() {}, warn() {}, error() {} };

function metaOf(fields: Record<string, unknown>, isOld = false): Buffer {
  const into = new ByteWriter();
  writeValue(into, { id: Buffer.from(ID, 'hex'), s: 2, c: 1_700_000_000, m: 1_700_000_005, seq: 0, ...fields });
  const map = Buffer.from(into.copy());
  const head = Buffer.from('c10000000000', 'hex');
  head.writeUInt32BE(map.length, 2);
  return isOld ? map : Buffer.concat([head, map]);
}
const contentOf = (...numbers: readonly number[]): Buffer => {
  const { bytes, start, end } = makeBatch(numbers.map((n) => ({ record: { n } })));
  return Buffer.from(bytes.subarray(start, end));
};

describe('names of chunk files', () => {
  for (const [path, want] of [
    [`buffer.b${ID}.log`, `staged ${ID}`],
    [`/var/log/td/buffer.q${ID}.log`, `queued ${ID}`],
    [`x.b${ID}.buf.gz`, `staged ${ID}`],
    [`/d/fsb.app%2Elog.b${ID}.buf`, `staged ${ID} app.log`],
    [`/d/fsb.%E6%97%A5.q${ID}.buf`, `queued ${ID} 日`],
    [`/d/fsb.50%.q${ID}.buf`, `queued ${ID} 50%`],
    [`buffer.b${ID}`, 'unknown'],
    [`buffer.c${ID}.log`, 'unknown'],
    [`/dir.b${ID}.d/file`, 'unknown'],
    ['', 'unknown'],
  ] as const)
    test(path, () => {
      const { state, id, key } = parseChunkName(path);
      assert.equal([state, id, key].filter((part) => part !== undefined).join(' '), want);
    });
});

describe('.meta', () => {
  for (const isOld of [false, true])
    test(isOld ? 'of old' : 'with its head', () =>
      assert.deepEqual(
        decodeMeta(metaOf({ tag: '日志', timekey: 1_700_000_400, variables: { host: 'a', port: 1 }, seq: 3 }, isOld)),
        {
          id: ID,
          records: 2,
          createdAt: 1_700_000_000,
          modifiedAt: 1_700_000_005,
          timekey: 1_700_000_400,
          tag: '日志',
          variables: { host: 'a', port: 1 },
          seq: 3,
        },
      ),
    );

  for (const [name, bytes] of [
    ['no id', metaOf({ id: null })],
    ['no time of creation', metaOf({ c: 0 })],
    ['no time of change', metaOf({ m: 'x' })],
    ['cut off', metaOf({}).subarray(0, -1)],
    ['cut off, old', metaOf({}, true).subarray(0, -1)],
    ['the head alone', Buffer.from('c10000000000', 'hex')],
    ['a list', Buffer.from('9101', 'hex')],
  ] as const)
    test(`damaged: ${name}`, () => assert.equal(decodeMeta(bytes), undefined));

  test('any bytes', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        decodeMeta(bytes);
        decodeMeta(Buffer.concat([Buffer.from('c100000000', 'hex'), Buffer.from([bytes.length]), bytes]));
        readContent(Buffer.from(bytes), 't', 1000, 0);
      }),
    ));
});

describe('what is in a chunk', () => {
  for (const [name, bytes, count, problem] of [
    ['plain', contentOf(1, 2), 2, undefined],
    ['gzip', gzipSync(contentOf(1, 2)), 2, undefined],
    ['gzip, two members', Buffer.concat([gzipSync(contentOf(1)), gzipSync(contentOf(2))]), 2, undefined],
    ['zstd', zstdCompressSync(contentOf(1, 2)), 2, undefined],
    ['cut off', contentOf(1, 2).subarray(0, -1), 1, /ends within an event/],
    ['lines of text', Buffer.from('2024-01-01T00:00:00Z\ttag\t{}\n'), 0, /no events|does not hold events/],
    ['zeros behind', Buffer.concat([contentOf(1), Buffer.alloc(9)]), 1, /9 entries are no events/],
    ['too large', gzipSync(Buffer.alloc(200_000)), 0, /cannot be decompressed/],
  ] as const)
    test(name, () => {
      const { batch, problem: found } = readContent(bytes, 't', 100_000, 0);
      assert.equal(batch?.count ?? 0, count);
      if (problem === undefined) assert.equal(found, undefined);
      else assert.match(found ?? '', problem);
    });
});

describe('taking over', () => {
  const inDirectory = async (run: (directory: string) => Promise<void>): Promise<void> => {
    const directory = mkdtempSync(join(tmpdir(), 'fluentd-'));
    try {
      await run(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
  const ids = ['a', 'b', 'c', 'd'].map((digit) => digit.repeat(32));

  test('chunks go to chunk files once; what cannot be read stays', async () =>
    await inDirectory(async (directory) => {
      const buffer = join(directory, 'es');
      mkdirSync(buffer);
      const [first, second, broken, text] = ids as [string, string, string, string];
      writeFileSync(join(buffer, `buffer.q${first}.log`), contentOf(1, 2));
      writeFileSync(join(buffer, `buffer.q${first}.log.meta`), metaOf({ tag: 'app', c: 1_700_000_100 }));
      writeFileSync(join(buffer, `buffer.b${second}.log`), contentOf(3));
      writeFileSync(
        join(buffer, `buffer.b${second}.log.meta`),
        metaOf({ timekey: 1_699_999_200, variables: { host: 'h', n: 1 } }),
      );
      writeFileSync(join(buffer, `buffer.b${broken}.log`), contentOf(4));
      writeFileSync(join(buffer, `buffer.b${broken}.log.meta`), Buffer.alloc(20));
      writeFileSync(join(buffer, `buffer.b${text}.log`), 'a line\n');
      writeFileSync(join(buffer, 'other.txt'), '');
      const lines: LogLine[] = [];
      const log = {
        ...silent,
        error: (fields: LogLine['fields'], message: string) => void lines.push({ level: 'error', fields, message }),
      };
      const files = new ChunkFiles(chunkDirectory(join(directory, 'ours')), silent);
      const options = {
        config: bufferConfig.parse({ '@type': 'file', path: 'es' }),
        baseDir: directory,
        files,
        known: new Set<string>(),
        clock: new FakeClock(),
        log,
      };
      const chunks = await takeOver(options);
      assert.deepEqual(
        chunks.map(({ id, openedMs, values, count }) => [id, openedMs, values, count]),
        [
          [second, 1_700_000_000_000, { timekey: 1_699_999_200, variables: { host: 'h', n: '1' } }, 1],
          [first, 1_700_000_100_000, { tag: 'app' }, 2],
        ],
      );
      assert.deepEqual(
        (await files.load(chunks[1]?.file as never)).flatMap(readBatch).map(({ tag, record }) => [tag, record['n']]),
        [
          ['app', 1],
          ['app', 2],
        ],
      );
      assert.equal(lines.length, 2);
      assert.deepEqual(
        readdirSync(buffer).filter((name) => !name.endsWith('.taken-over')),
        [`buffer.b${broken}.log`, `buffer.b${broken}.log.meta`, `buffer.b${text}.log`, 'other.txt'],
      );
      assert.deepEqual(await takeOver(options), []);
    }));

  test('one that is in a chunk file already is only renamed', async () =>
    await inDirectory(async (directory) => {
      writeFileSync(join(directory, `fsb.app%2Elog.q${ID}.buf`), contentOf(1));
      const files = new ChunkFiles(chunkDirectory(join(directory, 'ours')), silent);
      const options = {
        config: bufferConfig.parse({ '@type': 'file_single', '@arg': 'host', path: directory }),
        baseDir: '/',
        files,
        clock: new FakeClock(),
        log: silent,
      };
      assert.deepEqual(await takeOver({ ...options, known: new Set([ID]) }), []);
      assert.deepEqual(readdirSync(directory), [`fsb.app%2Elog.q${ID}.buf.taken-over`]);
      writeFileSync(join(directory, `fsb.app%2Elog.q${ID}.buf`), contentOf(1));
      const [chunk] = await takeOver({ ...options, known: new Set() });
      assert.deepEqual(chunk?.values, { variables: { host: 'app.log' } });
    }));

  for (const [path, file] of [
    ['buf', `buf/worker0/buffer.b${ID}.log`],
    ['buf/app.*.log', `buf/app.b${ID}.log`],
    ['buf/app.*', `buf/app.b${ID}.log`],
    ['buf/app', `buf/app.b${ID}.log`],
  ] as const)
    test(`path ${path}: ${file}`, async () =>
      await inDirectory(async (directory) => {
        mkdirSync(join(directory, 'buf', 'worker0'), { recursive: true });
        writeFileSync(join(directory, file), contentOf(1));
        writeFileSync(join(directory, 'buf', `another.b${ids[0]}.log`), contentOf(2));
        const files = new ChunkFiles(chunkDirectory(join(directory, 'ours')), silent);
        const config = bufferConfig.parse({ '@type': 'file', path });
        const chunks = await takeOver({
          config,
          baseDir: directory,
          files,
          known: new Set(),
          clock: new FakeClock(),
          log: silent,
        });
        assert.deepEqual(
          chunks.map(({ id }) => id),
          [ID],
        );
      }));
});
