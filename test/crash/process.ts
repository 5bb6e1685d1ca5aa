/** The millrace of a crash run: a process group of its own that is killed, stopped, continued and started again. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchStatus } from '../../cli/commands/status.ts';
import type { DaemonStatus } from '../../cli/daemon.ts';

const MAIN = resolve(import.meta.dirname, '../../cli/main.ts');
const CLOCK = resolve(import.meta.dirname, 'clock-jump.ts');
const START_MS = 60_000;
const STOP_MS = 40_000;
const LOOK_MS = 20;

export interface Files {
  readonly config: string;
  readonly data: string;
  /** Everything that it writes to stderr, over all starts. */
  readonly log: string;
  /** What the clock is off by, in milliseconds. */
  readonly clock: string;
}

/** How a process ended: its exit code, or the signal. */
export type End = number | NodeJS.Signals;

const alive = new Set<Millrace>();

/** Kills what a run that failed left behind. */
export function killAll(): void {
  for (const each of alive) each.kill();
}

export class Millrace {
  readonly #files: Files;
  readonly #child: ChildProcess;
  /** Where in the log this process begins. */
  readonly #logStart: number;
  readonly ended: Promise<End>;
  end: End | undefined;

  constructor(files: Files, workers: number) {
    this.#files = files;
    const log = openSync(files.log, 'a');
    this.#logStart = statSync(files.log).size;
    const words = [MAIN, 'run', '-c', files.config, '--data', files.data, '--workers', String(workers)];
    this.#child = spawn(process.execPath, ['--import', CLOCK, ...words], {
      detached: true,
      stdio: ['ignore', 'ignore', log],
      env: {
        ...process.env,
        CRASH_CLOCK_FILE: files.clock,
        NO_COLOR: '1',
        // Compiling the sources anew at each start takes half of its time.
        NODE_COMPILE_CACHE: join(tmpdir(), 'millrace-compile-cache'),
      },
    });
    closeSync(log);
    alive.add(this);
    this.ended = new Promise((done) =>
      this.#child.once('close', (code, signal) => {
        alive.delete(this);
        this.end = code ?? signal ?? 'SIGKILL';
        done(this.end);
      }),
    );
  }

  /** What this process has logged. */
  logged(): string {
    return readFileSync(this.#files.log).subarray(this.#logStart).toString('utf8');
  }

  /** @returns the time it took, or how it ended instead */
  async running(): Promise<{ readonly ms: number } | { readonly end: End }> {
    const began = performance.now();
    for (;;) {
      if (this.logged().includes('"msg":"running"')) return { ms: performance.now() - began };
      if (this.end !== undefined) return { end: this.end };
      if (performance.now() - began > START_MS) throw new Error(`it did not run within ${START_MS} ms`);
      await sleep(LOOK_MS);
    }
  }

  status(): Promise<DaemonStatus> {
    return fetchStatus(this.#files.data);
  }

  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined || this.end !== undefined) return;
    process.kill(-pid, signal);
  }

  kill(): void {
    this.signal('SIGKILL');
  }

  /** SIGTERM, and how it ended; killed when it takes too long, which then is how it ended. */
  async stop(): Promise<End> {
    this.signal('SIGTERM');
    const timer = setTimeout(() => this.kill(), STOP_MS);
    const end = await this.ended;
    clearTimeout(timer);
    return end;
  }
}
