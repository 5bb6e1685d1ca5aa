import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../component.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Section } from '../config/model.ts';
import { defaultLimitBytes } from '../log/disk.ts';
import { openDiskLog } from '../log/disk-log.ts';
import type { EntranceLog } from '../log/entrance-log.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { Registry } from '../registry.ts';
import { systemClock } from '../telemetry/clock.ts';
import { childLog } from '../telemetry/log.ts';
import { needsDisk } from './durability.ts';
import type { WorkerSetup } from './messages.ts';

export const MEMORY_LIMIT_BYTES = 64 << 20;

export interface OpenedLog {
  readonly entranceLog: EntranceLog;
  /** Where the worker keeps its progress; undefined with a log in memory, which has none to keep. */
  readonly stateDir: string | undefined;
}

export interface OpenLogOptions {
  readonly setup: WorkerSetup;
  readonly config: LoadedConfig;
  readonly registry: Registry;
  readonly log: Log;
}

/** Numbers of workers that left a log in the data directory and have no place among so many workers. */
export function orphansIn(dataDir: string, workers: number): number[] {
  const ids = readdirSync(dataDir).map((name) => Number(/^worker-(\d{1,3})$/.exec(name)?.[1] ?? Number.NaN));
  return ids.filter((id) => id >= workers && existsSync(join(workerDirectory(dataDir, id), 'log'))).sort((a, b) => a - b);
}

/** The directory of a worker's log and progress. */
export const workerDirectory = (dataDir: string, id: number): string => join(dataDir, `worker-${id}`);

/**
 * On disk where a source asks for it and there is a place; in memory otherwise.
 *
 * @throws MillraceError of the log, when it cannot be opened
 */
export async function openLog({ setup, config, registry, log }: OpenLogOptions): Promise<OpenedLog> {
  const { dataDir, worker, isOrphan, logLimitBytes } = setup;
  if (dataDir === undefined || !(isOrphan || (await needsDisk(config.root, registry))))
    return {
      entranceLog: new MemoryLog(systemClock, logLimitBytes ?? MEMORY_LIMIT_BYTES, newIncarnation()),
      stateDir: undefined,
    };
  const stateDir = workerDirectory(dataDir, worker.id);
  mkdirSync(stateDir, { recursive: true, mode: 0o750 });
  const entranceLog = await openDiskLog({
    directory: join(stateDir, 'log'),
    clock: systemClock,
    log: childLog(log, { component: 'entrance-log' }),
    limitBytes: logLimitBytes ?? Math.floor((await defaultLimitBytes(stateDir)) / worker.count),
    header: { configHash: configHash(config.root), geoHash: geoHash(dataDir) },
    incarnation: newIncarnation,
  });
  bindState(stateDir, entranceLog.incarnation);
  return { entranceLog, stateDir };
}

/** What tells one configuration from another: its sections and parameters, wherever they stand. */
export function configHash(root: Section): string {
  const bare = (section: Section): unknown => [
    section.name,
    section.arg,
    Array.from(section.params.values(), ({ name, value }) => [name, value]),
    section.sections.map(bare),
  ];
  return createHash('sha256')
    .update(JSON.stringify(bare(root)))
    .digest('hex');
}

/** Of the names, sizes and times of the prepared IP data: it tells whether a replay sees the same. Empty: there are none yet. */
function geoHash(dataDir: string): string {
  const folder = join(dataDir, 'geo');
  if (!existsSync(folder)) return '';
  const files = readdirSync(folder)
    .sort()
    .map((name) => {
      const { size, mtimeMs } = statSync(join(folder, name));
      return [name, size, mtimeMs];
    });
  return createHash('sha256').update(JSON.stringify(files)).digest('hex');
}

const newIncarnation = (): bigint => BigInt(`0x${randomBytes(5).toString('hex')}`);

/**
 * Progress and counts speak of positions in one log. When the log is another one (its directory was removed, say), they
 * are nothing to go on from: they are set aside.
 */
function bindState(stateDir: string, incarnation: bigint): void {
  const path = join(stateDir, 'incarnation');
  const now = incarnation.toString(16);
  const before = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  if (before === now) return;
  if (before !== '')
    for (const name of ['progress', 'consumers'])
      if (existsSync(join(stateDir, name))) renameSync(join(stateDir, name), join(stateDir, `${name}.of-${before}`));
  writeFileSync(`${path}.new`, `${now}\n`);
  renameSync(`${path}.new`, path);
}
