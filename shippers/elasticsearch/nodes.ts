/** The nodes of a cluster: which one gets the next request, which are left alone for a while, and one request to one of them. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Pool, type Dispatcher } from 'undici';
import type { Clock } from '../../engine/component.ts';
import { readPem, withoutSecrets } from '../../engine/endpoint.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import type { Config } from './settings.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** What the server asks to be left alone for. */
  readonly retryAfterMs: number | undefined;
  /** Address of the node, without secrets. */
  readonly from: string;
}

/** An answer that was longer than `answerBytesMax`: what it says is not known. */
class AnswerTooLong extends Error {}

export interface NodesOptions {
  readonly config: Config;
  readonly baseDir: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** Called when a node has gone or come back. */
  readonly onAlive: (
    alive: number,
    change: { readonly address: string; readonly isAlive: boolean; readonly reason: string },
  ) => void;
}

interface Node {
  readonly address: string;
  readonly path: string;
  readonly pool: Pool;
  readonly headers: Record<string, string>;
  running: number;
  /** 0: alive. */
  failures: number;
  deadUntilMs: number;
  isAsked: boolean;
}

const CONNECT_MS = 10_000;
const PING_MS = 5000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
const RETRY_AFTER_MS_MAX = 10 * 60_000;
/** Nothing of the request had left when these came. */
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

export class Nodes {
  readonly #o: NodesOptions;
  readonly #nodes: readonly Node[];
  readonly #closed = new AbortController();
  #turn = 0;

  /** @throws MillraceError MR_NO_INPUT when a certificate or key cannot be read */
  constructor(options: NodesOptions) {
    this.#o = options;
    const { config, baseDir } = options;
    const tls = tlsOf(config, baseDir);
    const urls = config.hosts ?? [`${config.scheme}://${config.host}:${config.port}${config.path}`];
    this.#nodes = urls.map((text) => {
      const url = new URL(text);
      const pool = new Pool(url.origin, {
        connections: config.connections,
        headersTimeout: config.request_timeout,
        bodyTimeout: config.request_timeout,
        connect: { timeout: Math.min(config.request_timeout, CONNECT_MS), ...tls },
      });
      const headers = authorization(config, url);
      const path = url.pathname.replace(/\/+$/, '');
      return {
        address: withoutSecrets(url.origin),
        path,
        pool,
        headers,
        running: 0,
        failures: 0,
        deadUntilMs: 0,
        isAsked: false,
      };
    });
  }

  get count(): number {
    return this.#nodes.length;
  }

  get alive(): number {
    return this.#nodes.filter(({ failures }) => failures === 0).length;
  }

  /** Of the node that would be asked next, for messages. */
  get address(): string {
    return this.#pick(new Set())?.address ?? '';
  }

  /**
   * Asks one node. When it cannot be connected to, nothing has been sent, and the next one is asked at once.
   *
   * @param answerBytesMax  longest answer that is read
   * @throws MillraceError MR_CONNECT when no answer came: what was sent may have been executed all the same
   */
  async request(
    method: 'GET' | 'POST',
    path: string,
    body: Buffer | undefined,
    answerBytesMax: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    const asked = new Set<Node>();
    for (;;) {
      const node = this.#pick(asked);
      if (node === undefined) throw new MillraceError('MR_INTERNAL', 'there is no node to ask');
      asked.add(node);
      try {
        const answer = await this.#ask(node, method, path, body, this.#o.config.request_timeout, answerBytesMax, signal);
        // A gateway that has lost its server; Elasticsearch itself speaks of the cluster with 503.
        if (answer.status === 502 || answer.status === 504) this.#lost(node, `status ${answer.status}`);
        else this.#found(node);
        return answer;
      } catch (cause) {
        if (signal.aborted || cause instanceof AnswerTooLong) throw cause;
        const reason = messageOf(cause);
        this.#lost(node, reason);
        if (isNotSent(cause) && asked.size < this.#nodes.length) continue;
        throw new MillraceError('MR_CONNECT', `no answer from ${node.address}: ${reason}`, { cause });
      }
    }
  }

  /** The living node with the least under way, in turn among equals; when none lives, the one that was left alone longest. */
  #pick(except: ReadonlySet<Node>): Node | undefined {
    const now = this.#o.clock.now();
    let best: Node | undefined;
    let longest: Node | undefined;
    this.#turn++;
    for (let n = 0; n < this.#nodes.length; n++) {
      const node = this.#nodes[(this.#turn + n) % this.#nodes.length] as Node;
      if (except.has(node)) continue;
      if (node.failures > 0 && node.deadUntilMs <= now) this.#revive(node);
      if (node.failures === 0 && (best === undefined || node.running < best.running)) best = node;
      if (longest === undefined || node.deadUntilMs < longest.deadUntilMs) longest = node;
    }
    return best ?? longest;
  }

  /** Asks a node that was left alone whether it is back; traffic goes on over the others meanwhile. */
  #revive(node: Node): void {
    if (node.isAsked || this.#nodes.length === 1) return;
    node.isAsked = true;
    // Rejects never: both ends are handled.
    void this.#ask(node, 'GET', '/', undefined, PING_MS, 64 << 10, this.#closed.signal)
      .then(
        ({ status }) => (status >= 500 ? this.#lost(node, `status ${status}`) : this.#found(node)),
        (error: unknown) => this.#lost(node, messageOf(error)),
      )
      .finally(() => (node.isAsked = false));
  }

  #lost(node: Node, reason: string): void {
    if (this.#closed.signal.aborted) return;
    const { clock, random, onAlive } = this.#o;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(node.failures, 10));
    node.failures++;
    node.deadUntilMs = clock.now() + pauseMs * (0.75 + random() / 2);
    if (node.failures === 1) onAlive(this.alive, { address: node.address, isAlive: false, reason });
  }

  #found(node: Node): void {
    if (node.failures === 0) return;
    node.failures = 0;
    node.deadUntilMs = 0;
    this.#o.onAlive(this.alive, { address: node.address, isAlive: true, reason: 'it answers' });
  }

  async #ask(
    node: Node,
    method: 'GET' | 'POST',
    path: string,
    body: Buffer | undefined,
    timeoutMs: number,
    answerBytesMax: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    // One deadline for all of it: a server that drips its answer must not hold a chunk for ever.
    const late = new AbortController();
    const timer = this.#o.clock.after(timeoutMs, () => late.abort(new Error(`timed out after ${timeoutMs} ms`)));
    node.running++;
    try {
      const response = await node.pool.request({
        method,
        path: `${node.path}${path}`,
        headers: node.headers,
        body: body ?? null,
        signal: AbortSignal.any([signal, late.signal]),
      });
      const text = await readBounded(response.body, answerBytesMax);
      const retryAfterMs = retryAfter(response.headers['retry-after'], this.#o.clock.now());
      return { status: response.statusCode, text, retryAfterMs, from: node.address };
    } finally {
      timer[Symbol.dispose]();
      node.running--;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.#nodes.map(({ pool }) => pool.destroy()));
  }
}

