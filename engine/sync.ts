/** What `plan` shows and `apply` does: one kind of step for every target, and how steps are printed. */
import { isDeepStrictEqual } from 'node:util';

export interface Step {
  /** `elasticsearch`, `kibana`, `graphite`, `zabbix`. */
  readonly target: string;
  readonly action: 'create' | 'change' | 'delete' | 'keep';
  /** The kind of object and its name: `index template logs-millrace`. */
  readonly what: string;
  /** What would change, one short line each. */
  readonly detail?: string;
}

/** What one target would change. Making it reads only; a foreign object in the way is a MillraceError MR_REFUSED, before anything changes. */
export interface TargetPlan {
  readonly steps: readonly Step[];
  /** Does the steps that are not `keep`, in order. */
  apply(signal?: AbortSignal): Promise<void>;
}

/**
 * The paths at which two plain values differ, for `detail`: `settings.refresh_interval: 5s -> 1s`.
 *
 * @param max  lines at most; what is left out is counted on one line more
 */
export function differences(before: unknown, after: unknown, max = 8): readonly string[] {
  const lines: string[] = [];
  compare(before, after, '', lines);
  return lines.length <= max ? lines : [...lines.slice(0, max), `and ${lines.length - max} more`];
}

function compare(before: unknown, after: unknown, path: string, lines: string[]): void {
  if (isPlain(before) && isPlain(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      compare(before[key], after[key], path === '' ? key : `${path}.${key}`, lines);
    }
  } else if (!isDeepStrictEqual(before, after)) lines.push(`${path}: ${shown(before)} -> ${shown(after)}`);
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function shown(value: unknown): string {
  if (value === undefined) return 'absent';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const SIGNS = { create: '+', change: '~', delete: '-', keep: ' ' } as const satisfies Record<Step['action'], string>;

/** True when `apply` would change nothing. */
export function isInStep(steps: readonly Step[]): boolean {
  return steps.every((step) => step.action === 'keep');
}

/**
 * Renders steps for people: a heading per target in order of appearance, a sign per step (`+` create, `~` change,
 * `-` delete, blank keep), details indented below, and a line of sums. Ends with a line feed.
 */
export function renderSteps(steps: readonly Step[]): string {
  const lines: string[] = [];
  for (const target of new Set(steps.map((step) => step.target))) {
    lines.push(target);
    for (const step of steps) {
      if (step.target !== target) continue;
      lines.push(`  ${SIGNS[step.action]} ${step.what}`);
      for (const line of step.detail?.split('\n') ?? []) lines.push(`      ${line}`);
    }
  }
  const sum = (action: Step['action']): number => steps.filter((step) => step.action === action).length;
  lines.push(
    isInStep(steps)
      ? `in step: ${steps.length} objects, nothing to do`
      : `${sum('create')} to create, ${sum('change')} to change, ${sum('delete')} to delete, ${sum('keep')} in step`,
  );
  return `${lines.join('\n')}\n`;
}

/** The same for programs; ends with a line feed. */
export function renderStepsJson(steps: readonly Step[]): string {
  return `${JSON.stringify({ inStep: isInStep(steps), steps }, undefined, 2)}\n`;
}
