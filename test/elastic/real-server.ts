/** One real server for the delivery suite: started with narrow limits, asked over its API, killed and started again. */
import { spawn } from 'node:child_process';
import { createServer, request, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { resolve } from 'node:path';

const SERVERS = resolve(import.meta.dirname, '..', 'servers', 'servers.ts');
/** Beside the servers of the other suites. */
const SHIFT = '500';
/** So that a test reaches what takes a busy cluster otherwise. */
const NARROW = [
  'http.max_content_length: 1mb',
  'thread_pool.write.size: 1',
  'thread_pool.write.queue_size: 1',
  'indexing_pressure.memory.limit: 600kb',
].join('; ');

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function servers(...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [SERVERS, ...args, '--shift', SHIFT], { env: { ...process.env, SETTINGS: NARROW } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code: code ?? 1, out, err };
}

export class RealServer {
  readonly name: string;
  readonly url: string;
  readonly hasStreams: boolean;
  readonly #dir: string;

  private constructor(name: string, dir: string, url: string) {
    this.name = name;
    this.#dir = dir;
    this.url = url;
    this.hasStreams = name !== 'elasticsearch7';
  }

  /** @returns a sentence when it cannot be had on this machine */
  static async start(name: string, dir: string): Promise<RealServer | string> {
    const { code, out, err } = await servers('start', name, '--dir', dir, '--env');
    if (code === 69) return err.trim().split('\n')[0] ?? 'cannot be had here';
    const url = /_URL=(\S+)/.exec(out)?.[1];
    if (code !== 0 || url === undefined) throw new Error(`${name} did not start:\n${err}`);
    return new RealServer(name, dir, url);
  }

  async startAgain(): Promise<void> {
    const { code, err } = await servers('start', this.name, '--dir', this.#dir);
    if (code !== 0) throw new Error(`${this.name} did not start again:\n${err}`);
  }

  /** kill -9, of the process that `start` has made. */
  async kill(): Promise<void> {
    const { out } = await servers('status', this.name, '--dir', this.#dir);
    const pid = Number(/pid=(\d+)/.exec(out)?.[1]);
    if (!Number.isInteger(pid) || pid <= 1) throw new Error(`${this.name} does not run:\n${out}`);
    process.kill(pid, 'SIGKILL');
  }

  async stop(): Promise<void> {
    await servers('stop', this.name, '--dir', this.#dir);
  }

  /** @throws Error when the server refuses */
  async api(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      ...(body !== undefined && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      signal: AbortSignal.timeout(30_000),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text.slice(0, 500)}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  async settings(settings: Record<string, unknown>): Promise<void> {
    await this.api('PUT', '/_cluster/settings', { persistent: settings });
  }

  /** What can be found in a target. */
  async count(target: string): Promise<number> {
    await this.api('POST', `/${target}/_refresh`);
    const { count } = await this.api('GET', `/${target}/_count`);
    return count as number;
  }
}

/** Stands before a server and passes everything on, but closes the connection in place of the first `lose` answers to `_bulk`. */
export async function losing(target: string, lose: number): Promise<{ readonly url: string; close(): Promise<void> }> {
  let left = lose;
  const server: Server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming;
    const onward = request(`${target}${url}`, { method, headers }, (answer) => {
      if (left > 0 && url?.includes('_bulk') === true) {
        left--;
        answer.resume().on('end', () => outgoing.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
