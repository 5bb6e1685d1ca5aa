import type { Consumer, ConsumerContext } from '../engine/component.ts';
import { field as fieldOf, type Field } from '../engine/events/field.ts';
import { compilePattern } from '../engine/pipeline/match-pattern.ts';
import { compileWhere, ViewReader, type FieldReader, type Predicate } from './match.ts';
import type { Sample } from './evaluate.ts';
import type { Rule } from './rule.ts';
import { fieldsOf } from './where.ts';

/** What one worker counted for one rule in one interval; travels to the main thread. */
export interface RulePart {
  readonly rule: string;
  readonly groups: readonly (readonly [group: string, matched: number, total: number])[];
}

/** Where the events of groups above the bound are counted. */
export const OTHER_GROUP = '(other)';
const GROUP_CHARACTERS_MAX = 128;
/** Intervals that a worker keeps open; events older than all of them are counted in the oldest. */
const OPEN_INTERVALS_MAX = 64;
const TAGS_REMEMBERED_MAX = 10_000;

type Counts = Map<string, { matched: number; total: number }>;

/** Counts the events of one rule per interval and group. */
export class RuleCounter {
  readonly rule: Rule;
  readonly #takesTag: (tag: string) => boolean;
  readonly #tags = new Map<string, boolean>();
  readonly #where: Predicate;
  readonly #part: Predicate;
  readonly #whole: Predicate;
  readonly #by: Field | undefined;
  readonly #open = new Map<number, Counts>();

  constructor(rule: Rule) {
    this.rule = rule;
    const takesTag = compilePattern(rule.from);
    // `parseRules` has refused a wrong pattern.
    this.#takesTag = typeof takesTag === 'function' ? takesTag : () => false;
    this.#where = compileWhere(rule.where);
    this.#part = compileWhere(rule.measure.part);
    this.#whole = rule.measure.kind === 'ratio' ? compileWhere(rule.measure.whole) : () => true;
    this.#by = rule.by === undefined ? undefined : fieldOf(rule.by);
  }

