import { constants } from 'node:fs';
import { copyFile, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { Position } from '../log/entrance-log.ts';
import { OpenChunk } from './chunk.ts';
import { encodeHead, encodeRecord, fingerprint, readChunk, type ChunkFile } from './chunk-file.ts';

/** What is needed of a directory, so that tests can have one that fails and forgets. */
export interface ChunkDisk {
  list(): Promise<string[]>;
  read(name: string): Promise<Buffer>;
  /** Puts `parts` at `at` and cuts off what is behind; all of it is on the disk when it resolves. */
  write(name: string, at: number, parts: readonly Uint8Array[]): Promise<void>;
  remove(name: string): Promise<void>;
  /** Keeps a damaged file under another name; with `copies` the file itself stays, too. */
  setAside(name: string, copies: boolean): Promise<void>;
}

const SUFFIX = '.chunk';
/** Records that are remembered so that the log cannot hand them out twice; more than lie in a second of small frames. */
const MAX_KNOWN = 200_000;

/** The chunk files of one output. */
export class ChunkFiles {
  readonly #disk: ChunkDisk;
  readonly #log: Log;
  /** Events that are in files already although their frames are not known as finished; by fingerprint. */
  readonly #known = new Set<string>();
  #knownUntil: Position = 0;
  /** Of all files. */
  bytes = 0;
  files = 0;
  /** Files that could not be read as a whole; they lie beside the others under another name. */
  damaged = 0;
  /** Events that were put into files since the start. */
  spilledEvents = 0;

  constructor(disk: ChunkDisk, log: Log) {
    this.#disk = disk;
    this.#log = log;
  }

  /**
   * The chunks that an earlier process left, oldest first.
   *
   * @param lowWater  frames before it are never handed out again
   */
  async recover(lowWater: Position): Promise<OpenChunk[]> {
    const chunks: OpenChunk[] = [];
    for (const name of await this.#disk.list()) {
      if (!name.endsWith(SUFFIX)) continue;
      const chunk = await this.#recover(name, lowWater);
      if (chunk !== undefined) chunks.push(chunk);
    }
    return chunks.toSorted((a, b) => a.openedMs - b.openedMs);
  }

  async #recover(name: string, lowWater: Position): Promise<OpenChunk | undefined> {
    const found = readChunk(await this.#disk.read(name));
    if (typeof found === 'string') {
      await this.#damage(name, found, false);
      return undefined;
    }
    if (found?.damage !== undefined) await this.#damage(name, found.damage, true);
    // Torn off before its first record was there: the log still has the events.
    if (found === undefined || found.records.length === 0) {
      await this.#disk.remove(name);
      return undefined;
    }
    const file: ChunkFile = { path: name, fileBytes: found.goodBytes, entryBytes: 0, count: 0, tags: new Set() };
    for (const { batch, position } of found.records) {
      file.entryBytes += batch.end - batch.start;
      file.count += batch.count;
      file.tags.add(batch.tag);
      const print = fingerprint(batch);
      if (print === undefined || position < lowWater || this.#known.size >= MAX_KNOWN) continue;
      this.#known.add(print);
      this.#knownUntil = Math.max(this.#knownUntil, position);
    }
    this.bytes += file.fileBytes;
    this.files++;
    const chunk = new OpenChunk(found.head.openedMs, found.head.values, name.slice(0, -SUFFIX.length));
    chunk.adopt(file);
    return chunk;
  }

  async #damage(name: string, reason: string, copies: boolean): Promise<void> {
    this.damaged++;
    this.#log.error({ file: name, reason }, 'a chunk file is damaged; it was set aside, what could be read of it is delivered');
    await this.#disk.setAside(name, copies);
  }

  /** Whether these events lie in a file already: the log hands out again what a crash kept from being booked. */
  isKnown(batch: Batch, position: Position): boolean {
    if (this.#known.size === 0) return false;
    if (position > this.#knownUntil) {
      this.#known.clear();
      return false;
    }
    const print = fingerprint(batch);
    return print !== undefined && this.#known.delete(print);
  }

  /**
   * Appends what the chunk holds in memory. On return it is on the disk and the chunk has let go of it.
   *
   * @returns bytes that are not in memory any more
   * @throws what the disk says; the chunk is as it was then
   */
  async spill(chunk: OpenChunk): Promise<number> {
    const count = chunk.batches.length;
    if (count === 0) return 0;
    const batches = chunk.batches.slice(0, count);
    const { openedMs, values, tickets } = chunk;
    const parts: Uint8Array[] = chunk.file === undefined ? [encodeHead({ openedMs, values })] : [];
    for (const [n, batch] of batches.entries()) parts.push(...encodeRecord(batch, tickets[n]?.position ?? 0));
    const file = chunk.file ?? { path: `${chunk.id}${SUFFIX}`, fileBytes: 0, entryBytes: 0, count: 0, tags: new Set<string>() };
    await this.#write(file, parts);
    const added = parts.reduce((sum, part) => sum + part.length, 0);
    if (chunk.file === undefined) this.files++;
    chunk.file = file;
    file.fileBytes += added;
    this.bytes += added;
    let freed = 0;
    for (const batch of batches) {
      freed += batch.end - batch.start;
      file.count += batch.count;
      file.tags.add(batch.tag);
      this.spilledEvents += batch.count;
    }
    file.entryBytes += freed;
    chunk.spilled(count);
    return freed;
  }

  async #write(file: ChunkFile, parts: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#disk.write(file.path, file.fileBytes, parts);
    } catch (error) {
      // What reached the file all the same would be found at the next start, when it may have been delivered long ago.
      await (file.count === 0 ? this.#disk.remove(file.path) : this.#disk.write(file.path, file.fileBytes, [])).catch(
        () => undefined,
      );
      throw error;
    }
  }

  /** @throws what the disk says, or that less is there than was written */
  async load(file: ChunkFile): Promise<Batch[]> {
    const bytes = await this.#disk.read(file.path);
    const found = readChunk(bytes.subarray(0, file.fileBytes));
    if (found === undefined || typeof found === 'string') throw new Error(`${file.path}: ${found ?? 'it is cut off'}`);
    const batches = found.records.map(({ batch }) => batch);
    const count = batches.reduce((sum, batch) => sum + batch.count, 0);
    if (count !== file.count) throw new Error(`${file.path}: ${found.damage ?? 'events are missing'}`);
    return batches;
  }

  /** The file could be read once and cannot any more: it is kept for a person. */
  async giveUp(file: ChunkFile, reason: string): Promise<void> {
    this.#forget(file);
    await this.#damage(file.path, reason, false);
  }

  async remove(file: ChunkFile): Promise<void> {
    this.#forget(file);
    try {
      await this.#disk.remove(file.path);
    } catch (error) {
      this.#log.error({ file: file.path, reason: messageOf(error) }, 'a chunk file that was delivered cannot be removed');
    }
  }

  #forget(file: ChunkFile): void {
    this.bytes -= file.fileBytes;
    this.files--;
  }
}

