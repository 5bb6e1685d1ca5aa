import * as z from 'zod';
import type { Problem, SourcePlace } from '../engine/config/model.ts';
import { duration, integer, oneOf, text } from '../engine/units.ts';
import { compilePattern } from '../engine/pipeline/match-pattern.ts';
import { closest } from '../engine/config/problems.ts';
import { parseThreshold, type Threshold } from './threshold.ts';
import { parseWhere, renderWhereError, type Where } from './where.ts';

/** Zabbix's names, in rising order; the index is Zabbix's number. */
export const SEVERITIES = ['not_classified', 'information', 'warning', 'average', 'high', 'disaster'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** How an interval's counts become one value. `part` says which of the events that pass `where` are counted. */
export type Measure =
  | { readonly kind: 'count'; readonly part: Where }
  /** Events per `perMs`. */
  | { readonly kind: 'rate'; readonly part: Where; readonly perMs: number }
  /** Share of `part` in `whole`, from 0 to 1; no value below `minEvents`. */
  | { readonly kind: 'ratio'; readonly part: Where; readonly whole: Where };

/** A rule as it was read and checked: plain data, so that it can be handed to worker threads. */
export interface Rule {
  readonly name: string;
  /** One line for people; the name of the problem in Zabbix. */
  readonly summary: string;
  /** Tag patterns as in `<match>`, separated by blanks. */
  readonly from: string;
  readonly where: Where;
  readonly measure: Measure;
  /** Field whose values make groups; each has a state of its own. */
  readonly by: string | undefined;
  /** Further groups are counted together under the name `(other)`. */
  readonly maxGroups: number;
  readonly everyMs: number;
  /** Intervals that one value looks back over, 1 to 720. */
  readonly intervals: number;
  readonly condition: Threshold;
  /** What must hold for a problem to end, beside that `condition` does not. */
  readonly recovery: Threshold | undefined;
  readonly forMs: number;
  readonly minEvents: number;
  /** A group without events for so long is forgotten; a problem of it ends. */
  readonly forgetMs: number;
  readonly severity: Severity;
  readonly tags: Readonly<Record<string, string>>;
}

/** Bounds what a configuration can ask of memory and of Zabbix. */
export const RULES_MAX = 500;
export const GROUPS_MAX = 1000;
const INTERVALS_MAX = 720;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

// The descriptions are for reference pages and the JSON Schema.
export const RULE_SCHEMA = z.strictObject({
  name: text()
    .refine((name) => NAME.test(name), 'expected a name of letters, digits, dots, dashes and underscores, at most 64')
    .describe('Name of the rule; part of the keys of its items in Zabbix.'),
  summary: text()
    .refine((line) => line.length <= 200 && !/[\r\n]/.test(line), 'expected one line of at most 200 characters')
    .optional()
    .describe('Line for people, in any language: the name of the problem in Zabbix. Default: the name.'),
  from: text().default('**').describe('Tag pattern of the events, as in <match>.'),
  where: z.unknown().optional().describe('Condition that an event must meet to be looked at. Default: every event.'),
  measure: z
    .unknown()
    .optional()
    .describe('Measure per interval: count, rate, or {count: WHERE}, {rate: WHERE}, {ratio: WHERE}.'),
  by: text()
    .refine((name) => name !== '' && name.length <= 200, 'expected the name of a field')
    .optional()
    .describe('Field that groups the events: each of its values is watched alone.'),
  max_groups: integer({ min: 1, max: GROUPS_MAX })
    .default(100)
    .describe('Number of groups; the events of further ones are counted as the group (other).'),
  every: duration({ min: 1000, max: 3_600_000 }).default(10_000).describe('Interval of evaluation.'),
  over: duration({ min: 1000, max: 86_400_000 })
    .optional()
    .describe('Span that one value looks back over, a multiple of every. Default: every.'),
  condition: z.unknown().optional().describe("Condition of a problem: '> 5%', '== 0', or {above: 100, below: 5}."),
  recovery: z
    .unknown()
    .optional()
    .describe('Condition of its end, where it should differ (hysteresis). Default: that condition does not hold.'),
  for: duration({ min: 0, max: 86_400_000 }).default(0).describe('Span that the condition must hold for before it is a problem.'),
  min_events: integer({ min: 1, max: 1_000_000_000 }).default(1).describe('Number of events below which a ratio says nothing.'),
  forget: duration({ min: 60_000, max: 31 * 86_400_000 })
    .default(3_600_000)
    .describe('Span without events after which a group is forgotten.'),
  severity: oneOf(SEVERITIES).default('average').describe("Severity under Zabbix's names."),
  tags: z
    .record(z.string().min(1).max(100), text(), { error: 'expected a map of names and values' })
    .default({})
    .describe('Tags of the problem.'),
});

type Path = readonly (string | number)[];
/** Where a value stands in the configuration, given the way to it from `alerts:` (`[0, 'where']`). */
export type PlaceOf = (path: Path) => SourcePlace;

/**
 * Reads the value of `alerts:` of a configuration.
 *
 * @returns the rules that are right and everything that is wrong with the others, at once
 */
export function parseRules(data: unknown, placeOf: PlaceOf): { rules: Rule[]; problems: Problem[] } {
  const rules: Rule[] = [];
  const problems: Problem[] = [];
  const report: Report = (path, message, hint) => {
    problems.push({ severity: 'error', place: placeOf(path), message, ...(hint === undefined ? {} : { hint }) });
  };
  if (data === undefined || data === null) return { rules, problems };
  if (!Array.isArray(data)) {
    report([], 'expected a list of rules below alerts');
    return { rules, problems };
  }
  if (data.length > RULES_MAX) report([], `at most ${RULES_MAX} rules, found ${data.length}`);
  const names = new Set<string>();
  for (const [index, item] of data.slice(0, RULES_MAX).entries()) {
    const rule = parseRule(item, (path, message, hint) => report([index, ...path], message, hint));
    if (rule === undefined) continue;
    if (names.has(rule.name)) report([index, 'name'], `a rule named "${rule.name}" is there already`);
    else rules.push(rule);
    names.add(rule.name);
  }
  return { rules, problems };
}

type Report = (path: Path, message: string, hint?: string) => void;

function parseRule(data: unknown, report: Report): Rule | undefined {
  let isWrong = false;
  const fail: Report = (path, message, hint) => {
    isWrong = true;
    report(path, message, hint);
  };
  const parsed = RULE_SCHEMA.safeParse(data);
  if (!parsed.success) for (const issue of parsed.error.issues) reportIssue(issue, fail);
  if (!parsed.success && !isMap(data)) return undefined;
  // The parts below are read in any case, so that everything wrong is said at once.
  const given: Partial<z.output<typeof RULE_SCHEMA>> = parsed.success ? parsed.data : isMap(data) ? data : {};
  const measure = readMeasure(given.measure, fail);
  const where = given.where === undefined ? ALL : readWhere(given.where, ['where'], fail);
  const unit = isMap(given.measure) && 'ratio' in given.measure ? 'ratio' : 'number';
  const condition = readThreshold(given.condition, 'condition', unit, fail);
  const recovery = given.recovery === undefined ? undefined : readThreshold(given.recovery, 'recovery', unit, fail);
  if (!parsed.success) return undefined;
  const rule = parsed.data;
  const pattern = compilePattern(rule.from);
  if (typeof pattern !== 'function') fail(['from'], `from: ${pattern.error}`);
  const over = rule.over ?? rule.every;
  const intervals = over / rule.every;
  if (!Number.isInteger(intervals) || intervals > INTERVALS_MAX)
    fail(['over'], `expected a multiple of every (${rule.every / 1000}s), at most ${INTERVALS_MAX} times`);
  if (isWrong || measure === undefined || where === undefined || condition === undefined) return undefined;
  return {
    name: rule.name,
    summary: rule.summary ?? rule.name,
    from: rule.from,
    where,
    measure,
    by: rule.by,
    maxGroups: rule.max_groups,
    everyMs: rule.every,
    intervals,
    condition,
    recovery,
    forMs: rule.for,
    minEvents: rule.min_events,
    // Longer than what the rule itself waits for, or an absence could never become a problem.
    forgetMs: Math.max(rule.forget, 2 * rule.for, 2 * over),
    severity: rule.severity,
    tags: rule.tags,
  };
}

const ALL: Where = { op: 'all' };

function reportIssue(issue: z.core.$ZodIssue, report: Report): void {
  const path = issue.path.filter((step) => typeof step !== 'symbol');
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(RULE_SCHEMA.shape);
    for (const key of issue.keys) {
      const near = closest(key, known);
      report(
        [...path, key],
        `unknown parameter "${key}" of a rule`,
        near === undefined ? `known are ${known.join(', ')}` : `did you mean "${near}"?`,
      );
    }
  } else if (issue.code === 'invalid_type' && path.length === 0) {
    report(path, 'expected a rule: a map with name, measure and condition');
  } else {
    const name = String(path[0] ?? 'rule');
    report(path, `${name}: ${name === 'name' && issue.message === 'expected text' ? 'a rule needs a name' : issue.message}`);
  }
}

