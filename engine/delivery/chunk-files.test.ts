import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Batch } from '../events/batch.ts';
import { makeBatch, readBatch } from '../testing/driver.ts';
import { OpenChunk } from './chunk.ts';
import { encodeHead, encodeRecord, readChunk } from './chunk-file.ts';
import { ChunkFiles, chunkDirectory } from './chunk-files.ts';
import { Progress } from './progress.ts';
import { Ticket } from './ticket.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const place = { incarnation: 2n ** 40n - 1n, segment: 1_700_000_000_000, offset: 2 ** 39, enteredMs: 1_700_000_000_123 };
const numbered = (from: number, count: number, tag = 't'): Batch => ({
  ...makeBatch(
    Array.from({ length: count }, (_, n) => ({ record: { n: from + n } })),
    tag,
  ),
  place: { ...place, offset: place.offset + from },
});
const numbers = (batches: readonly Batch[]): unknown[] => batches.flatMap(readBatch).map(({ record }) => record['n']);
const HEAD = { openedMs: 5, values: { timekey: 3600, tag: '标签', variables: { host: 'a"b\n', '$.x': '' } } };
const fileOf = (...batches: readonly Batch[]): Buffer =>
  Buffer.concat([encodeHead(HEAD), ...batches.flatMap((batch, n) => encodeRecord(batch, n * 100))]);

describe('the file of a chunk', () => {
  test('keeps batches with their places and ids', () => {
    const batches = [
      numbered(0, 2),
      { ...numbered(2, 2, '日志'), ids: Uint32Array.of(5, 2 ** 32 - 1) },
      makeBatch([{ record: {} }]),
    ];
    const read = readChunk(fileOf(...batches));
    assert.ok(typeof read === 'object');
    assert.deepEqual(read.head, HEAD);
    assert.equal(read.damage, undefined);
    assert.deepEqual(
      read.records.map(({ position, batch: { tag, count, place: at, ids } }) => [position, tag, count, at, ids]),
      batches.map(({ tag, count, place: at, ids }, n) => [n * 100, tag, count, at, ids]),
    );
    assert.deepEqual(
      read.records.map(({ batch }) => readBatch(batch)),
      batches.map(readBatch),
    );
  });

  test('cut anywhere: what is before the cut is there, and nothing is called damaged', () => {
    const parts = [numbered(0, 3), numbered(3, 1)];
    const whole = fileOf(...parts);
    const [head, first] = [encodeHead(HEAD).length, fileOf(numbered(0, 3)).length];
    for (let length = 0; length < whole.length; length++) {
      for (const tail of [Buffer.alloc(0), Buffer.alloc(50)]) {
        const read = readChunk(Buffer.concat([whole.subarray(0, length), tail]));
        if (length < head) {
          // With zeros behind it, the head may seem to be there and be wrong.
          if (tail.length === 0) assert.equal(read, undefined);
          continue;
        }
        assert.ok(typeof read === 'object');
        // Zeros can make the end of an entry whole again.
        if (tail.length === 0) assert.deepEqual([read.records.length, read.damage], [length < first ? 0 : 1, undefined]);
        assert.ok(read.records.length <= 2);
      }
    }
  });

  test('any byte changed: what is before it is there, and it is noticed unless it is the last record', () => {
    const whole = fileOf(numbered(0, 2), numbered(2, 2), numbered(4, 2));
    const ends = [encodeHead(HEAD), fileOf(numbered(0, 2)), fileOf(numbered(0, 2), numbered(2, 2))].map(({ length }) => length);
    for (let at = 0; at < whole.length; at++) {
      const bytes = Buffer.from(whole);
      bytes[at] = (bytes[at] as number) ^ 0x40;
      const read = readChunk(bytes);
      const before = ends.findLastIndex((end) => at >= end);
      if (before < 0) assert.ok(typeof read !== 'object', `byte ${at}`);
      else {
        assert.ok(typeof read === 'object');
        assert.equal(read.records.length, before, `byte ${at}`);
        // A length that reaches beyond the end looks like a torn tail.
        const isLength = at >= (ends[before] as number) + 4 && at < (ends[before] as number) + 8;
        if (before < 2 && !isLength) assert.match(read.damage ?? '', /checksum/, `byte ${at}`);
      }
    }
  });

  test('any bytes', () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        readChunk(Buffer.from(bytes));
        readChunk(Buffer.concat([encodeHead(HEAD), bytes]));
      }),
    ));
});