/** A directory, made at the first write. */
export function chunkDirectory(directory: string): ChunkDisk {
  return {
    async list() {
      try {
        return await readdir(directory);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
        throw error;
      }
    },
    read: (name) => readFile(join(directory, name)),
    async write(name, at, parts) {
      if (at === 0) await mkdir(directory, { recursive: true });
      const file = await open(join(directory, name), constants.O_WRONLY | constants.O_CREAT, 0o640);
      try {
        await file.truncate(at);
        let to = at;
        for (let n = 0; n < parts.length; n += MAX_PARTS) to += await writeAll(file, parts.slice(n, n + MAX_PARTS), to);
        await file.datasync();
      } finally {
        await file.close();
      }
      if (at === 0) await syncDirectory(directory);
    },
    remove: (name) => rm(join(directory, name), { force: true }),
    async setAside(name, copies) {
      const from = join(directory, name);
      const to = `${from}.damaged`;
      await (copies ? copyFile(from, to) : rename(from, to));
    },
  };
}

/** The system takes 1,024 parts at once. */
const MAX_PARTS = 1000;

async function writeAll(file: Awaited<ReturnType<typeof open>>, parts: readonly Uint8Array[], at: number): Promise<number> {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const { bytesWritten } = await file.writev(parts, at);
  if (bytesWritten === size) return size;
  // Cut short in the middle: the rest in one piece.
  const rest = Buffer.concat(parts).subarray(bytesWritten);
  for (let done = 0; done < rest.length;)
    done += (await file.write(rest, done, rest.length - done, at + bytesWritten + done)).bytesWritten;
  return size;
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
