/** A millrace as a user starts it: a process of its own with a configuration, a data directory and signals. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fetchStatus } from '../../cli/commands/status.ts';
import type { DaemonStatus } from '../../cli/daemon.ts';

const LAUNCHER = resolve(import.meta.dirname, '../../bin/millrace.cjs');
const START_MS = 30_000;
const STOP_MS = 30_000;

export interface RunningOptions {
  /** Directory for the configuration and the data; a second run there goes on with what the first one left. */
  readonly directory: string;
  /** Written to `millrace.yaml`, or to `fluent.conf` when it begins with `<`. The port of the control API is added to the latter. */
  readonly config: string;
  readonly args?: readonly string[];
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Running {
  readonly directory: string;
  readonly #child: ReturnType<typeof spawn>;
  readonly #ended: Promise<Ended>;
  #stderr = '';
  #onText: (() => void) | undefined;

  private constructor(directory: string, child: ReturnType<typeof spawn>) {
    this.directory = directory;
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
      this.#onText?.();
    });
    this.#ended = new Promise((done) => child.once('close', (code, signal) => done({ code, signal })));
  }

  /** Starts it and waits until it says that it runs. */
  static async start({ directory, config, args = [] }: RunningOptions): Promise<Running> {
    mkdirSync(directory, { recursive: true });
    const isFluentd = config.startsWith('<');
    const file = join(directory, isFluentd ? 'fluent.conf' : 'millrace.yaml');
    writeFileSync(file, isFluentd ? `<system>\n  port 0\n</system>\n${config}` : config);
    const words = [LAUNCHER, 'run', '-c', file, '--data', join(directory, 'data'), ...args];
    const child = spawn(process.execPath, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    const running = new Running(directory, child);
    const isUp = new Promise<void>((done) => {
      running.#onText = () => running.logs().some(({ msg }) => msg === 'running') && done();
    });
    const ends = running.#ended.then(({ code }) => assert.fail(`millrace ended with ${code} at its start:\n${running.#stderr}`));
    const late = AbortSignal.timeout(START_MS);
    const tooLate = new Promise<never>((_, refuse) =>
      late.addEventListener('abort', () =>
        refuse(new Error(`millrace did not start within ${START_MS} ms:\n${running.#stderr}`)),
      ),
    );
    try {
      await Promise.race([isUp, ends, tooLate]);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    return running;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Lines of its own log so far, parsed. */
  logs(): { readonly level: string; readonly msg: string; readonly [field: string]: unknown }[] {
    return this.#stderr
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as { level: string; msg: string });
  }

  /** What `millrace status --json` prints. */
  status(): Promise<DaemonStatus> {
    return fetchStatus(join(this.directory, 'data'));
  }

  /** Port that a component listens on; in all workers the same. */
  async port(id: string): Promise<number> {
    const { components } = await this.status();
    const [address] = components.find((component) => component.id === id)?.addresses ?? [];
    const port = Number(address?.slice(address.lastIndexOf(':') + 1));
    assert.ok(port > 0, `${id} listens nowhere: ${JSON.stringify(components)}`);
    return port;
  }

  /** Asks for the books again and again until they are as wanted. */
  async until(what: string, isDone: (status: DaemonStatus) => boolean, ms = 30_000): Promise<DaemonStatus> {
    const end = performance.now() + ms;
    for (;;) {
      const status = await this.status();
      if (isDone(status)) return status;
      if (performance.now() > end)
        assert.fail(`not within ${ms} ms: ${what}\n${JSON.stringify(status.components, undefined, 1)}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** Ends it in order. It must say that every event is accounted for, and exit with 0. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    this.#child.kill(signal);
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    const ended = await this.#ended;
    clearTimeout(kill);
    assert.deepEqual(ended, { code: 0, signal: null }, this.#stderr);
    const unbalanced = this.logs().filter(({ msg }) => msg === 'the books do not balance');
    assert.deepEqual(unbalanced, []);
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}

/** Sum of one column of the books over all workers. */
export function total({ components }: DaemonStatus, id: string, column: 'in' | 'out' | 'pending'): number {
  return components.filter((component) => component.id === id).reduce((sum, component) => sum + component[column], 0);
}
