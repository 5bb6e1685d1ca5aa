/** A configuration's parser and filters run over one file, with nothing at the other end. */
import { randomBytes } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { NOWHERE, childSections, paramText } from '../engine/config/section.ts';
import type { Param, ParamValue, Section } from '../engine/config/model.ts';
import { MillraceError } from '../engine/errors.ts';
import type { EventView } from '../engine/component.ts';
import { MemoryLog } from '../engine/log/memory-log.ts';
import { Pipeline } from '../engine/pipeline/pipeline.ts';
import { sumOf } from '../engine/telemetry/accounts.ts';
import { systemClock } from '../engine/telemetry/clock.ts';
import { createLog } from '../engine/telemetry/log.ts';
import { REGISTRY } from './components.ts';
import type { Configuration } from './configuration.ts';

export interface ReplayInput {
  readonly file: string;
  /** Tag of the lines; default: that of the first tail source. */
  readonly tag?: string;
  /** Parser, when no source says so. */
  readonly format?: string;
}

const LOG_LIMIT_BYTES = 32 << 20;
/** The outputs only forget. */
const FINISH_MS = 10_000;

/**
 * Reads the file to its end, as the tail source with that tag would, and shows every event that reaches an output.
 *
 * @returns lines that could not be parsed
 * @throws MillraceError MR_USAGE when nothing says how to read the lines, MR_NO_INPUT when the file cannot be read
 */
export async function replayThrough(
  { loaded, source }: Configuration,
  input: ReplayInput,
  onEvent: (event: EventView) => void,
): Promise<{ readonly unparsed: number }> {
  const root = withoutEnds(loaded.root, sourceFor(loaded.root, input));
  const pipeline = await Pipeline.build({
    root,
    isFluentd: loaded.isFluentd,
    registry: REGISTRY,
    worker: { id: 0, count: 1 },
    baseDir: dirname(resolve(source.path)),
    dataDir: undefined,
    clock: systemClock,
    log: createLog('error', {}),
    random: Math.random,
    signal: new AbortController().signal,
    entranceLog: new MemoryLog(systemClock, LOG_LIMIT_BYTES, BigInt(`0x${randomBytes(5).toString('hex')}`)),
    stateDir: undefined,
    publish: () => undefined,
    onClosed: () => undefined,
    taps: [{ id: 'replay', keeps: false, matches: () => true, create: () => ({ reads: [], observe: onEvent }) }],
  });
  await pipeline.start();
  await pipeline.finished();
  await pipeline.quiesce(true);
  await pipeline.finish(AbortSignal.timeout(FINISH_MS));
  const unparsed = pipeline.status().reduce((sum, { kind, dropped }) => sum + (kind === 'source' ? sumOf(dropped) : 0), 0);
  await pipeline.stop();
  return { unparsed };
}

const param = (name: string, value: ParamValue): [string, Param] => [name, { name, value, place: NOWHERE }];

function sourceFor(root: Section, { file, tag, format }: ReplayInput): Section {
  const tails = allSources(root).filter((section) => paramText(section, '@type') === 'tail');
  const chosen = tails.find((section) => tag === undefined || paramText(section, 'tag') === tag);
  if (chosen === undefined && format === undefined) {
    const what = tag === undefined ? 'a tail source' : `a tail source with the tag ${tag}`;
    throw new MillraceError(
      'MR_USAGE',
      `the configuration has no ${what}, so say how to read the lines: --format PARSER --tag TAG`,
    );
  }
  const params = new Map(chosen?.params);
  for (const name of ['pos_file', 'exclude_path', 'follow_inodes']) params.delete(name);
  const ownTag = tag ?? (chosen === undefined ? 'replay' : (paramText(chosen, 'tag') ?? 'replay'));
  for (const [name, value] of [
    param('@type', 'tail'),
    param('path', resolve(file)),
    param('tag', ownTag.replace('*', 'replay')),
    param('read_from_head', true),
    param('exit_at_eof', true),
  ])
    params.set(name, value);
  const parse: Section = {
    name: 'parse',
    arg: '',
    params: new Map([param('@type', format ?? 'none')]),
    sections: [],
    place: NOWHERE,
  };
  const kept = (chosen?.sections ?? []).filter(({ name }) => name !== 'parse' || format === undefined);
  return { name: 'source', arg: '', params, sections: format === undefined ? kept : [...kept, parse], place: NOWHERE };
}

function allSources(section: Section): Section[] {
  return section.sections.flatMap((child) => {
    if (child.name === 'source') return [child];
    return child.name === 'worker' ? allSources(child) : [];
  });
}

/** The tree with that one source, and with outputs that take and forget; ways to other labels stay. */
function withoutEnds(root: Section, source: Section): Section {
  return { ...root, sections: [source, ...root.sections.flatMap((section) => endless(section))] };
}

function endless(section: Section): Section[] {
  switch (section.name) {
    case 'source':
      return [];
    case 'label':
    case 'worker':
      return [{ ...section, sections: section.sections.flatMap((child) => endless(child)) }];
    case 'match':
      return [forgetful(section)];
    default:
      return [section];
  }
}

function forgetful(section: Section): Section {
  const type = paramText(section, '@type');
  if (type === 'relabel') return section;
  if (type === 'copy') return { ...section, sections: childSections(section, 'store').map((store) => forgetful(store)) };
  return { ...section, params: new Map([param('@type', 'null')]), sections: [] };
}