  /** @param timeMs  decides the interval */
  observe(tag: string, event: FieldReader, timeMs: number): void {
    if (!this.#isTaken(tag) || !this.#where(event)) return;
    const isPart = this.#part(event);
    // A count keeps a group alive by every event that passes `where`, a ratio divides by `whole`.
    const isWhole = this.#whole(event);
    if (!isPart && !isWhole) return;
    const group = this.#by === undefined ? '' : groupName(event.str(this.#by));
    if (group === undefined) return;
    const counts = this.#interval(Math.floor(timeMs / this.rule.everyMs) * this.rule.everyMs);
    const known = counts.get(group);
    const name = known !== undefined || counts.size < this.rule.maxGroups ? group : OTHER_GROUP;
    const count = known ?? counts.get(name);
    // The part is counted within the whole, so that a ratio stays between 0 and 1.
    const matched = isPart && isWhole ? 1 : 0;
    if (count === undefined) counts.set(name, { matched, total: isWhole ? 1 : 0 });
    else {
      count.matched += matched;
      if (isWhole) count.total++;
    }
  }

  /** Takes out the intervals that ended by then, oldest first. */
  take(untilMs: number): { intervalMs: number; part: RulePart }[] {
    const ended = [...this.#open.keys()].filter((start) => start + this.rule.everyMs <= untilMs).sort((a, b) => a - b);
    return ended.map((intervalMs) => {
      const counts = this.#open.get(intervalMs) ?? new Map();
      this.#open.delete(intervalMs);
      return { intervalMs, part: partOf(this.rule.name, counts) };
    });
  }

  /** Everything that is open, for a snapshot. */
  open(): { intervalMs: number; part: RulePart }[] {
    return Array.from(this.#open, ([intervalMs, counts]) => ({ intervalMs, part: partOf(this.rule.name, counts) }));
  }

  /** Puts back what `open` gave. */
  restore(intervalMs: number, part: RulePart): void {
    const counts = this.#interval(intervalMs);
    for (const [group, matched, total] of part.groups) counts.set(group, { matched, total });
  }

  #isTaken(tag: string): boolean {
    const known = this.#tags.get(tag);
    if (known !== undefined) return known;
    // Tags come from outside: the memory of them is thrown away rather than left to grow.
    if (this.#tags.size >= TAGS_REMEMBERED_MAX) this.#tags.clear();
    const isTaken = this.#takesTag(tag);
    this.#tags.set(tag, isTaken);
    return isTaken;
  }

  #interval(start: number): Counts {
    const known = this.#open.get(start);
    if (known !== undefined) return known;
    if (this.#open.size >= OPEN_INTERVALS_MAX) {
      const oldest = Math.min(...this.#open.keys());
      if (start < oldest) return this.#open.get(oldest) ?? new Map();
    }
    const counts: Counts = new Map();
    this.#open.set(start, counts);
    return counts;
  }
}

function partOf(rule: string, counts: Counts): RulePart {
  return { rule, groups: Array.from(counts, ([group, { matched, total }]) => [group, matched, total] as const) };
}

/** Cut to what an item key can carry: no control characters, and no backslash at the end (Zabbix cannot quote one). */
function groupName(text: string | undefined): string | undefined {
  if (text === undefined || text === '') return undefined;
  const plain = /^[\w.\-: ]+$/.test(text) ? text : text.toWellFormed().replaceAll(/\p{Cc}/gu, ' ');
  const cut = plain.length <= GROUP_CHARACTERS_MAX ? plain : Array.from(plain).slice(0, GROUP_CHARACTERS_MAX).join('');
  return cut.replace(/\\+$/, '').trim() || undefined;
}

/**
 * Adds up the parts of all workers for one interval of a rule.
 *
 * @param known  groups that have a state already: they keep their place when the bound is reached
 */
export function mergeSamples(rule: Rule, parts: readonly RulePart[], known: ReadonlySet<string> = new Set()): Sample[] {
  const sums: Counts = new Map();
  let strangers = 0;
  const room = Math.max(0, rule.maxGroups - [...known].filter((group) => group !== OTHER_GROUP).length);
  for (const [group, matched, total] of parts.flatMap((part) => part.groups)) {
    let name = group;
    if (!known.has(group) && !sums.has(group) && group !== OTHER_GROUP && rule.by !== undefined) {
      if (strangers >= room) name = OTHER_GROUP;
      else strangers++;
    }
    const sum = sums.get(name);
    if (sum === undefined) sums.set(name, { matched, total });
    else {
      sum.matched += matched;
      sum.total += total;
    }
  }
  return Array.from(sums, ([group, { matched, total }]) => ({ group, matched, total }));
}

/**
 * The part of the rules that runs in each worker: counts events by the time at which they entered the log and publishes
 * each interval once it has ended.
 */
export function createRuleConsumer(rules: readonly Rule[], ctx: Pick<ConsumerContext, 'publish'>): Consumer {
  const counters = rules.map((rule) => new RuleCounter(rule));
  const reader = new ViewReader();
  const publish = (untilMs: number): void => {
    for (const counter of counters) for (const { intervalMs, part } of counter.take(untilMs)) ctx.publish(intervalMs, part);
  };
  return {
    reads: fieldsRead(rules),
    observe(event, enteredMs) {
      reader.read(event);
      for (const counter of counters) counter.observe(event.tag, reader, enteredMs);
    },
    snapshot() {
      return Buffer.from(JSON.stringify(counters.flatMap((counter) => counter.open())));
    },
    restore(state) {
      if (state === undefined) return;
      const entries = JSON.parse(Buffer.from(state).toString('utf8')) as { intervalMs: number; part: RulePart }[];
      // A rule that is gone since has nobody to count for.
      for (const { intervalMs, part } of entries)
        counters.find((counter) => counter.rule.name === part.rule)?.restore(intervalMs, part);
    },
    close: publish,
  };
}

function fieldsRead(rules: readonly Rule[]): Field[] {
  const names = new Set<string>();
  for (const rule of rules) {
    fieldsOf(rule.where, names);
    fieldsOf(rule.measure.part, names);
    if (rule.measure.kind === 'ratio') fieldsOf(rule.measure.whole, names);
    if (rule.by !== undefined) names.add(rule.by);
  }
  return Array.from(names, (name) => fieldOf(name));
}