describe('the chunk files of an output', () => {
  const inDirectory = async (run: (directory: string) => Promise<void>): Promise<void> => {
    const directory = mkdtempSync(join(tmpdir(), 'chunks-'));
    try {
      await run(join(directory, 'made', 'when needed'));
    } finally {
      rmSync(directory, { recursive: true });
    }
  };
  const chunkOf = (progress: Progress, ...batches: readonly Batch[]): OpenChunk => {
    const chunk = new OpenChunk(7, { tag: 't' });
    for (const [n, batch] of batches.entries()) {
      progress.begin(n * 10, n * 10 + 10);
      chunk.add(batch, new Ticket(progress, n * 10, n * 10 + 10), 7);
    }
    return chunk;
  };

  test('are appended to, found again, and removed', async () =>
    await inDirectory(async (directory) => {
      const progress = new Progress();
      const files = new ChunkFiles(chunkDirectory(directory), silent);
      assert.deepEqual(await files.recover(0), []);
      const chunk = chunkOf(progress, numbered(0, 2), numbered(2, 1));
      const { bytes } = chunk;
      assert.equal(await files.spill(chunk), bytes);
      assert.deepEqual([progress.lowWater, chunk.memoryBytes, chunk.count, chunk.bytes], [20, 0, 3, bytes]);
      assert.equal(await files.spill(chunk), 0);
      progress.begin(20, 30);
      chunk.add(numbered(3, 1), new Ticket(progress, 20, 30));
      assert.deepEqual(numbers([...(await files.load(chunk.file as never)), ...chunk.batches]), [0, 1, 2, 3]);
      await files.spill(chunk);

      const later = new ChunkFiles(chunkDirectory(directory), silent);
      const [found, ...others] = await later.recover(15);
      assert.ok(found !== undefined && others.length === 0 && found.file !== undefined);
      assert.deepEqual(
        [found.id, found.openedMs, found.values, found.count, found.bytes],
        [chunk.id, 7, { tag: 't' }, 4, chunk.bytes],
      );
      assert.deepEqual([later.bytes, later.files], [files.bytes, 1]);
      assert.deepEqual(numbers(await later.load(found.file)), [0, 1, 2, 3]);
      // The frame at 20 may come again, the one at 10 cannot.
      assert.deepEqual(
        [later.isKnown(numbered(2, 1), 10), later.isKnown(numbered(3, 1), 20), later.isKnown(numbered(3, 1), 20)],
        [false, true, false],
      );
      await later.remove(found.file);
      assert.deepEqual([readdirSync(directory), later.bytes, later.files], [[], 0, 0]);
    }));

  test('what was torn off is cut, what is damaged is set aside', async () =>
    await inDirectory(async (directory) => {
      const files = new ChunkFiles(chunkDirectory(directory), silent);
      for (let n = 0; n < 4; n++) await files.spill(chunkOf(new Progress(), numbered(n * 10, 2), numbered(n * 10 + 2, 2)));
      const [torn, harmed, headless, empty] = readdirSync(directory).map((name) => join(directory, name)) as [
        string,
        string,
        string,
        string,
      ];
      const disk = chunkDirectory(directory);
      const bytesOf = async (path: string): Promise<Buffer> => await disk.read(path.slice(directory.length + 1));
      writeFileSync(torn, (await bytesOf(torn)).subarray(0, -3));
      const middle = await bytesOf(harmed);
      middle.writeUInt8((middle.at(-120) ?? 0) ^ 1, middle.length - 120);
      writeFileSync(harmed, middle);
      writeFileSync(headless, Buffer.concat([Buffer.from('x'), await bytesOf(headless)]));
      writeFileSync(empty, Buffer.alloc(4096));
      const later = new ChunkFiles(disk, silent);
      const found = await later.recover(0);
      assert.equal(later.damaged, 2);
      assert.deepEqual(readdirSync(directory).filter((name) => name.endsWith('.damaged')).length, 2);
      assert.ok(
        found.every(({ count }) => count === 2),
        'the record before is kept',
      );
      // The torn one goes on behind what is whole.
      const [chunk] = found.filter(({ file }) => file !== undefined && torn.endsWith(file.path));
      assert.ok(chunk?.file !== undefined);
      chunk.add(numbered(90, 1), undefined);
      await later.spill(chunk);
      assert.equal((await later.load(chunk.file)).length, 2);
    }));

  test('a write that fails leaves the chunk as it was', async () =>
    await inDirectory(async (directory) => {
      const disk = chunkDirectory(directory);
      let fails = true;
      const files = new ChunkFiles(
        {
          ...disk,
          async write(name, at, parts) {
            await disk.write(name, at, parts);
            if (fails && parts.length > 0) throw new Error('EIO');
          },
        },
        silent,
      );
      const progress = new Progress();
      const chunk = chunkOf(progress, numbered(0, 2));
      await assert.rejects(files.spill(chunk), /EIO/);
      assert.deepEqual(
        [chunk.file, chunk.batches.length, progress.lowWater, files.bytes, readdirSync(directory)],
        [undefined, 1, 0, 0, []],
      );
      fails = false;
      await files.spill(chunk);
      chunk.add(numbered(2, 2), undefined);
      fails = true;
      await assert.rejects(files.spill(chunk), /EIO/);
      assert.deepEqual(numbers(await files.load(chunk.file as never)), [0, 1]);
      const later = new ChunkFiles(disk, silent);
      assert.equal((await later.recover(0))[0]?.count, 2, 'what failed is not found later');
    }));
});
