import { evaluate, NO_STATE, type RuleState, type Transition } from './evaluate.ts';
import { RecordReader } from './match.ts';
import type { Rule } from './rule.ts';
import { mergeSamples, RuleCounter } from './samples.ts';
import { showValue } from './schedule.ts';

/** An event as a replay reads it. */
export interface ReplayEvent {
  readonly tag: string;
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly record: Readonly<Record<string, unknown>>;
}

export interface Replay {
  readonly transitions: readonly Transition[];
  readonly events: number;
  /** Events whose time lies before an interval that was closed already: counted in the oldest open one. */
  readonly late: number;
  /** First and last event, milliseconds since the epoch; undefined without events. */
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
}

/** A gap in the log is walked through interval by interval up to so many; of a longer one the end alone. */
const GAP_INTERVALS_MAX = 10_000;

interface Replayed {
  readonly rule: Rule;
  readonly counter: RuleCounter;
  state: RuleState;
  /** Start of the interval that is open; undefined before the first event. */
  nextMs: number | undefined;
}

/**
 * Runs rules over events at the time the events themselves carry. The same events give the same transitions, whatever
 * the speed and the clock of this machine.
 *
 * Intervals are closed by the events that follow them; the one that holds the last event is evaluated too.
 */
export class Replayer {
  readonly #rules: readonly Replayed[];
  readonly #reader = new RecordReader();
  readonly #transitions: Transition[] = [];
  #events = 0;
  #late = 0;
  #fromMs: number | undefined;
  #toMs: number | undefined;

  constructor(rules: readonly Rule[]) {
    this.#rules = rules.map((rule) => ({ rule, counter: new RuleCounter(rule), state: NO_STATE, nextMs: undefined }));
  }

  add({ tag, seconds, nanoseconds, record }: ReplayEvent): void {
    const timeMs = seconds * 1000 + Math.floor(nanoseconds / 1e6);
    this.#events++;
    if (this.#toMs !== undefined && timeMs < this.#toMs)
      this.#late += this.#rules.some(({ nextMs }) => nextMs !== undefined && timeMs < nextMs) ? 1 : 0;
    this.#fromMs = Math.min(this.#fromMs ?? timeMs, timeMs);
    this.#toMs = Math.max(this.#toMs ?? timeMs, timeMs);
    this.#reader.read(record);
    for (const tracked of this.#rules) {
      const start = Math.floor(timeMs / tracked.rule.everyMs) * tracked.rule.everyMs;
      tracked.nextMs ??= start;
      while (tracked.nextMs < start) this.#close(tracked, start);
      tracked.counter.observe(tag, this.#reader, Math.max(timeMs, tracked.nextMs));
    }
  }

  end(): Replay {
    const until = this.#toMs ?? -Infinity;
    for (const tracked of this.#rules) for (; (tracked.nextMs ?? Infinity) <= until;) this.#close(tracked, Infinity);
    // In the order of time, rules of one moment in the order of the configuration.
    const order = new Map(this.#rules.map(({ rule }, index) => [rule.name, index]));
    const transitions = this.#transitions.toSorted((a, b) => a.at - b.at || (order.get(a.rule) ?? 0) - (order.get(b.rule) ?? 0));
    return { transitions, events: this.#events, late: this.#late, fromMs: this.#fromMs, toMs: this.#toMs };
  }

  #close(tracked: Replayed, next: number): void {
    const { rule } = tracked;
    const start = tracked.nextMs ?? 0;
    const end = start + rule.everyMs;
    const parts = tracked.counter.take(end).map(({ part }) => part);
    const { state, transitions } = evaluate(rule, mergeSamples(rule, parts, new Set(tracked.state.keys())), tracked.state, end);
    tracked.state = state;
    this.#transitions.push(...transitions);
    const behind = (next - end) / rule.everyMs;
    tracked.nextMs = Number.isFinite(behind) && behind > GAP_INTERVALS_MAX ? next - GAP_INTERVALS_MAX * rule.everyMs : end;
  }
}

/** All events at once; they should be in the order of their times (a log file is). */
export function replay(events: Iterable<ReplayEvent>, rules: readonly Rule[]): Replay {
  const replayer = new Replayer(rules);
  for (const event of events) replayer.add(event);
  return replayer.end();
}

/** A table for people; ends with a line feed. */
export function renderReplay({ transitions, events, late, fromMs, toMs }: Replay, rules: readonly Rule[]): string {
  const byName = new Map(rules.map((rule) => [rule.name, rule]));
  const rows = transitions.map(({ rule: name, group, at, to, value }) => {
    const rule = byName.get(name);
    const shownValue = rule === undefined ? '-' : showValue(rule, value);
    return [
      new Date(at).toISOString(),
      to === 'firing' ? 'fires' : 'clears',
      name,
      group === '' ? '-' : group,
      shownValue,
      rule?.condition.text ?? '',
    ];
  });
  const lines = rows.length === 0 ? [] : table([['TIME', 'WHAT', 'RULE', 'GROUP', 'VALUE', 'WHEN'], ...rows]);
  const span =
    fromMs === undefined || toMs === undefined
      ? 'no events'
      : `${new Date(fromMs).toISOString()} to ${new Date(toMs).toISOString()}`;
  const fired = transitions.filter(({ to }) => to === 'firing').length;
  const lateness = late === 0 ? '' : `, ${late} out of order`;
  lines.push(`${rules.length} rules over ${events} events (${span}${lateness}): fired ${fired} times`);
  return `${lines.join('\n')}\n`;
}

/** The same for programs; ends with a line feed. */
export function renderReplayJson({ transitions, events, late, fromMs, toMs }: Replay): string {
  const iso = (ms: number | undefined): string | null => (ms === undefined ? null : new Date(ms).toISOString());
  const list = transitions.map(({ rule, group, at, from, to, value }) => ({
    rule,
    group: group === '' ? null : group,
    at: iso(at),
    from,
    to,
    value: value ?? null,
  }));
  return `${JSON.stringify({ events, late, from: iso(fromMs), to: iso(toMs), transitions: list }, undefined, 2)}\n`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
  return rows.map((row) =>
    row
      .map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell))))
      .join('  ')
      .trimEnd(),
  );
}

/** Columns on a terminal: wide characters (Chinese) take two. */
function widthOf(text: string): number {
  let width = 0;
  for (const character of text)
    width += /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/.test(character) ? 2 : 1;
  return width;
}
