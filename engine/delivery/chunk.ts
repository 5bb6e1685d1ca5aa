import { randomBytes } from 'node:crypto';
import type { Chunk } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import { skipValue } from '../events/msgpack.ts';
import type { Ticket } from './ticket.ts';

/** A chunk while the engine fills it and carries it to its output. */
export class OpenChunk {
  readonly id = randomBytes(16).toString('hex');
  readonly openedMs: number;
  readonly batches: Batch[] = [];
  readonly tickets: Ticket[] = [];
  count = 0;
  bytes = 0;
  attempt = 0;
  firstFailureMs = 0;
  notBeforeMs = 0;
  #tag: string | undefined;
  #tags = 0;

  constructor(openedMs: number) {
    this.openedMs = openedMs;
  }

  add(batch: Batch, ticket: Ticket | undefined): void {
    if (this.#tags === 0 || (this.#tags === 1 && this.#tag !== batch.tag)) {
      this.#tags++;
      this.#tag = batch.tag;
    }
    this.batches.push(batch);
    if (ticket !== undefined) this.tickets.push(ticket);
    this.count += batch.count;
    this.bytes += batch.end - batch.start;
  }

  view(): Chunk {
    const metadata = this.#tags === 1 ? { tag: this.#tag as string } : {};
    return { id: this.id, metadata, batches: this.batches, count: this.count, bytes: this.bytes, attempt: this.attempt };
  }

  release(): void {
    for (const ticket of this.tickets) ticket.release();
    this.tickets.length = 0;
  }
}

/**
 * The events of `batches` with the given indices, which count over all batches in order and must rise.
 * Bytes are shared with the batches where a whole one is taken, copied otherwise; places and ids are kept.
 */
export function selectEvents(batches: readonly Batch[], indices: readonly number[]): Batch[] {
  const selected: Batch[] = [];
  let next = 0;
  let before = 0;
  for (const batch of batches) {
    const wanted: number[] = [];
    while (next < indices.length && (indices[next] as number) < before + batch.count)
      wanted.push((indices[next++] as number) - before);
    before += batch.count;
    if (wanted.length === batch.count) selected.push(batch);
    else if (wanted.length > 0) selected.push(pick(batch, wanted));
  }
  return selected;
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
