/** The targets of a configuration together: what `plan` shows and `apply` does. Zabbix joins with the rules. */
import * as z from 'zod';
import { serviceOverview } from '../dashboards/boards/service-overview.ts';
import { checkBoard } from '../dashboards/check.ts';
import { graphiteTarget, withGraphite } from '../dashboards/graphite/publish.ts';
import { kibanaTarget, withKibana } from '../dashboards/kibana/publish.ts';
import type { Board } from '../dashboards/model.ts';
import { MillraceError } from '../engine/errors.ts';
import type { Step, TargetPlan } from '../engine/sync.ts';
import { elasticsearchTarget, withElasticsearch } from '../shippers/elasticsearch/sync.ts';
import { typedFields } from '../shippers/elasticsearch/templates.ts';

/** `targets:` of millrace.yaml without `zabbix`; each part may be left out. */
export const targetsSchema = z.strictObject({
  elasticsearch: elasticsearchTarget.optional(),
  kibana: kibanaTarget.optional(),
  graphite: graphiteTarget.optional(),
});
export type Targets = z.output<typeof targetsSchema>;

/** Every board that comes with millrace. */
export const BOARDS: readonly Board[] = [serviceOverview];

/** What one target has to say: its steps, or why it cannot be planned. */
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
export async function planTargets(
  targets: Targets,
  baseDir: string,
  boards: readonly Board[] = BOARDS,
): Promise<readonly TargetOutcome[]> {
  return eachTarget(targets, baseDir, boards, async (plan) => plan.steps);
}

/**
 * Plans every target first and changes nothing when one cannot be planned; then applies them one after another. A failure while
 * applying ends that target only; a second `apply` goes on where it ended.
 */
export async function applyTargets(
  targets: Targets,
  baseDir: string,
  boards: readonly Board[] = BOARDS,
): Promise<readonly TargetOutcome[]> {
  const planned = await planTargets(targets, baseDir, boards);
  if (planned.some((outcome) => outcome.failure !== undefined)) return planned;
  return eachTarget(targets, baseDir, boards, async (plan) => {
    await plan.apply();
    return plan.steps;
  });
}

type Use = (plan: TargetPlan) => Promise<readonly Step[]>;

async function eachTarget(
  targets: Targets,
  baseDir: string,
  boards: readonly Board[],
  use: Use,
): Promise<readonly TargetOutcome[]> {
  const { elasticsearch, kibana, graphite } = targets;
  const outcomes: TargetOutcome[] = [];
  if (elasticsearch !== undefined)
    outcomes.push(await outcomeOf('elasticsearch', () => withElasticsearch(elasticsearch, baseDir, use)));
  if (kibana !== undefined) outcomes.push(await outcomeOf('kibana', () => withKibana(kibana, boards, baseDir, use)));
  if (graphite !== undefined) outcomes.push(await outcomeOf('graphite', () => withGraphite(graphite, boards, use)));
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
