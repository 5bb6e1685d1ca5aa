import type { Clock, Log } from '../engine/component.ts';
import { evaluate, NO_STATE, type GroupState, type RuleState, type Sample, type Status, type Transition } from './evaluate.ts';
import { ALIVE_KEY, discoveryRows, groupsKey, stateKey, valueKey } from './keys.ts';
import type { Rule, Severity } from './rule.ts';
import { mergeSamples, type RulePart } from './samples.ts';

/** One value for an item of the host that stands for this millrace; what a Zabbix sender takes. */
export interface RuleItem {
  readonly host: string;
  readonly key: string;
  readonly value: string;
  readonly clock: number;
  readonly ns: number;
}

export interface RuleStatus {
  readonly rule: string;
  readonly summary: string;
  readonly severity: Severity;
  readonly group: string;
  readonly status: Status;
  readonly sinceMs: number;
  readonly value: number | undefined;
  /** The value as people read it, `-` when there is none. */
  readonly shown: string;
  readonly condition: string;
}

export interface RuleSchedulerOptions {
  readonly rules: readonly Rule[];
  readonly clock: Clock;
  readonly log: Log;
  /** Host in Zabbix that the items belong to. */
  readonly host: string;
  /** Takes the items of closed intervals; must not wait. Absent: no Zabbix is configured. */
  readonly send?: (items: readonly RuleItem[]) => void;
  readonly onTransition?: (transition: Transition) => void;
  /** Keeps the states over restarts. Absent: every run begins with none. */
  readonly store?: RuleStore;
  /** How long after its end an interval waits for the parts of slow workers. */
  readonly graceMs?: number;
}

/** What of the rules outlives a process: state per group, and up to when it has been evaluated. */
export interface SavedRules {
  readonly version: 1;
  readonly rules: readonly {
    readonly rule: string;
    readonly nextMs: number;
    readonly groups: readonly (readonly [group: string, state: GroupState])[];
  }[];
}

export interface RuleStore {
  /** Undefined: nothing was saved, or it cannot be read. */
  read(): SavedRules | undefined;
  write(saved: SavedRules): void;
}

/** Workers close intervals every 250 ms; the rest is for a busy machine. */
const GRACE_MS = 1500;
const TICK_MS = 500;
/** Parts that come later than this are counted as lost; younger ones go to the oldest interval that is still open. */
const LATE_MS_MAX = 60_000;
/** After a long sleep of the machine so many intervals are caught up with; older ones are skipped. */
const CATCH_UP_MAX = 60;
/** Groups are announced again so often, beside when they change: a discovery is expensive for the server. */
const ANNOUNCE_MS = 3_600_000;

interface Tracked {
  readonly rule: Rule;
  state: RuleState;
  /** Start of the oldest open interval. */
  nextMs: number;
  readonly parts: Map<number, RulePart[]>;
  announced: string;
  announcedMs: number;
}

/** The part of the rules that runs in the main thread: closes intervals, evaluates, reports. */
export class RuleScheduler {
  readonly #options: RuleSchedulerOptions;
  readonly #graceMs: number;
  readonly #tracked: Map<string, Tracked>;
  #timer: Disposable | undefined;
  #late = 0;
  #lost = 0;

