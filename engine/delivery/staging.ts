import type { Batch } from '../events/batch.ts';
import { flushIntervalOf, type BufferConfig, type FlushMode } from './buffer-config.ts';
import { OpenChunk } from './chunk.ts';
import type { ChunkSplitter, KeySlot } from './chunk-keys.ts';
import type { Ticket } from './ticket.ts';

export interface StagingOptions {
  readonly config: BufferConfig;
  readonly mode: FlushMode;
  readonly splitter: ChunkSplitter;
  /** The chunk takes no more. */
  readonly onClosed: (chunk: OpenChunk) => void;
}

/** Chunks open at a time; beyond, the oldest is closed early. */
const MAX_OPEN = 1000;

/** The chunks that still take events, one for each set of chunk keys, oldest first. */
export class Staging {
  readonly #o: StagingOptions;
  readonly #open = new Map<OpenChunk, KeySlot>();
  readonly #fullBytes: number;
  readonly #fullCount: number;

  constructor(options: StagingOptions) {
    this.#o = options;
    const { chunk_limit_size: bytes, chunk_limit_records: count, chunk_full_threshold: share } = options.config;
    this.#fullBytes = bytes * share;
    this.#fullCount = count * share;
  }

  get size(): number {
    return this.#open.size;
  }

  has(chunk: OpenChunk): boolean {
    return this.#open.has(chunk);
  }

  chunks(): IterableIterator<OpenChunk> {
    return this.#open.keys();
  }

  /** Longest time that a chunk may stay open, milliseconds. */
  get mayStayMs(): number {
    const { mode, config } = this.#o;
    if (mode === 'immediate') return 0;
    return mode === 'interval' ? flushIntervalOf(config) : Infinity;
  }

  /** @param batch  within the limits of a chunk, or one event */
  add(slot: KeySlot, batch: Batch, ticket: Ticket, nowMs: number): void {
    const { chunk_limit_size: maxBytes, chunk_limit_records: maxCount } = this.#o.config;
    let { chunk } = slot;
    const size = batch.end - batch.start;
    if (chunk !== undefined && (chunk.bytes + size > maxBytes || chunk.count + batch.count > maxCount)) {
      this.close(chunk);
      chunk = undefined;
    }
    if (chunk === undefined) {
      if (this.#open.size >= MAX_OPEN) for (const oldest of this.#open.keys()) if (this.close(oldest)) break;
      chunk = new OpenChunk(nowMs, slot.values);
      this.#put(chunk, slot);
    }
    chunk.add(batch, ticket, nowMs);
    if (this.#isFull(chunk)) this.close(chunk);
  }

  /** Goes on filling a chunk that an earlier process left, unless another one takes its events. */
  adopt(chunk: OpenChunk): void {
    const { splitter, onClosed } = this.#o;
    if (!splitter.fits(chunk.values) || this.#open.size >= MAX_OPEN || this.#isFull(chunk)) return onClosed(chunk);
    const slot = splitter.slotOf(chunk.values);
    if (slot.chunk !== undefined) this.close(slot.chunk);
    this.#put(chunk, slot);
  }

  #put(chunk: OpenChunk, slot: KeySlot): void {
    slot.chunk = chunk;
    this.#open.set(chunk, slot);
  }

  #isFull({ bytes, count }: OpenChunk): boolean {
    return bytes >= this.#fullBytes || count >= this.#fullCount;
  }

  /** Closes what has been open for long enough or whose slice of time is over. */
  closeDue(nowMs: number): void {
    const { config, mode } = this.#o;
    const timekeyMs = config.timekey ?? 0;
    for (const chunk of this.#open.keys()) {
      const { timekey } = chunk.values;
      const age = nowMs - chunk.openedMs;
      // A clock that was set back would keep it open for as long.
      if (mode === 'interval' && (age >= flushIntervalOf(config) || age < 0)) this.close(chunk);
      else if (timekey !== undefined) {
        const isOver = timekey * 1000 + timekeyMs + config.timekey_wait <= nowMs;
        // Events from the future would keep it open for as long; it is delivered in parts then.
        if (isOver || age >= 2 * timekeyMs + config.timekey_wait) this.close(chunk);
      }
    }
  }

  closeAll(): void {
    for (const chunk of this.#open.keys()) this.close(chunk);
  }

  /** @returns false when it was not open */
  close(chunk: OpenChunk): boolean {
    if (!this.remove(chunk)) return false;
    this.#o.onClosed(chunk);
    return true;
  }

  /** Takes it out without handing it on. */
  remove(chunk: OpenChunk): boolean {
    const slot = this.#open.get(chunk);
    if (slot === undefined) return false;
    this.#open.delete(chunk);
    if (slot.chunk === chunk) slot.chunk = undefined;
    return true;
  }

  /** The one that holds the oldest frame; undefined when none holds any. */
  oldest(): OpenChunk | undefined {
    let found: OpenChunk | undefined;
    for (const chunk of this.#open.keys()) if (chunk.firstPosition < (found?.firstPosition ?? Infinity)) found = chunk;
    return found;
  }
}