async function readBounded(body: Dispatcher.ResponseData['body'], bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    length += part.length;
    // Leaving the loop destroys the connection, which is the only way not to read the rest.
    if (length > bytesMax) throw new AnswerTooLong(`the answer is longer than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** `Retry-After` in seconds or as a date; at most ten minutes, whatever it says. */
export function retryAfter(header: string | string[] | undefined, nowMs: number): number | undefined {
  const text = Array.isArray(header) ? header[0] : header;
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, RETRY_AFTER_MS_MAX) : undefined;
}

function isNotSent(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (NOT_SENT.has((error as NodeJS.ErrnoException).code ?? '')) return true;
  return error instanceof AggregateError && error.errors.every(isNotSent);
}

function authorization(config: Config, url: URL): Record<string, string> {
  const headers = { 'content-type': 'application/x-ndjson' };
  if (config.api_key !== undefined) return { ...headers, authorization: `ApiKey ${config.api_key}` };
  const user = config.user ?? decodeURIComponent(url.username);
  const password = config.password ?? decodeURIComponent(url.password);
  if (user === '') return headers;
  return { ...headers, authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

const VERSIONS = { TLSv1_1: 'TLSv1.1', TLSv1_2: 'TLSv1.2', TLSv1_3: 'TLSv1.3' } as const;

function tlsOf(config: Config, baseDir: string): Record<string, unknown> {
  const read = (file: string | undefined, reader: (path: string) => string): string | undefined =>
    file === undefined ? undefined : reader(resolve(baseDir, file));
  const entries = {
    ca: read(config.ca_file, readPem),
    cert: read(config.client_cert, readPem),
    key: read(config.client_key, readKey),
    passphrase: config.client_key_pass,
    minVersion: config.ssl_min_version && VERSIONS[config.ssl_min_version],
    maxVersion: config.ssl_max_version && VERSIONS[config.ssl_max_version],
  };
  const given = Object.entries(entries).filter(([, value]) => value !== undefined);
  return { rejectUnauthorized: config.ssl_verify, ...Object.fromEntries(given) };
}

function readKey(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MillraceError('MR_NO_INPUT', `cannot read the key ${file}: ${messageOf(cause)}`, { cause });
  }
}