  constructor(options: RuleSchedulerOptions) {
    this.#options = options;
    this.#graceMs = options.graceMs ?? GRACE_MS;
    const now = options.clock.now();
    this.#tracked = new Map(
      options.rules.map((rule) => {
        const nextMs = Math.floor(now / rule.everyMs) * rule.everyMs;
        return [rule.name, { rule, state: NO_STATE, nextMs, parts: new Map(), announced: '', announcedMs: 0 }];
      }),
    );
    for (const saved of options.store?.read()?.rules ?? []) this.#restore(saved, now);
  }

  /** A rule goes on where it was; what ended while nobody ran is caught up with, as far as `tick` goes back. */
  #restore({ rule, nextMs, groups }: SavedRules['rules'][number], now: number): void {
    const tracked = this.#tracked.get(rule);
    // Intervals of another length do not go on from here; neither does a clock that was set back.
    if (tracked === undefined || nextMs % tracked.rule.everyMs !== 0 || nextMs > now + tracked.rule.everyMs) return;
    tracked.state = new Map(groups);
    tracked.nextMs = nextMs;
  }

  start(): void {
    this.#timer ??= this.#options.clock.every(TICK_MS, () => this.tick());
  }

  /** Works twice, and without `start`. */
  stop(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }

  /** Parts that came after their interval was closed: counted in the next one (`late`), or not at all (`lost`). */
  get lateness(): { readonly late: number; readonly lost: number } {
    return { late: this.#late, lost: this.#lost };
  }

  /**
   * Takes what a worker published; anything that is not a part of a known rule is ignored and counted as lost.
   *
   * @param again  it was published before a restart, too: of an interval that was evaluated it is nothing new
   */
  take(intervalMs: number, data: unknown, again = false): void {
    const part = readPart(data);
    const tracked = part === undefined ? undefined : this.#tracked.get(part.rule);
    if (part === undefined || tracked === undefined || tracked.nextMs - intervalMs > LATE_MS_MAX + tracked.rule.everyMs) {
      this.#lost++;
      return;
    }
    if (again && intervalMs < tracked.nextMs) return;
    if (intervalMs < tracked.nextMs) this.#late++;
    const newest = Math.floor(this.#options.clock.now() / tracked.rule.everyMs) * tracked.rule.everyMs;
    // An interval of the future (a clock set back) would never be reached: it counts as now.
    const start = Math.min(Math.max(intervalMs, tracked.nextMs), Math.max(newest, tracked.nextMs));
    const parts = tracked.parts.get(start);
    if (parts === undefined) tracked.parts.set(start, [part]);
    else parts.push(part);
  }

  /** Closes every interval whose time has come. Called by the timer; tests call it themselves. */
  tick(): void {
    const now = this.#options.clock.now();
    const items: RuleItem[] = [];
    let newestEnd = 0;
    for (const tracked of this.#tracked.values()) {
      const { everyMs } = tracked.rule;
      this.#skipSleep(tracked, now);
      while (tracked.nextMs + everyMs + this.#graceMs <= now) {
        this.#close(tracked, items);
        newestEnd = Math.max(newestEnd, tracked.nextMs);
      }
    }
    if (newestEnd > 0) {
      items.push(this.#item(ALIVE_KEY, '1', newestEnd));
      this.#options.store?.write(this.#saved());
    }
    if (items.length > 0) this.#options.send?.(items);
  }

  #saved(): SavedRules {
    const rules = Array.from(this.#tracked.values(), ({ rule, nextMs, state }) => ({
      rule: rule.name,
      nextMs,
      groups: [...state],
    }));
    return { version: 1, rules };
  }

  /** Every rule and group as it stands. */
  status(): RuleStatus[] {
    return [...this.#tracked.values()].flatMap(({ rule, state }) =>
      Array.from(state, ([group, { status, sinceMs, value }]) => ({
        rule: rule.name,
        summary: rule.summary,
        severity: rule.severity,
        group,
        status,
        sinceMs,
        value,
        shown: showValue(rule, value),
        condition: rule.condition.text,
      })),
    );
  }

  #skipSleep(tracked: Tracked, now: number): void {
    const { everyMs, name } = tracked.rule;
    const behind = Math.floor((now - this.#graceMs - tracked.nextMs) / everyMs);
    if (behind <= CATCH_UP_MAX) return;
    const skipped = behind - CATCH_UP_MAX;
    const parts = [...tracked.parts.values()].flat();
    tracked.parts.clear();
    tracked.nextMs += skipped * everyMs;
    if (parts.length > 0) tracked.parts.set(tracked.nextMs, parts);
    this.#options.log.warn({ rule: name, intervals: skipped }, 'rule skipped intervals, the process or the machine was asleep');
  }

  #close(tracked: Tracked, items: RuleItem[]): void {
    const { rule } = tracked;
    const samples = this.#samples(tracked);
    tracked.parts.delete(tracked.nextMs);
    tracked.nextMs += rule.everyMs;
    const { state, transitions } = evaluate(rule, samples, tracked.state, tracked.nextMs);
    tracked.state = state;
    for (const transition of transitions) {
      const { group, to, value } = transition;
      const fields = {
        rule: rule.name,
        ...(group === '' ? {} : { group }),
        value: showValue(rule, value),
        condition: rule.condition.text,
      };
      if (to === 'firing') this.#options.log.warn(fields, 'rule is firing');
      else this.#options.log.info(fields, 'rule is ok again');
      this.#options.onTransition?.(transition);
    }
    if (this.#options.send !== undefined) this.#report(tracked, transitions, items);
  }

  #samples({ rule, parts, nextMs, state }: Tracked): Sample[] {
    return mergeSamples(rule, parts.get(nextMs) ?? [], new Set(state.keys()));
  }

  #report(tracked: Tracked, transitions: readonly Transition[], items: RuleItem[]): void {
    const { rule, state, nextMs } = tracked;
    const report = (group: string, isFiring: boolean, value: number | undefined): void => {
      const name = rule.by === undefined ? undefined : group;
      items.push(this.#item(stateKey(rule.name, name), isFiring ? '1' : '0', nextMs));
      items.push(this.#item(valueKey(rule.name, name), String(inZabbix(rule, value)), nextMs));
    };
    for (const [group, { status, value }] of state) report(group, status === 'firing', value);
    // A group that was forgotten while it had a problem: without this its problem would stay open for ever.
    for (const { group, to } of transitions) if (to === 'ok' && !state.has(group)) report(group, false, 0);
    // Last: from 7.0 on a group that is left out may have its items switched off at once.
    if (rule.by !== undefined) {
      const rows = discoveryRows([...state.keys()].sort());
      if (rows !== tracked.announced || nextMs - tracked.announcedMs >= ANNOUNCE_MS) {
        items.push(this.#item(groupsKey(rule.name), rows, nextMs));
        tracked.announced = rows;
        tracked.announcedMs = nextMs;
      }
    }
  }

  #item(key: string, value: string, endMs: number): RuleItem {
    return { host: this.#options.host, key, value, clock: Math.floor(endMs / 1000), ns: (endMs % 1000) * 1e6 };
  }
}

/** The number that Zabbix keeps: ratios in percent, nothing as zero (no value would stop its time windows). */
function inZabbix(rule: Rule, value: number | undefined): number {
  const number = value ?? 0;
  return rule.measure.kind === 'ratio' ? Number((number * 100).toPrecision(10)) : number;
}

/** A value as people read it: `7.31%`, `12`, `0.5/s`; `-` when there is none. */
export function showValue(rule: Rule, value: number | undefined): string {
  if (value === undefined) return '-';
  const { measure } = rule;
  const rounded = Number((measure.kind === 'ratio' ? value * 100 : value).toPrecision(4));
  if (measure.kind === 'ratio') return `${rounded}%`;
  if (measure.kind === 'count') return String(value);
  const unit = RATE_UNITS.get(measure.perMs) ?? `${measure.perMs / 1000}s`;
  return `${rounded}/${unit}`;
}

const RATE_UNITS: ReadonlyMap<number, string> = new Map([
  [1000, 's'],
  [60_000, 'min'],
  [3_600_000, 'h'],
]);

function readPart(data: unknown): RulePart | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { rule, groups } = data as { rule?: unknown; groups?: unknown };
  return typeof rule === 'string' && Array.isArray(groups) ? { rule, groups: groups as RulePart['groups'] } : undefined;
}
