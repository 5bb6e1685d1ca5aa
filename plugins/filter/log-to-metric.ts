import { deserialize, serialize } from 'node:v8';
import { defineConsumer, type Consumer, type ConsumerContext, type EventView } from '../../engine/component.ts';
import type { Field } from '../../engine/events/field.ts';
import { ByteTable } from '../../engine/metrics/byte-table.ts';
import { Cell, mergeParts, sumParts, type IntervalPart } from '../../engine/metrics/interval.ts';
import { logToMetricConfig, type LogToMetricConfig } from './log-to-metric-config.ts';
import { compileMetric, compileRecordDriven, problemsOf, type Counting, type SeriesSlot } from './log-to-metric-rules.ts';

const metrics = {
  series: { type: 'gauge', unit: 'series', help: 'Series kept' },
  overflow: { type: 'counter', unit: 'values', help: 'Values counted under _other because max_series was reached' },
  skipped: { type: 'counter', unit: 'values', help: 'Values left out because a field was missing or no number' },
} as const;

export const logToMetric = defineConsumer({
  name: 'log_to_metric',
  summary: 'Counts, times and gauges derived from events.',
  config: logToMetricConfig,
  metrics,
  examples: [
    {
      title: 'Requests by status, and their duration',
      config:
        '<filter access.**>\n  @type log_to_metric\n  prefix web\n  <metric>\n    name status.${code}\n  </metric>\n  <metric>\n    name duration\n    type timer\n    value_key duration\n    scale 1000\n  </metric>\n</filter>',
    },
    {
      title: 'Parameters of fluent-plugin-statsd',
      config:
        '<match access.**>\n  @type log_to_metric\n  <metric>\n    statsd_type timing\n    statsd_key ${tag}.time\n    statsd_val ${record["request_time"] * 1000}\n  </metric>\n</match>',
    },
  ],
  check: problemsOf,
  create: (config, ctx) => new LogToMetric(config, ctx),
  merge(config, intervalMs, parts) {
    const records = mergeParts(parts as readonly IntervalPart[], {
      intervalMs: config.flush_interval,
      percentThreshold: config.percent_threshold,
      histogram: [],
      keep: config.calculated_timer_metrics?.length ? new Set(config.calculated_timer_metrics) : undefined,
    });
    return { tag: config.tag, timeMs: intervalMs + config.flush_interval, records };
  },
});

/**
 * Times of entering never fall and intervals are closed as they pass, so that a few are open at most; an interval more than
 * these makes the oldest one be published.
 */
const MAX_OPEN = 64;
/** Intervals that a series may be idle before it makes room when there are `max_series`. */
const IDLE_INTERVALS = 6;

class LogToMetric implements Consumer {
  readonly reads: readonly Field[];
  readonly #config: LogToMetricConfig;
  readonly #ctx: ConsumerContext<typeof metrics>;
  readonly #rules: readonly Counting[];
  readonly #slots = new ByteTable<SeriesSlot>();
  readonly #open = new Map<number, Map<SeriesSlot, Cell>>();
  /** What was counted of open intervals before a restart. */
  readonly #restored = new Map<number, IntervalPart>();
  #interval = Number.NaN;
  #cells: Map<SeriesSlot, Cell> = new Map();
  #skipped = 0;
  #overflow = 0;

  constructor(config: LogToMetricConfig, ctx: ConsumerContext<typeof metrics>) {
    this.#config = config;
    this.#ctx = ctx;
    this.#rules =
      config.metric.length > 0 ? config.metric.map((each, n) => compileMetric(each, config, n)) : [compileRecordDriven(config)];
    this.reads = this.#rules.flatMap((rule) => rule.reads);
  }

