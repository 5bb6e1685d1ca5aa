/** What `plan` shows and `apply` does: one kind of step for every target, and how steps are printed. */

export interface Step {
  /** `elasticsearch`, `kibana`, `graphite`, `zabbix`. */
  readonly target: string;
  readonly action: 'create' | 'change' | 'delete' | 'keep';
  /** The kind of object and its name: `index template logs-millrace`. */
  readonly what: string;
  /** What would change, one short line each. */
  readonly detail?: string;
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
