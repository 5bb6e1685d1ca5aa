/** The targets of a configuration together: what `plan` shows and `apply` does. */
import * as z from 'zod';
import type { Rule } from '../alerts/rule.ts';
import { applyZabbix, planZabbix } from '../alerts/zabbix/sync.ts';
import { ZABBIX_TARGET } from '../alerts/zabbix/target.ts';
import { serviceOverview } from '../dashboards/boards/service-overview.ts';
import { checkBoard } from '../dashboards/check.ts';
import { graphiteTarget, withGraphite } from '../dashboards/graphite/publish.ts';
import { kibanaTarget, withKibana } from '../dashboards/kibana/publish.ts';
import type { Board } from '../dashboards/model.ts';
import { MillraceError } from '../engine/errors.ts';
import type { Step, TargetPlan } from '../engine/sync.ts';
import { elasticsearchTarget, withElasticsearch } from '../shippers/elasticsearch/sync.ts';
import { typedFields } from '../shippers/elasticsearch/templates.ts';

/** `targets:` of millrace.yaml; each part may be left out. */
export const targetsSchema = z.strictObject({
  elasticsearch: elasticsearchTarget.optional(),
  kibana: kibanaTarget.optional(),
  graphite: graphiteTarget.optional(),
  zabbix: ZABBIX_TARGET.optional(),
});
export type Targets = z.output<typeof targetsSchema>;

/** Every board that comes with millrace. */
export const BOARDS: readonly Board[] = [serviceOverview];

/** What the targets are brought in step with. */
export interface Desired {
  /** Directory of the configuration file: relative paths start here. */
  readonly baseDir: string;
  readonly rules: readonly Rule[];
  readonly boards: readonly Board[];
}

/** What one target has to say: its steps, or why it cannot be planned or applied. */
export interface TargetOutcome {
  readonly target: keyof Targets;
  readonly steps: readonly Step[];
  readonly failure?: MillraceError;
}

/** What is wrong with the boards themselves, one sentence each; for `check`. */
export function checkBoards(boards: readonly Board[] = BOARDS): readonly string[] {
  return boards.flatMap((board) => checkBoard(board, typedFields()));
}

/** Reads only. A target that cannot be planned does not keep the others from being shown. */
export async function planTargets(targets: Targets, desired: Desired): Promise<readonly TargetOutcome[]> {
  return eachTarget(targets, desired, async (plan) => plan.steps, planZabbix);
}

/**
 * Plans every target first and changes nothing when one cannot be planned; then applies them one after another. A failure while
 * applying ends that target only; a second `apply` goes on where it ended.
 */
export async function applyTargets(targets: Targets, desired: Desired): Promise<readonly TargetOutcome[]> {
  const planned = await planTargets(targets, desired);
  if (planned.some((outcome) => outcome.failure !== undefined)) return planned;
  const apply: Use = async (plan) => {
    await plan.apply();
    return plan.steps;
  };
  return eachTarget(targets, desired, apply, applyZabbix);
}

type Use = (plan: TargetPlan) => Promise<readonly Step[]>;

/** In a fixed order: what takes the events before what shows them. */
async function eachTarget(
  { elasticsearch, kibana, graphite, zabbix }: Targets,
  { baseDir, boards, rules }: Desired,
  use: Use,
  useZabbix: typeof planZabbix,
): Promise<readonly TargetOutcome[]> {
  const outcomes: TargetOutcome[] = [];
  if (elasticsearch !== undefined)
    outcomes.push(await outcomeOf('elasticsearch', () => withElasticsearch(elasticsearch, baseDir, use)));
  if (kibana !== undefined) outcomes.push(await outcomeOf('kibana', () => withKibana(kibana, boards, baseDir, use)));
  if (graphite !== undefined) outcomes.push(await outcomeOf('graphite', () => withGraphite(graphite, boards, use)));
  if (zabbix !== undefined) outcomes.push(await outcomeOf('zabbix', () => useZabbix(zabbix, rules)));
  return outcomes;
}

async function outcomeOf(target: keyof Targets, run: () => Promise<readonly Step[]>): Promise<TargetOutcome> {
  try {
    return { target, steps: await run() };
  } catch (error) {
    if (error instanceof MillraceError) return { target, steps: [], failure: error };
    throw error;
  }
}
