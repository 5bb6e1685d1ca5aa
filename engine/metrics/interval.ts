/**
 * What workers count in one interval, on its way to the main thread: structured-cloneable, and sums of parts are parts.
 */
import { Distinct, type DistinctData } from './distinct.ts';
import { Samples, type SamplesData } from './samples.ts';
import { timerStats, type TimerStatsOptions } from './timer-stats.ts';
import type { Fields } from '../events/batch.ts';

export type MetricKind = 'count' | 'gauge' | 'timer' | 'set';

/** One series in one interval; which of the last four is set says its kind. */
export interface PartRow {
  readonly name: string;
  readonly tags: Readonly<Record<string, string>> | undefined;
  readonly count?: number;
  readonly gauge?: { readonly value: number; readonly atMs: number };
  readonly timer?: SamplesData;
  readonly set?: DistinctData;
}

export interface IntervalPart {
  readonly rows: readonly PartRow[];
}

/** Up to here timers and sets are exact; beyond, quantiles are within 0.5 % and sizes have a standard error of 0.8 %. */
export const MAX_EXACT = 10_000;

/** A series while it is counted. */
export class Cell {
  readonly name: string;
  readonly tags: Readonly<Record<string, string>> | undefined;
  count = 0;
  isCount = false;
  #gauge: { value: number; atMs: number } | undefined;
  #samples: Samples | undefined;
  #members: Distinct | undefined;

  constructor(name: string, tags: Readonly<Record<string, string>> | undefined) {
    this.name = name;
    this.tags = tags;
  }

  add(kind: MetricKind, value: number, atMs: number): void {
    if (kind === 'count') {
      this.isCount = true;
      if (Number.isFinite(this.count + value)) this.count += value;
    } else if (kind === 'gauge') this.set(value, atMs);
    else (this.#samples ??= newSamples()).add(value, 1);
  }

  /** The later one stays, of two at the same time the one that came last. */
  set(value: number, atMs: number): void {
    if (this.#gauge === undefined || atMs >= this.#gauge.atMs) this.#gauge = { value, atMs };
  }

  unique(member: string): void {
    (this.#members ??= new Distinct(MAX_EXACT)).add(member);
  }

  merge(row: PartRow): void {
    if (row.count !== undefined) this.add('count', row.count, 0);
    if (row.gauge !== undefined) this.set(row.gauge.value, row.gauge.atMs);
    if (row.timer !== undefined) (this.#samples ??= newSamples()).merge(row.timer);
    if (row.set !== undefined) (this.#members ??= new Distinct(MAX_EXACT)).merge(row.set);
  }

  row(): PartRow {
    return {
      name: this.name,
      tags: this.tags,
      ...(this.isCount && { count: this.count }),
      ...(this.#gauge !== undefined && { gauge: this.#gauge }),
      ...(this.#samples !== undefined && { timer: this.#samples.data() }),
      ...(this.#members !== undefined && { set: this.#members.data() }),
    };
  }

  /** Records in Graphite's way: a name for each statistic. */
  records(options: TimerStatsOptions): Fields[] {
    const records: Fields[] = [];
    const put = (name: string, value: number, type: MetricKind): void =>
      void records.push({ name, value, type, ...(this.tags && { tags: this.tags }) });
    if (this.isCount) put(this.name, this.count, 'count');
    if (this.#gauge !== undefined) put(this.name, this.#gauge.value, 'gauge');
    if (this.#samples !== undefined)
      timerStats(this.name, this.#samples.ranked(), options, (stat, value) => put(`${this.name}.${stat}`, value, 'timer'));
    if (this.#members !== undefined) put(`${this.name}.count`, this.#members.count, 'set');
    return records;
  }
}

const newSamples = (): Samples => new Samples({ exact: MAX_EXACT, budget: { left: MAX_EXACT } });

/** The sum of parts as records. Order of parts does not matter but for gauges of the same moment. */
export function mergeParts(parts: readonly IntervalPart[], options: TimerStatsOptions): Fields[] {
  return [...merged(parts)].flatMap((cell) => cell.records(options));
}

/** The sum of parts as one part. */
export function sumParts(parts: readonly IntervalPart[]): IntervalPart {
  return { rows: Array.from(merged(parts), (cell) => cell.row()) };
}

function merged(parts: readonly IntervalPart[]): Iterable<Cell> {
  const cells = new Map<string, Cell>();
  for (const row of parts.flatMap((part) => part.rows)) {
    const key = row.tags === undefined ? row.name : JSON.stringify([row.name, row.tags]);
    let cell = cells.get(key);
    if (cell === undefined) cells.set(key, (cell = new Cell(row.name, row.tags)));
    cell.merge(row);
  }
  return cells.values();
}
