/** A configuration as every command sees it: read, checked as a whole, with rules and targets. */
import { accessSync, constants, statSync } from 'node:fs';
import type * as z from 'zod';
import { placesOf, readRules } from '../alerts/alerts.ts';
import type { Rule } from '../alerts/rule.ts';
import { checkConfig, readSystem } from '../engine/config/check.ts';
import { loadConfig, loadConfigText, type LoadedConfig } from '../engine/config/load.ts';
import type { Problem } from '../engine/config/model.ts';
import { formatProblems, hasErrors, suggest } from '../engine/config/problems.ts';
import type { SystemConfig } from '../engine/config/system.ts';
import { shapeOf } from '../engine/config/validate.ts';
import type { Placed } from '../engine/config/yaml.ts';
import { bufferConfig } from '../engine/delivery/buffer-config.ts';
import { MillraceError, messageOf } from '../engine/errors.ts';
import { REGISTRY } from './components.ts';
import { targetsSchema, type Targets } from './targets.ts';

export interface ConfigSource {
  readonly path: string;
  /** The text itself, when there is no file. */
  readonly text?: string;
  readonly type?: 'yaml' | 'v1';
}

export interface Configuration {
  readonly source: ConfigSource;
  readonly loaded: LoadedConfig;
  readonly system: SystemConfig;
  readonly rules: readonly Rule[];
  readonly targets: Targets;
  /** In the order of the files. */
  readonly problems: readonly Problem[];
}

/**
 * Never throws for what stands in the files.
 *
 * @throws MillraceError MR_NO_INPUT when the file itself cannot be read
 */
export async function readConfiguration(source: ConfigSource): Promise<Configuration> {
  if (source.text === undefined) requireReadable(source.path);
  const options = source.type === undefined ? {} : { type: source.type };
  const loaded = source.text === undefined ? loadConfig(source.path, options) : loadConfigText(source.path, source.text, options);
  const problems: Problem[] = [...loaded.problems];
  const { system, problems: systemProblems } = readSystem(loaded.system);
  problems.push(...systemProblems);
  problems.push(...(await checkConfig(loaded.root, { registry: REGISTRY, buffer: bufferConfig, isFluentd: loaded.isFluentd })));
  const { rules, problems: ruleProblems } = readRules(loaded.extras.get('alerts'));
  problems.push(...ruleProblems);
  const targets = readTargets(loaded.extras.get('targets'), problems);
  return { source, loaded, system, rules, targets, problems: unique(problems) };
}

function requireReadable(path: string): void {
  try {
    accessSync(path, constants.R_OK);
    if (statSync(path).isDirectory()) throw new Error('it is a folder');
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : messageOf(cause);
    throw new MillraceError('MR_NO_INPUT', `cannot read the configuration ${path}: ${why}`, { cause });
  }
}

/** @throws MillraceError MR_CONFIG with every problem, when one of them is an error */
export async function requireConfiguration(source: ConfigSource): Promise<Configuration> {
  const configuration = await readConfiguration(source);
  if (hasErrors(configuration.problems)) throw new MillraceError('MR_CONFIG', formatProblems(configuration.problems).trimEnd());
  return configuration;
}

function readTargets(placed: Placed | undefined, problems: Problem[]): Targets {
  if (placed === undefined) return {};
  const parsed = targetsSchema.safeParse(placed.value ?? {});
  if (parsed.success) return parsed.data;
  const placeOf = placesOf(placed);
  for (const issue of parsed.error.issues) {
    const path = issue.path.filter((step) => typeof step !== 'symbol');
    const at = ['targets', ...path].join('.');
    if (issue.code === 'unrecognized_keys') {
      const known = Object.keys(shapeOf(path.reduce<z.ZodType | undefined>(memberOf, targetsSchema)) ?? {});
      for (const key of issue.keys) {
        const hint = suggest(key, known);
        problems.push({
          severity: 'error',
          place: placeOf([...path, key]),
          message: `unknown parameter ${key} in ${at}`,
          ...(hint === undefined ? {} : { hint }),
        });
      }
    } else {
      const message = issue.code === 'invalid_type' && issue.expected === 'object' ? 'expected a map' : issue.message;
      problems.push({ severity: 'error', place: placeOf(path), message: `${at}: ${message}` });
    }
  }
  return {};
}

const memberOf = (schema: z.ZodType | undefined, step: string | number): z.ZodType | undefined => shapeOf(schema)?.[step];

/** Two checks may see the same thing wrong (the reader of `<system>` and the walk over the whole tree). */
function unique(problems: readonly Problem[]): Problem[] {
  const seen = new Set<string>();
  return problems.filter(({ place, message }) => {
    const key = `${place.file}:${place.line}:${place.column}:${message}`;
    const isNew = !seen.has(key);
    seen.add(key);
    return isNew;
  });
}
