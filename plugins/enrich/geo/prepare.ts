/**
 * Makes the packaged data in a process of its own: it takes seconds, and 300 MB that a collector would hold on to. One process
 * at a time makes them; whoever comes meanwhile waits for its file.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { messageOf } from '../../../engine/errors.ts';
import { missingDefault, openDefault, type DefaultOptions } from './default-data.ts';
import { systemClock } from '../../../engine/telemetry/clock.ts';

const POLL_MS = 50;
/** A machine that needs longer is so busy that a second attempt would not help it. */
const WAIT_MS_MAX = 120_000;
/** Whoever held a lock this old has died, and its number may be another process's by now. */
const LOCK_MS_MAX = 300_000;

/** The part of the options that a process can be told. */
type Task = Pick<DefaultOptions, 'dataDir' | 'sources'>;

/**
 * Has the packaged data made where `openDefault` will look for them. Does nothing when they are there, and never rejects:
 * what could not be made here `openDefault` makes itself, or says why it cannot.
 */
export async function prepareDefault(options: DefaultOptions): Promise<void> {
  const path = missingDefault(options);
  if (path === undefined) return;
  const { log, clock, dataDir, sources } = options;
  const lock = `${path}.lock`;
  const startMs = clock.now();
  log?.info({ path }, 'compacting the IP data of the packages, once; this takes a few seconds');
  try {
    mkdirSync(dirname(path), { recursive: true });
    for (let waitedMs = 0; !take(lock); waitedMs += POLL_MS) {
      if (waitedMs >= WAIT_MS_MAX) throw new Error(`another process holds ${lock}`);
      await after(POLL_MS);
    }
    try {
      if (missingDefault(options) !== undefined) await make({ dataDir, ...(sources && { sources }) });
    } finally {
      rmSync(lock, { force: true });
    }
    log?.info({ path, ms: clock.now() - startMs }, 'compacted the IP data of the packages');
  } catch (error) {
    log?.warn({ path, error: messageOf(error) }, 'the IP data could not be compacted in a process of its own');
  }
}

/** Takes the lock, also one that was left behind. */
function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  if (isAbandoned(lock)) rmSync(lock, { force: true });
  return false;
}

function isAbandoned(lock: string): boolean {
  try {
    const ageMs = systemClock.now() - statSync(lock).mtimeMs;
    if (ageMs > LOCK_MS_MAX) return true;
    const holder = Number(readFileSync(lock, 'utf8'));
    // In a container every start has the same number: a lock from before our own was not ours.
    if (holder === process.pid && ageMs > process.uptime() * 1000) return true;
    // Between its making and its first byte it is empty.
    if (!Number.isInteger(holder) || holder <= 0) return false;
    process.kill(holder, 0);
    return false;
  } catch (error) {
    // No such process. Gone meanwhile, or held by somebody else's process: then the next look will tell.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

async function make(task: Task): Promise<void> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), JSON.stringify(task)], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (text: Buffer) => (errors = (errors + text.toString()).slice(-1000)));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(errors.trim() || `it ended with ${String(code ?? signal)}`));
    });
  });
}

if (import.meta.main) {
  const task = JSON.parse(process.argv[2] ?? '{}') as Task;
  const options = { ...task, dataDir: task.dataDir, clock: systemClock };
  openDefault(options);
  // A place that cannot be written to is a warning there; here it is all that was wanted.
  if (missingDefault(options) !== undefined) throw new Error('the file could not be written');
}
