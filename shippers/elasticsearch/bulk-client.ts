import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Pool } from 'undici';
import { withoutSecrets } from '../../engine/endpoint.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import type { Config } from './settings.ts';

export interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Node {
  readonly origin: string;
  readonly path: string;
  readonly pool: Pool;
}

/** Posts bodies to one node after the other; a node that does not answer is passed over the next time. */
export class BulkClient {
  readonly #nodes: readonly Node[];
  readonly #headers: Record<string, string>;
  #next = 0;

  /** @throws MillraceError MR_NO_INPUT when the certificate cannot be read */
  constructor(config: Config, baseDir: string) {
    const urls = config.hosts ?? [`${config.scheme}://${config.host}:${config.port}${config.path}`];
    const connect = {
      ...(config.ca_file === undefined ? {} : { ca: readCertificate(resolve(baseDir, config.ca_file)) }),
      rejectUnauthorized: config.ssl_verify,
    };
    this.#nodes = urls.map((text) => {
      const url = new URL(text);
      const pool = new Pool(url.origin, {
        connections: config.connections,
        headersTimeout: config.request_timeout,
        bodyTimeout: config.request_timeout,
        connect: { timeout: Math.min(config.request_timeout, 10_000), ...connect },
      });
      return { origin: url.origin, path: url.pathname.replace(/\/+$/, ''), pool };
    });
    this.#headers = { 'content-type': 'application/x-ndjson', ...authorization(config, urls[0] as string) };
  }

  /** For messages; without secrets. */
  get address(): string {
    return withoutSecrets((this.#nodes[this.#next] as Node).origin);
  }

  /** @throws MillraceError MR_CONNECT when no answer came */
  async request(method: 'GET' | 'POST', path: string, body: Buffer | undefined, signal: AbortSignal): Promise<Answer> {
    const node = this.#nodes[this.#next] as Node;
    try {
      const response = await node.pool.request({
        method,
        path: `${node.path}${path}`,
        headers: this.#headers,
        body: body ?? null,
        signal,
      });
      return { status: response.statusCode, text: await response.body.text() };
    } catch (cause) {
      this.#next = (this.#next + 1) % this.#nodes.length;
      throw new MillraceError('MR_CONNECT', `no answer from ${withoutSecrets(node.origin)}: ${messageOf(cause)}`, { cause });
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#nodes.map(({ pool }) => pool.destroy()));
  }
}

function authorization(config: Config, first: string): Record<string, string> {
  if (config.api_key !== undefined) return { authorization: `ApiKey ${config.api_key}` };
  const url = new URL(first);
  const user = config.user ?? decodeURIComponent(url.username);
  const password = config.password ?? decodeURIComponent(url.password);
  return user === '' ? {} : { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

function readCertificate(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new MillraceError('MR_NO_INPUT', `cannot read the certificate ${file}: ${messageOf(cause)}`, { cause });
  }
}
