/** The command line as real processes: what it prints, how it ends, and a millrace that runs until it is told to stop. */
import { spawn, type ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fetchStatus } from '../../cli/commands/status.ts';
import type { DaemonStatus } from '../../cli/daemon.ts';

const MAIN = resolve(import.meta.dirname, '..', '..', 'cli', 'main.ts');

export interface Ended {
  /** 128 and more: ended by a signal. */
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** Nothing of the caller's terminal or of its own millrace gets in. */
function environmentOf(env: Environment): NodeJS.ProcessEnv {
  const { MILLRACE_DATA: _data, MILLRACE_DEBUG: _debug, FORCE_COLOR: _color, ...rest } = process.env;
  // Compiling the sources anew in each process takes half of its time.
  return { ...rest, NO_COLOR: '1', NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-compile-cache'), ...env };
}

const alive = new Set<ChildProcess>();

/** Kills what still runs, as after a test that failed: its pipes would keep this process from ending. */
export async function endAll(): Promise<void> {
  await Promise.all(
    [...alive].map((child) => {
      const ended = new Promise((done) => child.once('close', done));
      child.kill('SIGKILL');
      return ended;
    }),
  );
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  readonly out: () => string;
  readonly err: () => string;
}

function start(args: readonly string[], env: Environment, cwd = process.cwd()): Started {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: environmentOf(env), cwd });
  alive.add(child);
  child.once('close', () => alive.delete(child));
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const ended = new Promise<Ended>((done) =>
    child.on('close', (code, signal) => done({ code: code ?? 128 + (signal === 'SIGKILL' ? 9 : 15), out, err })),
  );
  return { child, ended, out: () => out, err: () => err };
}

/** Runs a command to its end; killed (exit code 137) when it takes longer. */
export async function cli(args: readonly string[], env: Environment = {}, timeoutMs = 60_000, cwd?: string): Promise<Ended> {
  const { child, ended } = start(args, env, cwd);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const result = await ended;
  clearTimeout(timer);
  return result;
}

export interface Running {
  readonly data: string;
  /** What it has written to stderr so far: its log. */
  err(): string;
  out(): string;
  /** What `millrace status` reads, without a process of its own. */
  status(): Promise<DaemonStatus>;
  /** SIGTERM, and how it ended. */
  stop(): Promise<Ended>;
  /** Ends by itself. */
  readonly ended: Promise<Ended>;
}

/** Starts `run` with a data directory and waits until it says that it runs. */
export async function startMillrace(
  args: readonly string[],
  data: string,
  env: Environment,
  timeoutMs = 60_000,
): Promise<Running> {
  const { child, ended, out, err } = start(['run', ...args, '--data', data], env);
  let isOver = false;
  void ended.then(() => (isOver = true));
  await eventually('millrace runs', timeoutMs, () => {
    if (isOver) throw new Error(`millrace ended while it started:\n${err()}`);
    return Promise.resolve(err().includes('"msg":"running"') || undefined);
  }).catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    data,
    out,
    err,
    ended,
    status: () => fetchStatus(data),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
      const result = await ended;
      clearTimeout(timer);
      return result;
    },
  };
}

/** Looks until there is something, at most for so long; other processes decide when. */
export async function eventually<T>(
  what: string,
  timeoutMs: number,
  look: () => Promise<T | undefined>,
  everyMs = 100,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    await sleep(everyMs);
  }
}
