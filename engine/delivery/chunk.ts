import { randomBytes } from 'node:crypto';
import type { Chunk } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import { skipValue } from '../events/msgpack.ts';
import type { Position } from '../log/entrance-log.ts';
import type { ChunkValues } from '../placeholders.ts';
import type { ChunkFile } from './chunk-file.ts';
import type { Ticket } from './ticket.ts';

/** A chunk while the engine fills it and carries it to its output: what lies in its file, if it has one, and in memory. */
export class OpenChunk {
  readonly id: string;
  readonly openedMs: number;
  readonly values: ChunkValues;
  /** In memory, with their tickets; what is in the file came before. */
  readonly batches: Batch[] = [];
  readonly tickets: (Ticket | undefined)[] = [];
  memoryBytes = 0;
  /** When the oldest batch in memory came. */
  memoryMs = 0;
  /** Of what was read back from its file for a try. */
  loadedBytes = 0;
  count = 0;
  bytes = 0;
  file: ChunkFile | undefined;
  /** The file of the chunk whose rest this is; it goes when the rest is done. */
  heldFile: ChunkFile | undefined;
  /** Its memory is on its way to the file. */
  spilling: Promise<void> | undefined;

  attempt = 0;
  firstFailureMs = 0;
  /** Failed tries when it changed over to the secondary output; 0: it has not. */
  secondaryAt = 0;
  notBeforeMs = 0;
  /** How long the wait until then was meant to be. */
  waitMs = 0;
  #tag: string | undefined;
  #tags = 0;

  constructor(openedMs: number, values: ChunkValues = {}, id = randomBytes(16).toString('hex')) {
    this.openedMs = openedMs;
    this.values = values;
    this.id = id;
  }

  add(batch: Batch, ticket: Ticket | undefined, nowMs = 0): void {
    this.sawTag(batch.tag);
    if (this.batches.length === 0) this.memoryMs = nowMs;
    this.batches.push(batch);
    this.tickets.push(ticket);
    this.count += batch.count;
    this.bytes += batch.end - batch.start;
    this.memoryBytes += batch.end - batch.start;
  }

  sawTag(tag: string): void {
    if (this.#tags === 0 || (this.#tags === 1 && this.#tag !== tag)) {
      this.#tags++;
      this.#tag = tag;
    }
  }

  /** What lies in its file counts with it. */
  adopt(file: ChunkFile): void {
    this.file = file;
    for (const tag of file.tags) this.sawTag(tag);
    this.count += file.count;
    this.bytes += file.entryBytes;
  }

  /** The first `count` batches in memory are in the file now: nobody has to keep their frames. */
  spilled(count: number): void {
    for (const batch of this.batches.splice(0, count)) this.memoryBytes -= batch.end - batch.start;
    for (const ticket of this.tickets.splice(0, count)) ticket?.release();
  }

  /** The first frame of the log that it holds back. */
  get firstPosition(): Position {
    // Frames begin in order.
    for (const ticket of this.tickets) if (ticket !== undefined) return ticket.position;
    return Infinity;
  }

  /** @param stored  what lies in its file */
  view(stored: readonly Batch[] = []): Chunk {
    const { timekey, variables } = this.values;
    const tag = this.#tags === 1 ? this.#tag : undefined;
    return {
      id: this.id,
      metadata: {
        ...(tag !== undefined && { tag }),
        ...(timekey !== undefined && { timekey }),
        ...(variables !== undefined && { variables }),
      },
      batches: stored.length === 0 ? this.batches : [...stored, ...this.batches],
      count: this.count,
      bytes: this.bytes,
      attempt: this.attempt,
    };
  }

  release(): void {
    for (const ticket of this.tickets.splice(0)) ticket?.release();
  }
}

/**
 * The events of `batches` with the given indices, which count over all batches in order and must rise.
 * Bytes are shared with the batches where a whole one is taken, copied otherwise; places and ids are kept.
 */
export function selectEvents(batches: readonly Batch[], indices: readonly number[]): Batch[] {
  const selected: Batch[] = [];
  eachBatch(batches, indices, (batch, wanted) => selected.push(wanted.length === batch.count ? batch : pick(batch, wanted)));
  return selected;
}

/** The same, a batch of one event for each index. */
export function selectEach(batches: readonly Batch[], indices: readonly number[]): Batch[] {
  const selected: Batch[] = [];
  eachBatch(batches, indices, (batch, wanted) => {
    const part = wanted.length === batch.count ? batch : pick(batch, wanted);
    selected.push(...pieces(part, Infinity, 1));
  });
  return selected;
}

/**
 * A batch in pieces of at most so many bytes and events, which share its bytes. An event that is larger alone is a piece of
 * its own.
 */
export function pieces(batch: Batch, maxBytes: number, maxCount: number): Batch[] {
  if (batch.count <= maxCount && batch.end - batch.start <= maxBytes) return [batch];
  const parts: Batch[] = [];
  let start = batch.start;
  let first = 0;
  let at = batch.start;
  for (let n = 0; n < batch.count; n++) {
    const end = skipValue(batch.bytes, at, batch.end);
    if (n > first && (end - start > maxBytes || n - first >= maxCount)) {
      parts.push(slice(batch, start, at, first, n));
      start = at;
      first = n;
    }
    at = end;
  }
  parts.push(slice(batch, start, at, first, batch.count));
  return parts;
}

function slice(batch: Batch, start: number, end: number, from: number, to: number): Batch {
  const ids = batch.ids?.subarray(from, to) ?? Uint32Array.from({ length: to - from }, (_, n) => (from + n) << 8);
  return { ...batch, start, end, count: to - from, ids };
}

function eachBatch(
  batches: readonly Batch[],
  indices: readonly number[],
  take: (batch: Batch, wanted: readonly number[]) => void,
): void {
  let next = 0;
  let before = 0;
  for (const batch of batches) {
    const wanted: number[] = [];
    while (next < indices.length && (indices[next] as number) < before + batch.count)
      wanted.push((indices[next++] as number) - before);
    before += batch.count;
    if (wanted.length > 0) take(batch, wanted);
  }
}

function pick(batch: Batch, wanted: readonly number[]): Batch {
  const parts: Uint8Array[] = [];
  const ids = new Uint32Array(wanted.length);
  let at = batch.start;
  let next = 0;
  for (let n = 0; n < batch.count && next < wanted.length; n++) {
    const end = skipValue(batch.bytes, at, batch.end);
    if (n === wanted[next]) {
      parts.push(batch.bytes.subarray(at, end));
      ids[next++] = batch.ids?.[n] ?? n * 256;
    }
    at = end;
  }
  const bytes = Buffer.concat(parts);
  const place = batch.place === undefined ? {} : { place: batch.place };
  return { tag: batch.tag, bytes, start: 0, end: bytes.length, count: wanted.length, ids, ...place };
}
