import { ByteTable, hashBytes, type Slot } from './byte-table.ts';
import { Distinct, type SetBudget } from './distinct.ts';
import { Samples, type SampleBudget } from './samples.ts';

/** One name (tags included); counter, gauge, timer and set of the same name live side by side, as in StatsD. */
export interface Series extends Slot {
  readonly name: string;
  isCounter: boolean;
  counter: number;
  isGauge: boolean;
  gauge: number;
  /** Flushes for which the gauge is still sent when idle gauges are deleted. */
  gaugeTtl: number;
  isTimer: boolean;
  samples: Samples | undefined;
  isSet: boolean;
  members: Distinct | undefined;
}

export interface AggregateLimits {
  /** Names kept at a time. A new name beyond it is refused. */
  readonly maxSeries: number;
  /** Bytes of all names together; same answer. */
  readonly maxNameBytes: number;
  /** Exact values of one timer in an interval; then its percentiles are within 0.5 %. */
  readonly maxTimerValues: number;
  /** Exact values of all timers together; then those that grow go on as sketches. */
  readonly maxValues: number;
  /** Exact members of one set in an interval; then its size is estimated with 0.8 % standard error. */
  readonly maxSetMembers: number;
  /** Memory of all sets in an interval; then they are estimated, and at last members are refused. */
  readonly maxSetBytes: number;
}

export const DEFAULT_LIMITS: AggregateLimits = {
  maxSeries: 100_000,
  maxNameBytes: 32 * 1024 * 1024,
  maxTimerValues: 100_000,
  maxValues: 4_000_000,
  maxSetMembers: 100_000,
  maxSetBytes: 64 * 1024 * 1024,
};

export interface FlushRules {
  readonly deleteCounters: boolean;
  readonly deleteTimers: boolean;
  readonly deleteSets: boolean;
  readonly deleteGauges: boolean;
}

/** What one series had in the interval; undefined where it is not of that type. */
export interface FlushedSeries {
  readonly name: string;
  readonly counter: number | undefined;
  readonly gauge: number | undefined;
  /** `idle`: a timer that is kept and had no values. */
  readonly timer: Samples | 'idle' | undefined;
  readonly members: number | undefined;
}

export interface Flushed {
  readonly series: readonly FlushedSeries[];
  /** Counters, timers, gauges and sets; what StatsD calls numStats. */
  readonly keys: number;
}

/** StatsD's own counters are kept when counters are deleted. */
const OWN = /packets_received|metrics_received|bad_lines_seen/;

/** The state of a StatsD server between two flushes. Knows nothing of sockets, time, or how names are printed. */
export class Aggregate {
  readonly #table = new ByteTable<Series>();
  readonly #limits: AggregateLimits;
  readonly #budget: SampleBudget;
  readonly #setBudget: SetBudget;
  readonly #gaugesMaxTtl: number;
  #nameBytes = 0;

  constructor(limits: Partial<AggregateLimits> = {}, gaugesMaxTtl = 1) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    this.#budget = { left: this.#limits.maxValues };
    this.#setBudget = { left: this.#limits.maxSetBytes };
    this.#gaugesMaxTtl = gaugesMaxTtl;
  }

  get size(): number {
    return this.#table.size;
  }

  /**
   * The series of that name, made if there is none yet.
   *
   * @param hash  `hashBytes` of the range
   * @returns undefined when it is new and a limit is reached
   */
  series(bytes: Uint8Array, from: number, to: number, hash: number): Series | undefined {
    return this.#table.find(bytes, from, to, hash) ?? this.#make(Uint8Array.from(bytes.subarray(from, to)), hash);
  }

  named(name: string): Series | undefined {
    const bytes = Buffer.from(name, 'utf8');
    return this.series(bytes, 0, bytes.length, hashBytes(bytes, 0, bytes.length));
  }

  #make(key: Uint8Array, hash: number): Series | undefined {
    const { maxSeries, maxNameBytes } = this.#limits;
    if (this.#table.size >= maxSeries || this.#nameBytes + key.length > maxNameBytes) return undefined;
    const series: Series = {
      key,
      hash,
      next: undefined,
      name: Buffer.from(key).toString('utf8'),
      isCounter: false,
      counter: 0,
      isGauge: false,
      gauge: 0,
      gaugeTtl: 0,
      isTimer: false,
      samples: undefined,
      isSet: false,
      members: undefined,
    };
    if (!this.#table.add(series)) return undefined;
    this.#nameBytes += key.length;
    return series;
  }

  /** @returns false when the sum would leave the range of a double; it stays as it was then */
  count(series: Series, value: number): boolean {
    const sum = series.counter + value;
    if (!Number.isFinite(sum)) return false;
    series.isCounter = true;
    series.counter = sum;
    return true;
  }

  /** @param isDelta  added to what is there (0 at first) instead of set */
  gauge(series: Series, value: number, isDelta: boolean): boolean {
    const next = isDelta && series.isGauge ? series.gauge + value : value;
    if (!Number.isFinite(next)) return false;
    series.isGauge = true;
    series.gauge = next;
    series.gaugeTtl = this.#gaugesMaxTtl;
    return true;
  }

  time(series: Series, value: number, weight: number): boolean {
    if (!Number.isFinite(value) || !Number.isFinite(weight)) return false;
    series.isTimer = true;
    series.samples ??= new Samples({ exact: this.#limits.maxTimerValues, budget: this.#budget });
    series.samples.add(value, weight);
    return true;
  }

  /** @returns false when the memory for sets is used up */
  unique(series: Series, member: string): boolean {
    series.isSet = true;
    series.members ??= new Distinct(this.#limits.maxSetMembers, this.#setBudget);
    return series.members.add(member);
  }

  /**
   * Takes the interval's values out and starts the next one. Cheap for each series, so that a socket is not kept waiting:
   * sorting the timers is left to the taker, who must `release` their samples.
   */
  flush(rules: FlushRules): Flushed {
    const flushed: FlushedSeries[] = [];
    let keys = 0;
    for (const series of this.#table) {
      flushed.push(take(series));
      keys += Number(series.isCounter) + Number(series.isGauge) + Number(series.isTimer) + Number(series.isSet);
      reset(series, rules);
    }
    if (Object.values(rules).some(Boolean)) this.#forgetUnused();
    return { series: flushed, keys };
  }

  #forgetUnused(): void {
    this.#table.prune((series) => {
      const isUsed = series.isCounter || series.isGauge || series.isTimer || series.isSet;
      if (!isUsed) this.#nameBytes -= series.key.length;
      return isUsed;
    });
  }

  /** All series, for looking at the state without changing it. */
  [Symbol.iterator](): Iterator<Series> {
    return this.#table[Symbol.iterator]();
  }
}

function take(series: Series): FlushedSeries {
  return {
    name: series.name,
    counter: series.isCounter ? series.counter : undefined,
    gauge: series.isGauge ? series.gauge : undefined,
    timer: series.isTimer ? (series.samples ?? 'idle') : undefined,
    members: series.isSet ? (series.members?.count ?? 0) : undefined,
  };
}

function reset(series: Series, rules: FlushRules): void {
  series.counter = 0;
  if (rules.deleteCounters && !OWN.test(series.name)) series.isCounter = false;
  series.samples = undefined;
  if (rules.deleteTimers) series.isTimer = false;
  series.members?.release();
  series.members = undefined;
  if (rules.deleteSets) series.isSet = false;
  if (rules.deleteGauges && --series.gaugeTtl < 1) series.isGauge = false;
}
