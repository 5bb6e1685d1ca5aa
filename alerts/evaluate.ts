import { holds } from './threshold.ts';
import type { Rule } from './rule.ts';

/** What was counted for one group in one interval; the group of a rule without `by` is ''. */
export interface Sample {
  readonly group: string;
  /** Events of the measure's part. */
  readonly matched: number;
  /** Events of its whole: what a ratio divides by, and what keeps a group from being forgotten. */
  readonly total: number;
}

export type Status = 'ok' | 'pending' | 'firing';

export interface GroupState {
  readonly status: Status;
  /** When the status was entered, milliseconds since the epoch. */
  readonly sinceMs: number;
  /** Start of the first interval of the present run for which the condition held. */
  readonly metSinceMs: number | undefined;
  readonly lastEventMs: number;
  /** Undefined: too few events for a ratio. */
  readonly value: number | undefined;
  /** Counts of the intervals looked back over, oldest first; at most `rule.intervals`. */
  readonly window: readonly (readonly [matched: number, total: number])[];
}

export type RuleState = ReadonlyMap<string, GroupState>;
export const NO_STATE: RuleState = new Map();

/** A problem began (`firing`) or ended (`ok`). */
export interface Transition {
  readonly rule: string;
  readonly group: string;
  /** End of the interval that decided it, milliseconds since the epoch. */
  readonly at: number;
  readonly from: 'ok' | 'firing';
  readonly to: 'ok' | 'firing';
  readonly value: number | undefined;
}

/**
 * Takes a rule one interval further. Pure: the daemon and replays call nothing else.
 *
 * @param samples  the interval's counts, at most one per group; groups known before and not named count as zero
 * @param at  end of the interval, milliseconds since the epoch; calls come interval by interval
 */
export function evaluate(
  rule: Rule,
  samples: readonly Sample[],
  state: RuleState,
  at: number,
): { readonly state: RuleState; readonly transitions: readonly Transition[] } {
  const next = new Map<string, GroupState>();
  const transitions: Transition[] = [];
  const byGroup = new Map(samples.map((sample) => [sample.group, sample]));
  const groups = new Set([...(rule.by === undefined ? [''] : []), ...state.keys(), ...byGroup.keys()]);
  for (const group of groups) {
    const before = state.get(group);
    const counted = byGroup.get(group);
    const now = step(rule, before, counted, at);
    const wasFiring = before?.status === 'firing';
    const isForgotten = rule.by !== undefined && at - now.lastEventMs >= rule.forgetMs;
    if (!isForgotten) next.set(group, now);
    const isFiring = now.status === 'firing' && !isForgotten;
    if (wasFiring !== isFiring)
      transitions.push({
        rule: rule.name,
        group,
        at,
        from: wasFiring ? 'firing' : 'ok',
        to: isFiring ? 'firing' : 'ok',
        value: now.value,
      });
  }
  return { state: next, transitions };
}

function step(rule: Rule, before: GroupState | undefined, counted: Sample | undefined, at: number): GroupState {
  const window = [...(before?.window ?? []), [counted?.matched ?? 0, counted?.total ?? 0] as const].slice(-rule.intervals);
  const value = valueOf(rule, window);
  const isMet = value !== undefined && holds(rule.condition, value);
  const metSinceMs = isMet ? (before?.metSinceMs ?? at - rule.everyMs) : undefined;
  const status = nextStatus(rule, before?.status ?? 'ok', value, metSinceMs, at);
  return {
    status,
    sinceMs: before !== undefined && before.status === status ? before.sinceMs : at,
    metSinceMs,
    lastEventMs: before === undefined || (counted !== undefined && counted.total > 0) ? at : before.lastEventMs,
    value,
    window,
  };
}

function nextStatus(rule: Rule, before: Status, value: number | undefined, metSinceMs: number | undefined, at: number): Status {
  if (metSinceMs !== undefined) {
    if (before === 'firing') return 'firing';
    return at - metSinceMs >= rule.forMs ? 'firing' : 'pending';
  }
  if (before !== 'firing') return 'ok';
  // Between the two conditions a problem stays; a ratio over too few events says nothing and lets it end.
  const isRecovered = rule.recovery === undefined || value === undefined || holds(rule.recovery, value);
  return isRecovered ? 'ok' : 'firing';
}

function valueOf(rule: Rule, window: GroupState['window']): number | undefined {
  let matched = 0;
  let total = 0;
  for (const part of window) {
    matched += part[0];
    total += part[1];
  }
  if (rule.measure.kind === 'count') return matched;
  if (rule.measure.kind === 'rate') return (matched * rule.measure.perMs) / (window.length * rule.everyMs);
  return total < rule.minEvents ? undefined : matched / total;
}
