import type { Merged } from '../component.ts';
import type { Batch } from '../events/batch.ts';
import { EntryWriter } from '../events/entry-writer.ts';

/** What a worker's consumer published for one interval; further parts of the same interval add to it. */
export interface MetricPart {
  readonly consumer: string;
  readonly worker: number;
  /** Start of the interval, milliseconds since the epoch. */
  readonly intervalMs: number;
  readonly data: unknown;
}

/** A definition's `merge` with its configuration bound, for one consumer of the pipeline. */
export interface MergeRule {
  merge(intervalMs: number, parts: readonly unknown[]): Merged;
}

export interface MergerOptions {
  /** Time that the other workers have to publish their part once the first one is there. */
  readonly graceMs: number;
  /** Intervals of each consumer that are kept, so that a late part gives a corrected total. */
  readonly keptIntervals: number;
  /** Parts of one interval; a further one is refused and counted. */
  readonly maxParts: number;
}

export const DEFAULT_MERGER: MergerOptions = { graceMs: 1000, keptIntervals: 32, maxParts: 1024 };

/** So many times `keptIntervals` may wait at once. */
const CATCH_UP = 16;

interface Interval {
  readonly parts: unknown[];
  /** When the first part came that was not flushed yet; undefined when all are. */
  pendingSince: number | undefined;
}

/**
 * The main thread's sum over all workers. An interval is flushed with all its parts, always under the same time; a part
 * that comes after that makes it be flushed again with the corrected total, which overwrites the first one in Graphite.
 * Nothing is counted twice and nothing is replaced by less.
 */
export class MetricMerger {
  readonly #rules: ReadonlyMap<string, MergeRule>;
  readonly #options: MergerOptions;
  /** Consumer, then interval, oldest first. */
  readonly #intervals = new Map<string, Map<number, Interval>>();
  /** Newest interval that was forgotten, by consumer: what is not newer cannot be corrected any more. */
  readonly #forgotten = new Map<string, number>();
  /** Parts that came after their interval was forgotten, beyond `maxParts`, or from a consumer that nobody knows. */
  refused = 0;

  constructor(rules: ReadonlyMap<string, MergeRule>, options: Partial<MergerOptions> = {}) {
    this.#rules = rules;
    this.#options = { ...DEFAULT_MERGER, ...options };
  }

  /** @returns false when the part was refused */
  add({ consumer, intervalMs, data }: MetricPart, nowMs: number): boolean {
    const isForgotten = intervalMs <= (this.#forgotten.get(consumer) ?? -Infinity);
    if (!this.#rules.has(consumer) || isForgotten) return this.#refuse();
    let intervals = this.#intervals.get(consumer);
    if (intervals === undefined) this.#intervals.set(consumer, (intervals = new Map()));
    let interval = intervals.get(intervalMs);
    if (interval === undefined) intervals.set(intervalMs, (interval = { parts: [], pendingSince: undefined }));
    if (interval.parts.length >= this.#options.maxParts) return this.#refuse();
    interval.parts.push(data);
    interval.pendingSince ??= nowMs;
    return true;
  }

  #refuse(): false {
    this.refused++;
    return false;
  }

  /** Intervals whose parts have waited long enough, in order of time for each consumer. */
  flushDue(nowMs: number): Merged[] {
    return this.#flush((since) => nowMs - since >= this.#options.graceMs);
  }

  /** Everything that is not flushed yet, at the end of a run. */
  flushAll(): Merged[] {
    return this.#flush(() => true);
  }

  #flush(isDue: (since: number) => boolean): Merged[] {
    const merged: Merged[] = [];
    for (const [consumer, intervals] of this.#intervals) {
      const rule = this.#rules.get(consumer);
      if (rule === undefined) continue;
      const inOrder = [...intervals].sort(([a], [b]) => a - b);
      const surplus = inOrder.length - this.#options.keptIntervals;
      inOrder.forEach(([intervalMs, interval], n) => {
        // While many old intervals come in at once (catching up), those that wait for the other workers' parts may stay.
        const mustGo = n < inOrder.length - this.#options.keptIntervals * CATCH_UP;
        if (interval.pendingSince !== undefined && (mustGo || isDue(interval.pendingSince))) {
          interval.pendingSince = undefined;
          merged.push(rule.merge(intervalMs, interval.parts));
        }
        if (n >= surplus || interval.pendingSince !== undefined) return;
        intervals.delete(intervalMs);
        this.#forgotten.set(consumer, Math.max(intervalMs, this.#forgotten.get(consumer) ?? -Infinity));
      });
    }
    return merged;
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
