/** `plan` and `apply`: what stands elsewhere kept in step with the configuration. */
import { dirname, resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { isInStep, renderSteps, renderStepsJson, type Step } from '../../engine/sync.ts';
import { requireConfiguration, type Configuration } from '../configuration.ts';
import { showError, type Streams } from '../output.ts';
import { applyTargets, BOARDS, planTargets, type Desired, type TargetOutcome } from '../targets.ts';

export interface SyncOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly yes?: boolean;
}

/** @returns 0 in step, 2 differs, or the code of the first target that could not be asked */
export async function plan(options: SyncOptions, streams: Streams): Promise<number> {
  const configuration = await withTargets(options.config);
  return show(await planTargets(configuration.targets, desired(configuration)), options, streams);
}

/** Changes nothing when one target cannot be planned. */
export async function apply(options: SyncOptions, streams: Streams): Promise<number> {
  const configuration = await withTargets(options.config);
  const planned = await planTargets(configuration.targets, desired(configuration));
  if (planned.some(({ failure }) => failure !== undefined)) return show(planned, options, streams);
  const steps = planned.flatMap((outcome) => outcome.steps);
  if (isInStep(steps)) {
    show(planned, options, streams);
    return EXIT.ok;
  }
  if (options.yes !== true && !(await isAgreed(steps, streams))) return EXIT.no;
  const done = await applyTargets(configuration.targets, desired(configuration));
  const code = show(done, options, streams);
  return code === EXIT.differs ? EXIT.ok : code;
}

async function withTargets(path: string): Promise<Configuration> {
  const configuration = await requireConfiguration({ path });
  if (Object.keys(configuration.targets).length === 0) {
    throw new MillraceError('MR_CONFIG', `${path}: there is no targets section, so nothing can be kept in step`);
  }
  return configuration;
}

const desired = ({ source, rules }: Configuration): Desired => ({
  baseDir: dirname(resolve(source.path)),
  rules,
  boards: BOARDS,
});

function show(outcomes: readonly TargetOutcome[], { json }: SyncOptions, { out, err }: Streams): number {
  const steps = outcomes.flatMap((each) => each.steps);
  out(json === true ? renderStepsJson(steps) : renderSteps(steps));
  let code: number = isInStep(steps) ? EXIT.ok : EXIT.differs;
  for (const { target, failure } of outcomes) {
    if (failure === undefined) continue;
    err(`${target}: `);
    const failed = showError(failure, err);
    if (code < EXIT.usage) code = failed;
  }
  return code;
}

/** Asks on a terminal; elsewhere the answer has to come with the command. */
async function isAgreed(steps: readonly Step[], { out }: Streams): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new MillraceError(
      'MR_USAGE',
      'nobody can be asked here: show the changes with `millrace plan`, then call `millrace apply --yes`',
    );
  out(renderSteps(steps));
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Apply these changes? [y/N] ');
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}
