import type { Clock, Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { Position } from '../log/entrance-log.ts';
import type { Account } from '../telemetry/accounts.ts';
import type { BufferConfig } from './buffer-config.ts';
import type { OpenChunk } from './chunk.ts';
import type { ChunkFile } from './chunk-file.ts';
import type { ChunkFiles } from './chunk-files.ts';
import type { Staging } from './staging.ts';
import { takeOver } from './take-over.ts';

export interface SpillerOptions {
  readonly files: ChunkFiles;
  readonly staging: Staging;
  readonly log: Log;
  readonly clock: Clock;
  readonly account: Account;
  readonly config: BufferConfig;
  /** So many bytes more (or less) are in memory. */
  readonly memory: (delta: number) => void;
}

/** Moves open chunks from memory to their files in the background, and back when they are delivered. */
export class Spiller {
  readonly #o: SpillerOptions;
  readonly files: ChunkFiles;
  #isRunning = false;
  #isEnding = false;
  /** Why files cannot be written at present, and since when. */
  failure: { readonly reason: string; readonly sinceMs: number } | undefined;
  readonly #chores = new Set<Promise<void>>();

  constructor(options: SpillerOptions) {
    this.#o = options;
    this.files = options.files;
  }

  /**
   * Takes over what an earlier process left in chunk files, and a Fluentd in its own.
   *
   * @param lowWater  frames before it are never handed out again
   * @param baseDir  where a relative path of Fluentd's buffer begins; undefined: another worker looks after that
   */
  async recover(lowWater: Position, baseDir: string | undefined): Promise<void> {
    const { files, staging, account, config, clock, log } = this.#o;
    const chunks = await files.recover(lowWater);
    if (baseDir !== undefined) {
      const known = new Set(chunks.map(({ id }) => id));
      chunks.unshift(...(await takeOver({ config, baseDir, files, known, clock, log })));
    }
    for (const chunk of chunks) {
      account.created += chunk.count;
      account.pending += chunk.count;
      staging.adopt(chunk);
    }
  }

  /**
   * Puts what open chunks hold in memory into their files, as far as it is wanted.
   *
   * @returns false when there is nothing to do
   */
  spill(wanted: (chunk: OpenChunk) => boolean): boolean {
    if (this.#isRunning) return true;
    const chunks = [...this.#o.staging.chunks()].filter((chunk) => chunk.batches.length > 0 && wanted(chunk));
    if (chunks.length === 0) return false;
    this.#isRunning = true;
    this.#chore(this.#all(chunks).finally(() => (this.#isRunning = false)));
    return true;
  }

  /** One after the other: each waits for the disk. */
  async #all(chunks: readonly OpenChunk[]): Promise<void> {
    for (const chunk of chunks) {
      // Closed or dropped meanwhile.
      if (this.#isEnding || !this.#o.staging.has(chunk)) continue;
      chunk.spilling = this.#one(chunk);
      await chunk.spilling;
      chunk.spilling = undefined;
      if (this.failure !== undefined) return;
    }
  }

  async #one(chunk: OpenChunk): Promise<void> {
    const { clock, log, memory } = this.#o;
    try {
      memory(-(await this.files.spill(chunk)));
      this.failure = undefined;
    } catch (error) {
      const reason = `chunk files cannot be written: ${messageOf(error)}`;
      if (this.failure === undefined) log.error({ reason }, 'chunks stay in memory and in the entrance log');
      this.failure = { reason, sinceMs: this.failure?.sinceMs ?? clock.now() };
    }
  }

  /** What lies in the chunk's file; counts as memory until `unload`. */
  load(chunk: OpenChunk): Promise<readonly Batch[]> {
    const { file } = chunk;
    if (file === undefined) return Promise.resolve([]);
    chunk.loadedBytes = file.entryBytes;
    this.#o.memory(file.entryBytes);
    return this.files.load(file);
  }

  unload(chunk: OpenChunk): void {
    if (chunk.loadedBytes === 0) return;
    this.#o.memory(-chunk.loadedBytes);
    chunk.loadedBytes = 0;
  }

  /** The file cannot be read: its events are booked as dropped, the file is kept for a person. */
  lost(chunk: OpenChunk, reason: string): void {
    const { file } = chunk;
    if (file === undefined) return;
    const { account, log } = this.#o;
    log.error({ events: file.count, reason }, 'a chunk file cannot be read; its events are lost to this output');
    account.pending -= file.count;
    account.drop('chunk file damaged', file.count);
    chunk.count -= file.count;
    chunk.bytes -= file.entryBytes;
    chunk.file = undefined;
    this.#chore(this.files.giveUp(file, reason));
  }

  remove(file: ChunkFile): void {
    this.#chore(this.files.remove(file));
  }

  /** Begins nothing new; resolves when what is under way has come to its end. */
  async done(): Promise<void> {
    this.#isEnding = true;
    await Promise.all(this.#chores);
  }

  #chore(work: Promise<void>): void {
    const chore = work
      .catch((error: unknown) => this.#o.log.error({ reason: messageOf(error) }, 'work on chunk files failed'))
      .finally(() => this.#chores.delete(chore));
    this.#chores.add(chore);
  }
}
