/** Reads a configuration with everything it includes; knows nothing of components yet (that is check.ts). */
import { hostname } from 'node:os';
import { diskFiles, type ConfigFiles, type Surroundings } from './files.ts';
import { MAX_PROBLEMS, openSection, readFluentdConf, type ReadState } from './fluentd-conf.ts';
import type { Problem, Section } from './model.ts';
import { renewNames } from './old-names.ts';
import { sortedByPlace } from './problems.ts';
import { childSections } from './section.ts';
import { readYaml, type Placed } from './yaml.ts';

export interface LoadOptions {
  /** Default: the process's own. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly hostname?: string;
  /** Worker that reads; absent in the main thread. */
  readonly workerId?: number;
  readonly files?: ConfigFiles;
  /** Default: by extension; `.yaml` and `.yml` are YAML. */
  readonly type?: 'yaml' | 'v1';
  /** Leaves the spellings of Fluentd 0.12 as they are. */
  readonly keepOldNames?: boolean;
}

export interface LoadedConfig {
  /** `ROOT`: its sub-sections are source, filter, match, label, worker and system, in order. */
  readonly root: Section;
  /** The `<system>` sections; parameters of later ones win. */
  readonly system: readonly Section[];
  /** `alerts`, `dashboards`, `targets` of a YAML configuration, with the place of every part. */
  readonly extras: ReadonlyMap<string, Placed>;
  /** What is wrong with the text itself, in the order of the files. */
  readonly problems: readonly Problem[];
  /** True for `fluent.conf`, where Fluentd's defaults hold (`bind` 0.0.0.0). */
  readonly isFluentd: boolean;
}

/** Reads a file and what it includes. Never throws: what is wrong, also a missing file, is a problem. */
export function loadConfig(path: string, options: LoadOptions = {}): LoadedConfig {
  const files = options.files ?? diskFiles;
  const text = files.read(path);
  if (typeof text === 'string') return loadConfigText(path, text, options);
  const place = { file: path, line: 1, column: 1 };
  return {
    root: openSection('ROOT', '', place),
    system: [],
    extras: new Map(),
    problems: [{ severity: 'error', place, message: text.error }],
    isFluentd: false,
  };
}

/** Like `loadConfig` for a text that is there already; includes are relative to `path`. */
export function loadConfigText(path: string, text: string, options: LoadOptions = {}): LoadedConfig {
  const problems: Problem[] = [];
  const root = openSection('ROOT', '', { file: path, line: 1, column: 1 });
  const state: ReadState = { surroundings: surroundingsOf(options), problems, stack: [path], yaml: readYaml };
  const isYaml = options.type === undefined ? /\.ya?ml$/.test(path) : options.type === 'yaml';
  let extras: ReadonlyMap<string, Placed> = new Map();
  if (isYaml) ({ extras } = readYaml(path, text, root, state));
  else readFluentdConf(path, text, root, state);
  const renewed = options.keepOldNames === true ? { root, problems: [] } : renewNames(root);
  return {
    root: renewed.root,
    system: childSections(root, 'system'),
    extras,
    problems: [...bounded(problems), ...bounded(sortedByPlace(renewed.problems))],
    isFluentd: !isYaml,
  };
}

/** A text that is no configuration at all can have a problem in each of its lines. */
function bounded(problems: readonly Problem[]): readonly Problem[] {
  const next = problems[MAX_PROBLEMS];
  if (next === undefined) return problems;
  const message = `and ${problems.length - MAX_PROBLEMS} more problems`;
  return [...problems.slice(0, MAX_PROBLEMS), { severity: 'error', place: next.place, message }];
}

/**
 * The place of a part of `alerts`, `dashboards` or `targets`; of the nearest part above it when it is not there.
 *
 * @param path  keys and indices: `['rules', 3, 'where']`
 */
export function placeOf(placed: Placed, path: readonly PropertyKey[]): Placed['place'] {
  let found = placed;
  for (const step of path) {
    const next = found.children.get(String(step));
    if (next === undefined) break;
    found = next;
  }
  return found.place;
}

export function surroundingsOf(options: LoadOptions): Surroundings {
  return {
    env: options.env ?? process.env,
    hostname: options.hostname ?? hostname(),
    workerId: options.workerId,
    files: options.files ?? diskFiles,
  };
}
