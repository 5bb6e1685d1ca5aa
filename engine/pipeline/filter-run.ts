import type { Consumer, Filter, Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import { ByteWriter } from '../events/byte-writer.ts';
import { EntryWriter } from '../events/entry-writer.ts';
import { EventCursor, type Created } from '../events/view.ts';
import type { Account } from '../telemetry/accounts.ts';

export interface FilterNode {
  readonly id: string;
  readonly filter: Filter;
  readonly account: Account;
  readonly log: Log;
}

export interface ConsumerNode {
  readonly id: string;
  readonly consumer: Consumer;
  readonly account: Account;
  readonly log: Log;
}

export interface FilterOutcome {
  /** What goes on; the very batch when nothing was changed; undefined when nothing is left. */
  readonly batch: Batch | undefined;
  readonly created: readonly Created[];
}

/** A log line for the 1st, 2nd, 4th, 8th ... failure: one bad stream does not flood the log. */
const isPowerOfTwo = (count: number): boolean => (count & (count - 1)) === 0;

/** Batches up to this size are put together in one buffer that is used again, and copied out of it. */
const SMALL = 65_536;

/** Runs filters over batches, event by event. Untouched runs of events are copied as they are. */
export class FilterRunner {
  readonly #cursor = new EventCursor();
  readonly #small = new ByteWriter(SMALL);
  #ids = new Uint32Array(1024);
  // Size of the last large batch after the filters to that before: how much room the next one is given.
  #ratio = 1;

  /** @param failuresTo  label for events on which a filter throws; they are dropped when it is undefined */
  run(filters: readonly FilterNode[], batch: Batch, failuresTo: string | undefined): FilterOutcome {
    const cursor = this.#cursor;
    const { bytes, count, ids } = batch;
    let out: ByteWriter | undefined;
    if (this.#ids.length < count) this.#ids = new Uint32Array(count * 2);
    cursor.open(batch);
    let runAt = batch.start;
    let kept = 0;
    for (let n = 0; n < count; n++) {
      const id = ids === undefined ? n << 8 : (ids[n] as number);
      cursor.next(id >>> 8);
      const alive = this.#one(filters, cursor, failuresTo);
      if (alive && !cursor.edited) {
        this.#ids[kept++] = id;
        continue;
      }
      out ??= this.#room(batch.end - batch.start);
      // The events before this one are copied in one piece.
      if (cursor.entryStart > runAt) out.raw(bytes, runAt, cursor.entryStart);
      runAt = cursor.entryEnd;
      if (alive) {
        cursor.write(out);
        this.#ids[kept++] = id;
      }
    }
    const created = cursor.created.splice(0);
    if (out === undefined) return { batch, created };
    if (kept === 0) return { batch: undefined, created };
    if (batch.end > runAt) out.raw(bytes, runAt, batch.end);
    const made = this.#made(out, batch.end - batch.start);
    const next = { tag: batch.tag, bytes: made, start: 0, end: made.length, count: kept };
    const place = batch.place === undefined ? {} : { place: batch.place };
    const needsIds = kept !== count || ids !== undefined;
    return { batch: needsIds ? { ...next, ...place, ids: this.#ids.slice(0, kept) } : { ...next, ...place }, created };
  }

  /** Where the changed events of a batch go. */
  #room(size: number): ByteWriter {
    if (size > SMALL) return new ByteWriter(Math.ceil(size * this.#ratio) + 1024);
    this.#small.reset();
    return this.#small;
  }

  /** A large batch keeps the buffer it was written to, unless much of that is empty. */
  #made(out: ByteWriter, size: number): Buffer {
    if (out === this.#small) return out.copy();
    this.#ratio = (out.length / size) * 1.03;
    return out.length > out.bytes.length * 0.8 ? out.bytes.subarray(0, out.length) : out.copy();
  }

  /** @returns whether the event goes on */
  #one(filters: readonly FilterNode[], cursor: EventCursor, failuresTo: string | undefined): boolean {
    for (const node of filters) {
      const { account } = node;
      account.in++;
      const before = cursor.created.length;
      try {
        node.filter.process(cursor);
      } catch (error) {
        account.errors++;
        if (isPowerOfTwo(account.errors))
          node.log.error({ reason: messageOf(error), count: account.errors }, 'filter failed on an event');
        account.drop(failuresTo === undefined ? 'filter error' : 'filter error, sent to @ERROR', 1);
        if (failuresTo !== undefined) {
          cursor.emit(cursor.tag, cursor.toObject(), failuresTo);
          account.created++;
          account.out++;
        }
        return false;
      }
      const made = cursor.created.length - before;
      account.created += made;
      account.out += made;
      if (cursor.dropReason !== undefined) {
        account.drop(cursor.dropReason, 1);
        return false;
      }
      account.out++;
    }
    return true;
  }

  /** Shows every event of a batch to a consumer. */
  observe(node: ConsumerNode, batch: Batch, nowMs: number): void {
    const cursor = this.#cursor;
    const enteredMs = batch.place?.enteredMs ?? nowMs;
    const { account } = node;
    account.in += batch.count;
    account.out += batch.count;
    cursor.open(batch);
    for (let n = 0; n < batch.count; n++) {
      cursor.next(n);
      try {
        node.consumer.observe(cursor, enteredMs);
      } catch (error) {
        account.errors++;
        if (isPowerOfTwo(account.errors))
          node.log.error({ reason: messageOf(error), count: account.errors }, 'consumer failed on an event');
      }
    }
  }
}

/** Ordinals 1 to 255 tell apart what was split from one event of a frame. */
export class Ordinals {
  readonly #next = new Map<number, number>();
  /** The id of the next part of event `index`; undefined when it was split too often. */
  take(index: number): number | undefined {
    const ordinal = (this.#next.get(index) ?? 0) + 1;
    if (ordinal > 255) return undefined;
    this.#next.set(index, ordinal);
    return ((index << 8) | ordinal) >>> 0;
  }
}

/** Created events as batches: one per tag and label, in order. */
export function batchesOf(
  created: readonly Created[],
  origin: Batch,
  ordinals: Ordinals,
  refuse: (count: number) => void,
): { batch: Batch; label: string | undefined }[] {
  const groups = new Map<string, { writer: EntryWriter; ids: number[]; label: string | undefined; tag: string }>();
  for (const event of created) {
    const id = ordinals.take(event.index);
    if (id === undefined) {
      refuse(1);
      continue;
    }
    const key = `${event.label ?? ''}\0${event.tag}`;
    let group = groups.get(key);
    if (group === undefined) {
      group = { writer: new EntryWriter(1024), ids: [], label: event.label, tag: event.tag };
      groups.set(key, group);
    }
    group.writer.begin();
    group.writer.time(event.seconds, event.nanoseconds);
    group.writer.record(event.record);
    group.writer.commit();
    group.ids.push(id);
  }
  return [...groups.values()].map(({ writer, ids, label, tag }) => ({
    batch: {
      ...(writer.take(tag) as Batch),
      ids: Uint32Array.from(ids),
      ...(origin.place === undefined ? {} : { place: origin.place }),
    },
    label,
  }));
}
