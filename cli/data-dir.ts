import { randomBytes } from 'node:crypto';
import { accessSync, closeSync, constants, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { MillraceError, codeOf, messageOf } from '../engine/errors.ts';

/** `<system> root_dir`, else $MILLRACE_DATA, else the place that the system has for it. */
export function dataDirOf(rootDir: string | undefined, env: Readonly<Record<string, string | undefined>> = process.env): string {
  const named = rootDir ?? env['MILLRACE_DATA'];
  if (named !== undefined && named !== '') return resolve(named);
  if (userInfo().uid === 0) return '/var/lib/millrace';
  const state = env['XDG_STATE_HOME'];
  return join(state !== undefined && state.startsWith('/') ? state : join(homedir(), '.local', 'state'), 'millrace');
}

export interface DataDir {
  readonly path: string;
  /** What the API asks for; in a file that only its owner reads. */
  readonly token: string;
  /** Says where the API of this process is. */
  announce(address: string): void;
  release(): void;
}

/**
 * Makes the directory and takes its lock: two processes on one directory would spoil each other's positions.
 *
 * @throws MillraceError MR_DATA_DIR
 */
export function takeDataDir(path: string): DataDir {
  const lock = join(path, 'lock');
  try {
    mkdirSync(path, { recursive: true, mode: 0o750 });
    accessSync(path, constants.W_OK | constants.X_OK);
  } catch (cause) {
    throw new MillraceError('MR_DATA_DIR', `cannot use the data directory ${path}: ${messageOf(cause)}`, { cause });
  }
  takeLock(lock, path);
  return {
    path,
    token: tokenOf(join(path, 'token')),
    announce: (address) =>
      writeFileSync(join(path, 'control.json'), `${JSON.stringify({ address, pid: process.pid })}\n`, { mode: 0o640 }),
    release() {
      rmSync(join(path, 'control.json'), { force: true });
      rmSync(lock, { force: true });
    },
  };
}

function takeLock(lock: string, path: string): void {
  // Twice: the second time after a lock of a process that is gone was removed.
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      const file = openSync(lock, 'wx', 0o640);
      writeFileSync(file, String(process.pid));
      closeSync(file);
      return;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'EEXIST')
        throw new MillraceError(
          codeOf(cause) === 'MR_DISK' ? 'MR_DISK' : 'MR_DATA_DIR',
          `cannot lock ${path}: ${messageOf(cause)}`,
          { cause },
        );
    }
    const holder = Number(readFileSync(lock, 'utf8').trim());
    if (holder > 0 && isAlive(holder))
      throw new MillraceError('MR_DATA_DIR', `the data directory ${path} is in use by process ${holder}`);
    rmSync(lock, { force: true });
  }
  throw new MillraceError('MR_DATA_DIR', `the data directory ${path} is being taken by another process`);
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it is there and belongs to somebody else.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function tokenOf(file: string): string {
  try {
    const present = readFileSync(file, 'utf8').trim();
    if (present.length >= 32) return present;
  } catch {
    // There is none yet.
  }
  const token = randomBytes(24).toString('base64url');
  writeFileSync(file, `${token}\n`, { mode: 0o600 });
  return token;
}

/** How to reach the process that runs on a data directory; undefined when none says so. */
export function controlOf(path: string): { readonly address: string; readonly token: string } | undefined {
  try {
    const { address } = JSON.parse(readFileSync(join(path, 'control.json'), 'utf8')) as { address: unknown };
    const token = readFileSync(join(path, 'token'), 'utf8').trim();
    return typeof address === 'string' ? { address, token } : undefined;
  } catch {
    // No file, or not ours to read: nobody to be reached.
    return undefined;
  }
}
