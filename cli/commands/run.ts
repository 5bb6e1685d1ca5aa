import { resolve } from 'node:path';
import { formatProblems } from '../../engine/config/problems.ts';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import type { LogLevel } from '../../engine/telemetry/log.ts';
import { requireConfiguration, type ConfigSource } from '../configuration.ts';
import { Daemon } from '../daemon.ts';
import { renderOneLiner } from '../one-liner.ts';
import type { Streams } from '../output.ts';

export interface RunOptions {
  readonly config?: string;
  readonly inlineConfig?: string;
  readonly from?: string;
  readonly format?: string;
  readonly filter?: readonly string[];
  readonly to?: string;
  readonly once?: boolean;
  readonly data?: string;
  readonly workers?: number;
  readonly dryRun?: boolean;
  readonly verbose?: boolean;
  readonly quiet?: boolean;
}

/** Runs until a signal comes, or until every source has ended. */
export async function run(options: RunOptions, { err }: Streams): Promise<number> {
  const isOneLiner = options.from !== undefined;
  const source = sourceOf(options);
  const configuration = await requireConfiguration(source);
  if (configuration.problems.length > 0) err(formatProblems(configuration.problems));
  if (options.dryRun === true) {
    err('the configuration is sound; nothing was started\n');
    return EXIT.ok;
  }
  const level: LogLevel | undefined =
    options.verbose === true ? 'debug' : options.quiet === true ? 'error' : isOneLiner ? 'warn' : undefined;
  const ending = Promise.withResolvers<number>();
  const daemon = new Daemon({
    configuration,
    keeps: !isOneLiner || options.data !== undefined,
    ...(options.data === undefined ? {} : { dataDir: resolve(options.data) }),
    ...(options.workers === undefined ? {} : { workers: options.workers }),
    ...(level === undefined ? {} : { logLevel: level }),
    onCrash: (error) => {
      daemon.log.error({ reason: error.message }, 'a pipeline worker crashed');
      ending.resolve(EXIT.software);
    },
    onEnded: () => ending.resolve(EXIT.ok),
  });
  await daemon.start();
  const { components, control } = await daemon.status();
  daemon.log.info({ control, listening: components.flatMap(({ addresses }) => addresses ?? []) }, 'running');
  onSignals(() => ending.resolve(EXIT.ok));
  const code = await ending.promise;
  daemon.log.info({}, 'stopping: sources end, what they took is delivered');
  const { imbalances } = await daemon.stop();
  for (const sentence of imbalances) daemon.log.error({ sentence }, 'the books do not balance');
  return code;
}

function sourceOf(options: RunOptions): ConfigSource {
  const { config, inlineConfig, from } = options;
  const given = [config, inlineConfig, from].filter((value) => value !== undefined);
  if (given.length !== 1)
    throw new MillraceError(
      'MR_USAGE',
      'name the configuration with -c FILE, its text with -i TEXT, or an input with --from; one of them',
    );
  if (inlineConfig !== undefined) return { path: resolve('inline.conf'), text: inlineConfig, type: 'v1' };
  if (config !== undefined) return { path: config };
  const { format, filter, to, once } = options;
  const words = {
    from: from as string,
    ...(format === undefined ? {} : { format }),
    ...(filter === undefined ? {} : { filter }),
    ...(to === undefined ? {} : { to }),
    ...(once === undefined ? {} : { once }),
  };
  return { path: resolve('command-line.conf'), text: renderOneLiner(words), type: 'v1' };
}

/** A signal to the whole group comes to us twice, once through the launcher: that is one wish, not two. */
const SAME_WISH_MS = 1000;

/** The first signal ends the run in order; a later one at once. */
export function onSignals(first: (signal: NodeJS.Signals) => void): void {
  let firstMs: number | undefined;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (firstMs === undefined) {
        firstMs = Date.now();
        first(signal);
      } else if (Date.now() - firstMs > SAME_WISH_MS) process.kill(process.pid, 'SIGKILL');
    });
  }
}
