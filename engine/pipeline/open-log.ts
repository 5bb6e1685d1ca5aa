import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../component.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { EntranceLog } from '../log/entrance-log.ts';
import { MemoryLog } from '../log/memory-log.ts';
import type { Registry } from '../registry.ts';
import { systemClock } from '../telemetry/clock.ts';
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
export async function openLog({ setup, config, registry }: OpenLogOptions): Promise<OpenedLog> {
  const { dataDir, worker, isOrphan, logLimitBytes } = setup;
  if (dataDir === undefined || !(isOrphan || (await needsDisk(config.root, registry)))) {
    const incarnation = BigInt(`0x${randomBytes(5).toString('hex')}`);
    return { entranceLog: new MemoryLog(systemClock, logLimitBytes ?? MEMORY_LIMIT_BYTES, incarnation), stateDir: undefined };
  }
  const stateDir = workerDirectory(dataDir, worker.id);
  const incarnation = BigInt(`0x${randomBytes(5).toString('hex')}`);
  return {
    entranceLog: new MemoryLog(systemClock, logLimitBytes ?? MEMORY_LIMIT_BYTES, incarnation),
    stateDir: stateDir === '' ? stateDir : undefined,
  };
}
