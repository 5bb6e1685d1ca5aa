/**
 * Counts what may be stored twice. Ids are unique inside one index only: an event whose answer was lost, and that is sent
 * again after its data stream or alias has rolled over, is stored a second time and nobody is told. This finds out when that
 * can have happened.
 */
import type { Batch } from '../../engine/events/batch.ts';

export interface RepeatsOptions {
  /** Events that entered before were perhaps sent by an earlier process. Milliseconds since the epoch. */
  readonly startedMs: number;
  /** When an index was made, milliseconds since the epoch; undefined when the server does not tell. */
  readonly createdMs: (index: string) => Promise<number | undefined>;
}

/** Clocks of two machines. */
const CLOCKS_APART_MS = 60_000;
const MAX_REMEMBERED = 1000;

export class Repeats {
  readonly #o: RepeatsOptions;
  /** First event of what may have been stored → when it was first sent. */
  readonly #unknown = new Map<string, number>();
  readonly #created = new Map<string, number>();

  constructor(options: RepeatsOptions) {
    this.#o = options;
  }

  /** When these events may have been sent for the first time; undefined when they never were. */
  since(batches: readonly Batch[]): number | undefined {
    const first = batches[0];
    const key = keyOf(batches, 0);
    const known = key === undefined ? undefined : this.#unknown.get(key);
    if (known !== undefined) return known;
    const enteredMs = first?.place?.enteredMs;
    return enteredMs !== undefined && enteredMs < this.#o.startedMs ? enteredMs : undefined;
  }

  /** Remembers that events from `index` on may have been stored by a request of `sinceMs`. */
  remember(batches: readonly Batch[], index: number, sinceMs: number): void {
    const key = keyOf(batches, index);
    if (key === undefined) return;
    if (this.#unknown.size >= MAX_REMEMBERED) this.#unknown.delete(this.#unknown.keys().next().value as string);
    this.#unknown.set(key, sinceMs);
  }

  /** Nothing is open any more about what begins with this event. */
  forget(batches: readonly Batch[]): void {
    const key = keyOf(batches, 0);
    if (key !== undefined) this.#unknown.delete(key);
  }

  /**
   * How many of the events stored now may be there twice.
   *
   * @param storedIn  events by index
   * @param isAddressed  whether events go to an index of that very name: then there is nothing to roll over
   */
  async count(storedIn: ReadonlyMap<string, number>, sinceMs: number, isAddressed: (index: string) => boolean): Promise<number> {
    let events = 0;
    for (const [index, stored] of storedIn) {
      // The first generation follows nothing.
      if (isAddressed(index) || index.endsWith('-000001')) continue;
      const createdMs = this.#created.get(index) ?? (await this.#o.createdMs(index));
      if (createdMs !== undefined) this.#keep(index, createdMs);
      // Older than the first try: a repeat of it met its own id there, so what was stored now was not there before.
      if (createdMs === undefined || createdMs > sinceMs - CLOCKS_APART_MS) events += stored;
    }
    return events;
  }

  #keep(index: string, createdMs: number): void {
    if (this.#created.size >= MAX_REMEMBERED) this.#created.clear();
    this.#created.set(index, createdMs);
  }
}

/** Names an event by its place, which stays when a chunk is split or made anew. */
function keyOf(batches: readonly Batch[], index: number): string | undefined {
  let n = index;
  for (const batch of batches) {
    if (n < batch.count) return batch.place && `${batch.place.segment}.${batch.place.offset}.${batch.ids?.[n] ?? n << 8}`;
    n -= batch.count;
  }
  return undefined;
}
