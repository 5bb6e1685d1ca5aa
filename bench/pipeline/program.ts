/** The benchmark's side of a program under bench/pipeline/programs, and of the agents it measures. */
import { fork, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';

/** Those that would be left behind when the benchmark is ended by a signal. */
const living = new Set<ChildProcess>();

export function stopAll(): void {
  for (const child of living) child.kill('SIGKILL');
}

function watched(child: ChildProcess): ChildProcess {
  living.add(child);
  child.once('exit', () => living.delete(child));
  return child;
}

export class Program<Q extends object, A> {
  readonly #child: ChildProcess;
  readonly #ready: Promise<unknown>;

  constructor(name: string) {
    this.#child = watched(fork(join(import.meta.dirname, 'programs', `${name}.ts`), { stdio: 'inherit' }));
    this.#ready = this.#answer();
    this.#ready.catch(() => undefined);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  async ask(question: Q): Promise<A> {
    await this.#ready;
    this.#child.send(question);
    return (await this.#answer()) as A;
  }

  async #answer(): Promise<unknown> {
    const end = new AbortController();
    const message = once(this.#child, 'message', { signal: end.signal }) as Promise<[{ result?: unknown; error?: string }]>;
    const exit = once(this.#child, 'exit', { signal: end.signal });
    exit.catch(() => undefined);
    message.catch(() => undefined);
    try {
      const first = await Promise.race([message, exit.then(([code]) => new Error(`a program ended with ${String(code)}`))]);
      if (first instanceof Error) throw first;
      if (first[0].error !== undefined) throw new Error(first[0].error);
      return first[0].result;
    } finally {
      end.abort();
    }
  }

  async stop(): Promise<void> {
    await endOf(this.#child);
  }
}

/** Some command line that stays until it is stopped. */
export class Agent {
  readonly #child: ChildProcess;
  #errors = '';

  constructor(command: string, args: readonly string[]) {
    this.#child = watched(spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] }));
    this.#child.stderr?.on('data', (text: Buffer) => {
      // Enough to say why it does not run.
      this.#errors = (this.#errors + text.toString()).slice(-2000);
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get errors(): string {
    return this.#errors.trim();
  }

  /** Waits until something listens on the TCP port. */
  async listening(port: number, timeoutMs = 60_000): Promise<void> {
    const end = performance.now() + timeoutMs;
    while (!(await isOpen(port))) {
      if (this.hasEnded) throw new Error(`the agent ended before it listened: ${this.errors}`);
      if (performance.now() > end) throw new Error(`nobody listens on port ${port}: ${this.errors}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async stop(): Promise<void> {
    await endOf(this.#child);
  }
}

const KILL_MS = 15_000;

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), KILL_MS);
  await exit;
  clearTimeout(timer);
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
  }).finally(() => socket.destroy()) as Promise<boolean>;
}

/** A TCP port that nobody listens on; UDP of the same number is as good as certainly free too. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}
