import { randomBytes } from 'node:crypto';
import { closeSync, fdatasyncSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import type { Consumer, Log } from '../component.ts';
import { MillraceError, messageOf } from '../errors.ts';
import type { Position } from '../log/entrance-log.ts';

/** Hands an interval's part of a consumer to the main thread. */
export type Publish = (consumer: string, intervalMs: number, data: unknown, again: boolean) => void;

export interface BookedConsumer {
  readonly id: string;
  readonly consumer: Consumer;
  /** False: what it publishes is only looked at (a screen), and it keeps no state. */
  readonly keeps: boolean;
}

interface Part {
  readonly consumer: string;
  readonly intervalMs: number;
  readonly data: unknown;
}

interface Saved {
  readonly version: 1;
  readonly cursor: Position;
  readonly states: ReadonlyMap<string, Uint8Array>;
  readonly parts: readonly Part[];
}

/** So many parts that the main thread has not confirmed make the pipeline wait for it. */
const UNCONFIRMED_MAX = 4096;
const MAGIC = Buffer.from('MRCB');

/**
 * What a worker's consumers have counted, and up to where: state and cursor are saved in one write, so that after a crash
 * every event behind the cursor is counted again and none before it. A published part is kept until the main thread says
 * that what was made of it is safe.
 *
 * File: `MRCB`, CRC-32 of the rest (big-endian), then the structured clone of `Saved`; replaced by rename.
 */
export class ConsumerBook {
  readonly #consumers: readonly BookedConsumer[];
  readonly #path: string | undefined;
  readonly #log: Log;
  readonly #publish: Publish;
  #parts: Part[] = [];
  #committed: Position | undefined;
  #isChanged = false;
  #closedMs = -Infinity;

  /** @param path  undefined: nothing is kept beyond the process */
  constructor(consumers: readonly BookedConsumer[], path: string | undefined, log: Log, publish: Publish) {
    this.#consumers = consumers;
    this.#path = path;
    this.#log = log;
    this.#publish = publish;
  }

  /** Whether counts outlive the process. */
  get persists(): boolean {
    return this.#path !== undefined;
  }

  /** Up to where the counts are safe; undefined when nothing was ever saved. */
  get committed(): Position | undefined {
    return this.#committed;
  }

  get isEmpty(): boolean {
    return this.#consumers.length === 0;
  }

  /** Parts that the main thread has to confirm. */
  get unconfirmed(): number {
    return this.#parts.length;
  }

  get isFull(): boolean {
    return this.#parts.length >= UNCONFIRMED_MAX;
  }

  /**
   * Gives every consumer its state back, and publishes again what was not confirmed.
   *
   * @returns the cursor
   */
  restore(): Position | undefined {
    const saved = this.#read();
    if (saved === undefined) return undefined;
    for (const { id, consumer, keeps } of this.#consumers) if (keeps) consumer.restore?.(saved.states.get(id));
    const known = new Set(this.#consumers.map(({ id }) => id));
    this.#parts = saved.parts.filter(({ consumer }) => known.has(consumer));
    this.#committed = saved.cursor;
    for (const { consumer, intervalMs, data } of this.#parts) this.#publish(consumer, intervalMs, data, true);
    return saved.cursor;
  }

  /** A consumer publishes a part of an interval. */
  take(id: string, intervalMs: number, data: unknown): void {
    if (this.persists && this.#consumers.some((booked) => booked.id === id && booked.keeps)) {
      this.#parts.push({ consumer: id, intervalMs, data });
      this.#isChanged = true;
    }
    this.#publish(id, intervalMs, data, false);
  }

  /** The main thread has made something safe of the parts of that interval. */
  confirm(id: string, intervalMs: number): void {
    const left = this.#parts.filter((part) => part.consumer !== id || part.intervalMs !== intervalMs);
    if (left.length === this.#parts.length) return;
    this.#parts = left;
    this.#isChanged = true;
  }

  /** Everything that entered before `untilMs` has been observed: intervals that ended by then are published. */
  close(untilMs: number): void {
    if (untilMs <= this.#closedMs) return;
    this.#closedMs = untilMs;
    for (const { consumer } of this.#consumers) consumer.close?.(untilMs);
  }

  /** An event was observed, or an interval closed, since the last commit. */
  changed(): void {
    this.#isChanged = true;
  }

  /**
   * Saves states, parts and cursor in one step. Synchronous: they belong to one moment, and it is rare.
   *
   * @throws MillraceError MR_DISK
   */
  commit(cursor: Position): void {
    if (this.#path === undefined || (cursor === this.#committed && !this.#isChanged)) return;
    const states = new Map<string, Uint8Array>();
    for (const { id, consumer, keeps } of this.#consumers) {
      const state = keeps ? consumer.snapshot?.() : undefined;
      if (state !== undefined) states.set(id, state);
    }
    const body = serialize({ version: 1, cursor, states, parts: this.#parts } satisfies Saved);
    try {
      replace(this.#path, body);
    } catch (cause) {
      throw new MillraceError('MR_DISK', `cannot save what was counted in ${this.#path}: ${messageOf(cause)}`, { cause });
    }
    this.#committed = cursor;
    this.#isChanged = false;
  }

  #read(): Saved | undefined {
    if (this.#path === undefined) return undefined;
    let bytes: Buffer;
    try {
      bytes = readFileSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw new MillraceError('MR_DISK', `cannot read ${this.#path}: ${messageOf(error)}`, { cause: error });
    }
    const saved = decode(bytes);
    if (saved !== undefined) return saved;
    const aside = `${this.#path}.damaged-${randomBytes(4).toString('hex')}`;
    renameSync(this.#path, aside);
    this.#log.error(
      { path: this.#path, aside },
      'what was counted is damaged and was set aside: open intervals are counted from what the log still has',
    );
    return undefined;
  }
}

function decode(bytes: Buffer): Saved | undefined {
  if (bytes.length < 8 || !bytes.subarray(0, 4).equals(MAGIC)) return undefined;
  const body = bytes.subarray(8);
  if (crc32(body) !== bytes.readUInt32BE(4)) return undefined;
  const saved = deserialize(body) as Saved;
  return saved.version === 1 ? saved : undefined;
}

function replace(path: string, body: Buffer): void {
  const header = Buffer.alloc(8);
  MAGIC.copy(header);
  header.writeUInt32BE(crc32(body), 4);
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(`${path}.new`, 'w', 0o640);
  try {
    writeAll(file, Buffer.concat([header, body]));
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(`${path}.new`, path);
  const folder = openSync(dirname(path), 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

function writeAll(file: number, bytes: Buffer): void {
  for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
}