function readWhere(value: unknown, path: Path, report: Report): Where | undefined {
  if (typeof value !== 'string') {
    report(path, `${String(path.at(-1))}: expected a condition in quotes, such as 'status >= 500'`);
    return undefined;
  }
  const where = parseWhere(value);
  if ('op' in where) return where;
  report(path, `${String(path.at(-1))}: ${where.error}, at character ${where.offset + 1}`, renderWhereError(value, where));
  return undefined;
}

const MEASURE_FORMS =
  "count, rate, {count: 'WHERE'}, {rate: 'WHERE'}, {rate: {where: 'WHERE', per: 1m}}, {ratio: 'WHERE'} or {ratio: {part: 'WHERE', whole: 'WHERE'}}";

function readMeasure(value: unknown, report: Report): Measure | undefined {
  const wrong = (path: Path, message: string): undefined => {
    report(['measure', ...path], `measure: ${message}`, `known are ${MEASURE_FORMS}`);
    return undefined;
  };
  if (value === undefined) return wrong([], 'a rule needs one');
  if (value === 'count') return { kind: 'count', part: ALL };
  if (value === 'rate') return { kind: 'rate', part: ALL, perMs: 1000 };
  if (!isMap(value)) return wrong([], 'not known');
  const [kind, ...more] = Object.keys(value);
  if (kind === undefined || more.length > 0) return wrong([], 'expected one of count, rate, ratio');
  const body = value[kind];
  const parts = isMap(body) ? body : { [kind === 'ratio' ? 'part' : 'where']: body };
  const nested = isMap(body) ? ['measure', kind] : ['measure'];
  const allowed = KEYS_OF_MEASURE.get(kind);
  if (allowed === undefined) return wrong([kind], `"${kind}" is not known`);
  const stranger = Object.keys(parts).find((key) => !allowed.includes(key));
  if (stranger !== undefined) return wrong([kind, stranger], `"${stranger}" is not known in ${kind}`);
  const condition = (name: string): Where | undefined =>
    parts[name] === undefined ? ALL : readWhere(parts[name], [...nested, isMap(body) ? name : kind], report);
  if (kind === 'ratio') {
    if (parts['part'] === undefined) return wrong([kind], 'ratio needs the condition of its part');
    const part = condition('part');
    const whole = condition('whole');
    return part && whole && { kind, part, whole };
  }
  const part = condition('where');
  const per = duration({ min: 1, max: 86_400_000 }).safeParse(parts['per'] ?? 1);
  if (!per.success) return wrong([kind, 'per'], `per: ${per.error.issues[0]?.message ?? 'not a duration'}`);
  if (part === undefined) return undefined;
  return kind === 'count' ? { kind, part } : { kind: 'rate', part, perMs: per.data };
}

const KEYS_OF_MEASURE: ReadonlyMap<string, readonly string[]> = new Map([
  ['count', ['where']],
  ['rate', ['where', 'per']],
  ['ratio', ['part', 'whole']],
]);

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function readThreshold(value: unknown, name: string, unit: 'ratio' | 'number', report: Report): Threshold | undefined {
  const threshold = parseThreshold(value, unit);
  if (typeof threshold !== 'string') return threshold;
  report(
    [name],
    `${name}: ${value === undefined ? 'a rule needs one' : threshold}`,
    "write '> 5%', '>= 100', '== 0' or {above: 100, below: 5}",
  );
  return undefined;
}