  observe(event: EventView, enteredMs: number): void {
    const interval = enteredMs - (enteredMs % this.#config.flush_interval);
    if (interval !== this.#interval) this.#enter(interval);
    for (const rule of this.#rules) this.#count(rule, event, enteredMs);
  }

  #enter(interval: number): void {
    let cells = this.#open.get(interval);
    if (cells === undefined) {
      if (this.#open.size >= MAX_OPEN) this.#publishOne(Math.min(...this.#open.keys()));
      this.#open.set(interval, (cells = new Map()));
    }
    this.#interval = interval;
    this.#cells = cells;
  }

  #count(rule: Counting, event: EventView, enteredMs: number): void {
    const outcome = rule.match(event);
    if (outcome === 'not meant') return;
    if (outcome === 'incomplete') {
      this.#skipped++;
      return;
    }
    const { key } = rule;
    let slot = this.#slots.find(key.bytes, 0, key.length, key.hash);
    if (slot === undefined) slot = this.#newSlot(rule, event);
    rule.add(this.#cell(slot), enteredMs);
  }

  /** The series of a key that was not seen yet; the rule's common one when there are too many. */
  #newSlot(rule: Counting, event: EventView): SeriesSlot {
    const { key } = rule;
    if (this.#slots.size < this.#config.max_series) {
      const slot = rule.slot(event, Uint8Array.from(key.bytes.subarray(0, key.length)), key.hash);
      if (this.#slots.add(slot)) return slot;
    }
    this.#overflow++;
    return rule.other(event);
  }

  #cell(slot: SeriesSlot): Cell {
    if (slot.cell !== undefined && slot.interval === this.#interval) return slot.cell;
    let cell = this.#cells.get(slot);
    if (cell === undefined) this.#cells.set(slot, (cell = new Cell(slot.name, slot.tags)));
    slot.cell = cell;
    slot.interval = this.#interval;
    return cell;
  }

  close(untilMs: number): void {
    const ended = [...new Set([...this.#open.keys(), ...this.#restored.keys()])].filter(
      (interval) => interval + this.#config.flush_interval <= untilMs,
    );
    for (const interval of ended.sort((a, b) => a - b)) this.#publishOne(interval);
    const { metrics } = this.#ctx;
    metrics.skipped.add(this.#skipped);
    metrics.overflow.add(this.#overflow);
    this.#skipped = 0;
    this.#overflow = 0;
    if (ended.length > 0) this.#forgetIdle(Math.max(...ended));
    metrics.series.set(this.#slots.size);
  }

  #publishOne(interval: number): void {
    const part = this.#partOf(interval);
    const cells = this.#open.get(interval) ?? new Map<SeriesSlot, Cell>();
    this.#open.delete(interval);
    this.#restored.delete(interval);
    if (interval === this.#interval) this.#interval = Number.NaN;
    for (const slot of cells.keys()) if (slot.interval === interval) slot.cell = undefined;
    if (part.rows.length > 0) this.#ctx.publish(interval, part);
  }

  #partOf(interval: number): IntervalPart {
    const part = { rows: Array.from(this.#open.get(interval)?.values() ?? [], (cell) => cell.row()) };
    const before = this.#restored.get(interval);
    return before === undefined ? part : sumParts([before, part]);
  }

  #forgetIdle(newest: number): void {
    if (this.#slots.size < this.#config.max_series) return;
    const oldest = newest - IDLE_INTERVALS * this.#config.flush_interval;
    const isUsed = (slot: SeriesSlot): boolean => slot.interval > oldest;
    this.#slots.prune(isUsed);
  }

  snapshot(): Uint8Array {
    const open = new Set([...this.#open.keys(), ...this.#restored.keys()]);
    return serialize(Array.from(open, (intervalMs) => ({ intervalMs, part: this.#partOf(intervalMs) })));
  }

  /** Open intervals go on from where they were; a series is found again by its name and tags. */
  restore(state: Uint8Array | undefined): void {
    if (state === undefined) return;
    for (const { intervalMs, part } of deserialize(state) as { intervalMs: number; part: IntervalPart }[])
      this.#restored.set(intervalMs, part);
  }
}
