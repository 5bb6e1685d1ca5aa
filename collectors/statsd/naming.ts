import type { Flushed, FlushedSeries } from '../../engine/metrics/aggregate.ts';
import { timerStats, type TimerStatsOptions } from '../../engine/metrics/timer-stats.ts';

export interface Naming {
  /** `stats.x` and `stats_counts.x` instead of `stats.counters.x.rate` and `.count`; ignores the prefixes below. */
  readonly legacy: boolean;
  readonly globalPrefix: string;
  readonly prefixCounter: string;
  readonly prefixTimer: string;
  readonly prefixGauge: string;
  readonly prefixSet: string;
  readonly globalSuffix: string;
  /** Name of the server's own metrics, `statsd`. */
  readonly prefixStats: string;
  /** Counters also as they are, beside the rate for each second. */
  readonly flushCounts: boolean;
  /** Names were cleaned when they came in; otherwise the part before the tags is cleaned here. */
  readonly isClean: boolean;
}

export type MetricType = 'counter' | 'gauge' | 'timer' | 'set';

/** @param tags  empty, or `;key=value;key=value` in the order received */
export type Put = (path: string, tags: string, value: number, type: MetricType) => void;

/**
 * The names under which StatsD's Graphite backend sends what was flushed.
 *
 * @see https://github.com/statsd/statsd/blob/master/docs/namespacing.md
 */
export class Namer {
  readonly #naming: Naming;
  readonly #timers: TimerStatsOptions;
  readonly #counter: string;
  readonly #timer: string;
  readonly #gauge: string;
  readonly #set: string;
  readonly #own: string;
  readonly #suffix: string;

  constructor(naming: Naming, timers: TimerStatsOptions) {
    this.#naming = naming;
    this.#timers = timers;
    const under = (...parts: string[]): string =>
      parts
        .filter((part) => part !== '')
        .map((part) => `${part}.`)
        .join('');
    const { legacy, globalPrefix } = naming;
    this.#counter = legacy ? 'stats.' : under(globalPrefix, naming.prefixCounter);
    this.#timer = legacy ? 'stats.timers.' : under(globalPrefix, naming.prefixTimer);
    this.#gauge = legacy ? 'stats.gauges.' : under(globalPrefix, naming.prefixGauge);
    this.#set = legacy ? 'stats.sets.' : under(globalPrefix, naming.prefixSet);
    this.#own = legacy ? under('stats', naming.prefixStats) : under(globalPrefix, naming.prefixStats);
    this.#suffix = naming.globalSuffix === '' ? '' : `.${naming.globalSuffix}`;
  }

  series(series: FlushedSeries, put: Put): void {
    const tagsAt = series.name.indexOf(';');
    const name = tagsAt < 0 ? series.name : series.name.slice(0, tagsAt);
    const base = this.#naming.isClean ? name : cleanBase(name);
    const tags = tagsAt < 0 ? '' : series.name.slice(tagsAt);
    const suffix = this.#suffix;
    if (series.counter !== undefined) this.#putCounter(base, tags, series.counter, put);
    if (series.timer !== undefined) {
      const prefix = `${this.#timer}${base}.`;
      const ranked = series.timer === 'idle' ? undefined : series.timer.ranked();
      timerStats(series.name, ranked, this.#timers, (stat, value) => put(`${prefix}${stat}${suffix}`, tags, value, 'timer'));
      if (series.timer !== 'idle') series.timer.release();
    }
    if (series.gauge !== undefined) put(`${this.#gauge}${base}${suffix}`, tags, series.gauge, 'gauge');
    if (series.members !== undefined) put(`${this.#set}${base}.count${suffix}`, tags, series.members, 'set');
  }

  #putCounter(base: string, tags: string, value: number, put: Put): void {
    const { legacy, flushCounts } = this.#naming;
    const rate = value / (this.#timers.intervalMs / 1000);
    const suffix = this.#suffix;
    put(`${this.#counter}${base}${legacy ? '' : '.rate'}${suffix}`, tags, rate, 'counter');
    if (!flushCounts) return;
    put(legacy ? `stats_counts.${base}${suffix}` : `${this.#counter}${base}.count${suffix}`, tags, value, 'counter');
  }

  /** The server's own figures, under upstream's names. */
  own(flushed: Flushed, stats: OwnStats, put: Put): void {
    const suffix = this.#suffix;
    const numStats = this.#naming.legacy ? `${this.#naming.prefixStats}.numStats` : `${this.#own}numStats`;
    put(`${numStats}${suffix}`, '', flushed.keys, 'gauge');
    put(`${this.#own}processing_time${suffix}`, '', stats.processingMs, 'gauge');
    const graphite = `${this.#own}graphiteStats.`;
    put(`${graphite}calculationtime${suffix}`, '', stats.processingMs, 'gauge');
    put(`${graphite}last_exception${suffix}`, '', stats.lastFailureSeconds, 'gauge');
    put(`${graphite}last_flush${suffix}`, '', stats.lastFlushSeconds, 'gauge');
    put(`${graphite}flush_time${suffix}`, '', stats.flushMs, 'gauge');
    put(`${graphite}flush_length${suffix}`, '', stats.flushBytes, 'gauge');
  }
}

export interface OwnStats {
  /** Time spent on statistics and names in this flush. */
  readonly processingMs: number;
  /** When the pipeline last was full, at first the start. */
  readonly lastFailureSeconds: number;
  /** The flush before this one, at first the start. */
  readonly lastFlushSeconds: number;
  /** How long that one took until the pipeline had it, and its size. */
  readonly flushMs: number;
  readonly flushBytes: number;
}

function cleanBase(name: string): string {
  return name
    .replace(/\s+/g, '_')
    .replaceAll('/', '-')
    .replace(/[^a-zA-Z_\-0-9.]/g, '');
}

/** `;env=prod;flag` as fields of a record; a tag without a value is `true`. Undefined when there are none. */
export function tagFields(tags: string): Record<string, string> | undefined {
  if (tags === '') return undefined;
  const entries = tags
    .split(';')
    .filter((tag) => tag !== '')
    .map((tag): [string, string] => {
      const at = tag.indexOf('=');
      return at < 0 ? [tag, 'true'] : [tag.slice(0, at), tag.slice(at + 1)];
    })
    .filter(([key]) => key !== '');
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}
