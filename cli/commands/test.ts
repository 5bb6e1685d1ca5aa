import { existsSync } from 'node:fs';
import { renderReplay, renderReplayJson, Replayer } from '../../alerts/replay.ts';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { requireConfiguration } from '../configuration.ts';
import type { Streams } from '../output.ts';
import { replayThrough } from '../replay-pipeline.ts';

export interface TestOptions {
  readonly config: string;
  readonly tag?: string;
  readonly format?: string;
  readonly json?: boolean;
  readonly expectFiring?: readonly string[];
}

/** Replays a file of lines through parser, filters and rules at the time the lines carry. */
export async function test(file: string, options: TestOptions, { out, err }: Streams): Promise<number> {
  const configuration = await requireConfiguration({ path: options.config });
  const { rules } = configuration;
  if (rules.length === 0) throw new MillraceError('MR_CONFIG', `${options.config}: there are no rules under alerts`);
  for (const name of options.expectFiring ?? []) {
    if (rules.some((rule) => rule.name === name)) continue;
    throw new MillraceError(
      'MR_USAGE',
      `--expect: there is no rule "${name}"; known are ${rules.map((rule) => rule.name).join(', ')}`,
    );
  }
  if (!existsSync(file)) throw new MillraceError('MR_NO_INPUT', `cannot read ${file}: there is no such file`);
  const replayer = new Replayer(rules);
  const input = {
    file,
    ...(options.tag === undefined ? {} : { tag: options.tag }),
    ...(options.format === undefined ? {} : { format: options.format }),
  };
  const { unparsed } = await replayThrough(configuration, input, (event) => {
    const { tag, seconds, nanoseconds } = event;
    replayer.add({ tag, seconds, nanoseconds, record: event.toObject() });
  });
  const result = replayer.end();
  if (unparsed > 0) err(`${unparsed} lines could not be parsed and were left out\n`);
  out(options.json === true ? renderReplayJson(result) : renderReplay(result, rules));
  const fired = new Set(result.transitions.filter(({ to }) => to === 'firing').map(({ rule }) => rule));
  const missing = (options.expectFiring ?? []).filter((rule) => !fired.has(rule));
  for (const rule of missing) err(`rule ${rule} did not fire\n`);
  return missing.length === 0 ? EXIT.ok : EXIT.no;
}
