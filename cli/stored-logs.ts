/** What a data directory holds of the workers' logs, for commands that look at it from outside. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ProgressFile, type Saved } from '../engine/delivery/progress-file.ts';

export interface WorkerLog {
  readonly worker: number;
  readonly directory: string;
}

/** In the order of the workers; empty when there are none. */
export function logsIn(dataDir: string): WorkerLog[] {
  const names = existsSync(dataDir) ? readdirSync(dataDir) : [];
  const logs = names.flatMap((name) => {
    const worker = /^worker-(\d{1,3})$/.exec(name)?.[1];
    const directory = join(dataDir, name, 'log');
    return worker !== undefined && existsSync(directory) ? [{ worker: Number(worker), directory }] : [];
  });
  return logs.toSorted((a, b) => a.worker - b.worker);
}

export interface OutputProgress extends Saved {
  readonly output: string;
}

/** How far each output has come with the log. */
export function progressIn({ directory }: WorkerLog): OutputProgress[] {
  const path = join(directory, '..', 'progress');
  if (!existsSync(path)) return [];
  return readdirSync(path).flatMap((name) => {
    const bytes = readFileSync(join(path, name));
    const file = new ProgressFile({
      read: (into, at) => into.set(bytes.subarray(at, at + into.length)),
      write: () => undefined,
      sync: (done) => done(null),
      close: () => undefined,
    });
    const saved = file.load();
    return saved === undefined ? [] : [{ output: decodeURIComponent(name), ...saved }];
  });
}
