import type { Merged } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import { EntryWriter } from '../events/entry-writer.ts';
import type { Origin } from '../log/entrance-log.ts';

/** What a worker's consumer published for one interval. */
export interface MetricPart {
  readonly consumer: string;
  readonly worker: number;
  /** Start of the interval, milliseconds since the epoch. */
  readonly intervalMs: number;
  readonly data: unknown;
}

/** A definition's `merge` with its configuration bound, for one consumer of the pipeline. Its `timeMs` is the interval's end. */
export interface MergeRule {
  merge(intervalMs: number, parts: readonly unknown[]): Merged;
}

/** One interval of one consumer with the parts of all workers. */
export interface MergedInterval {
  readonly origin: Origin;
  readonly merged: Merged;
}

interface Interval {
  readonly parts: unknown[];
  /** Complete when all workers have closed what ended by then. */
  readonly endMs: number;
}

/** Intervals that wait for slow workers; beyond, the oldest is handed out as it is and counted. */
const WAITING_MAX = 100_000;

/**
 * The main thread's sum over all workers. A worker publishes each interval once, when every event of it has been counted,
 * and then says up to when it has closed; an interval is complete when all workers have closed it. So each is handed out
 * once, with all its parts, however far a worker is behind: nothing is counted twice and nothing is left out.
 */
export class MetricMerger {
  readonly #rules: ReadonlyMap<string, MergeRule>;
  readonly #workers: readonly number[];
  /** Up to when each worker has closed its intervals. */
  readonly #closed = new Map<number, number>();
  /** Consumer, then interval. */
  readonly #intervals = new Map<string, Map<number, Interval>>();
  #waiting = 0;
  /** Parts from a consumer that nobody knows, and intervals that did not wait for all workers. */
  refused = 0;
  forced = 0;

  /** @param workers  whose parts are waited for */
  constructor(rules: ReadonlyMap<string, MergeRule>, workers: readonly number[]) {
    this.#rules = rules;
    this.#workers = workers;
    for (const worker of workers) this.#closed.set(worker, -Infinity);
  }

  /** @returns false when the part was refused */
  add({ consumer, intervalMs, data }: MetricPart): boolean {
    const rule = this.#rules.get(consumer);
    if (rule === undefined) {
      this.refused++;
      return false;
    }
    let intervals = this.#intervals.get(consumer);
    if (intervals === undefined) this.#intervals.set(consumer, (intervals = new Map()));
    let interval = intervals.get(intervalMs);
    if (interval === undefined) {
      intervals.set(intervalMs, (interval = { parts: [], endMs: rule.merge(intervalMs, []).timeMs }));
      this.#waiting++;
    }
    interval.parts.push(data);
    return true;
  }

  /** A worker has published everything that ended by then. */
  close(worker: number, untilMs: number): void {
    this.#closed.set(worker, Math.max(untilMs, this.#closed.get(worker) ?? -Infinity));
  }

  /** A worker that will publish nothing more is not waited for. */
  leave(worker: number): void {
    this.close(worker, Infinity);
  }

  /** Intervals that are complete, in order of time for each consumer; each is given once. */
  takeComplete(): MergedInterval[] {
    const closedMs = Math.min(...this.#workers.map((worker) => this.#closed.get(worker) ?? -Infinity), Infinity);
    return this.#take(({ endMs }) => endMs <= closedMs);
  }

  #take(isDue: (interval: Interval) => boolean): MergedInterval[] {
    const taken: MergedInterval[] = [];
    for (const [consumer, intervals] of this.#intervals) {
      const rule = this.#rules.get(consumer);
      if (rule === undefined) continue;
      for (const [intervalMs, interval] of [...intervals].sort(([a], [b]) => a - b)) {
        const isForced = this.#waiting > WAITING_MAX && !isDue(interval);
        // Their order is kept: what appends them remembers the newest one only.
        if (!isForced && !isDue(interval)) break;
        if (isForced) this.forced++;
        intervals.delete(intervalMs);
        this.#waiting--;
        taken.push({ origin: { consumer, intervalMs }, merged: rule.merge(intervalMs, interval.parts) });
      }
    }
    return taken;
  }
}

/** The events of one merged interval; undefined when it has none. */
export function mergedBatch({ tag, timeMs, records }: Merged): Batch | undefined {
  const writer = new EntryWriter(1024);
  writer.defaultTimeMs(timeMs);
  for (const record of records) {
    writer.begin();
    writer.record(record);
    writer.commit();
  }
  return writer.take(tag);
}
