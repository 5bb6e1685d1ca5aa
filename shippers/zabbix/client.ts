import { connect, type Socket } from 'node:net';
import { MillraceError } from '../../engine/errors.ts';
import {
  encodeFrame,
  encodeRequest,
  FrameReader,
  isFailure,
  parseAddress,
  parseReply,
  type SenderFailure,
  type SenderItem,
  type SenderReply,
} from './protocol.ts';

export interface Server {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host`, `host:port`, `[v6]:port`; without a port the usual one.
 *
 * @throws MillraceError MR_CONFIG when an address is none of them
 */
export function parseServers(texts: readonly string[]): Server[] {
  return texts.map((text) => {
    const server = parseAddress(text);
    if (server === undefined) throw new MillraceError('MR_CONFIG', `expected host:port of a zabbix server, found "${text}"`);
    return server;
  });
}

export interface ExchangeOptions {
  /** Bounds the whole conversation: connecting, sending, waiting for the answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly replyBytesMax?: number;
}

export interface SendOptions extends ExchangeOptions {
  readonly compress?: boolean;
}

/** A server group whose passive nodes do not listen, and proxies that pass one on: at most so many hops for a request. */
const REDIRECTS_MAX = 3;

/**
 * Sends one frame and reads one answer on a connection of its own: a server closes after each, and answers neither of
 * two requests that come on one connection.
 *
 * @returns the answer, or why there is none; never rejects
 */
export function exchange(server: Server, frame: Uint8Array, options: ExchangeOptions): Promise<SenderReply | SenderFailure> {
  const address = `${server.host}:${server.port}`;
  return new Promise((resolve) => {
    if (options.signal?.aborted === true) return resolve({ kind: 'aborted', message: 'the delivery was given up' });
    const reader = new FrameReader(options.replyBytesMax);
    let isConnected = false;
    let socket: Socket | undefined;
    const finish = (outcome: SenderReply | SenderFailure): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      socket?.destroy();
      resolve(outcome);
    };
    const onAbort = (): void => finish({ kind: 'aborted', message: 'the delivery was given up' });
    const timer = setTimeout(() => {
      const what = isConnected ? `no answer from zabbix at ${address}` : `no connection to zabbix at ${address}`;
      finish({ kind: 'timeout', message: `${what} within ${options.timeoutMs} ms` });
    }, options.timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });

    socket = connect({ host: server.host, port: server.port, noDelay: true });
    socket.on('connect', () => {
      isConnected = true;
      socket?.write(frame);
    });
    socket.on('data', (chunk: Buffer) => {
      const outcome = reader.push(chunk);
      if (outcome === undefined) return;
      finish(isFailure(outcome) ? outcome : parseReply(outcome.payload));
    });
    socket.on('end', () => finish(reader.end()));
    socket.on('close', () => finish(reader.end()));
    socket.on('error', (cause: NodeJS.ErrnoException) => {
      finish(
        isConnected
          ? reader.end()
          : { kind: 'connect', message: `cannot connect to zabbix at ${address} (${cause.code ?? cause.message})` },
      );
    });
  });
}

/**
 * Sends values to the first server of a list that answers (high availability: passive nodes do not listen), and
 * remembers it. Proxy groups may redirect; the newest redirect is kept until its address stops answering.
 */
export class SenderClient {
  readonly #servers: readonly Server[];
  readonly #options: Omit<SendOptions, 'signal'>;
  #preferred = 0;
  #redirected: (Server & { readonly revision: number }) | undefined;

  constructor(servers: readonly Server[], options: Omit<SendOptions, 'signal'>) {
    this.#servers = servers;
    this.#options = options;
  }

  /** One request; the caller splits (`splitBatches`). Never rejects. */
  async send(items: readonly SenderItem[], signal?: AbortSignal): Promise<SenderReply | SenderFailure> {
    const frame = encodeFrame(encodeRequest(items), { compress: this.#options.compress ?? false });
    let outcome: SenderReply | SenderFailure = { kind: 'connect', message: 'no zabbix server is configured' };
    for (let hop = 0; hop <= REDIRECTS_MAX; hop++) {
      outcome = await this.#tryServers(frame, signal);
      if (isFailure(outcome) || outcome.redirect === undefined) return outcome;
      const { revision, host, port } = outcome.redirect;
      if (this.#redirected !== undefined && revision <= this.#redirected.revision) break;
      this.#redirected = { revision, host, port };
    }
    return { kind: 'server', message: 'zabbix proxies redirect to each other' };
  }

  async #tryServers(frame: Uint8Array, signal: AbortSignal | undefined): Promise<SenderReply | SenderFailure> {
    const options = { ...this.#options, signal };
    if (this.#redirected !== undefined) {
      const outcome = await exchange(this.#redirected, frame, options);
      if (!isFailure(outcome) || outcome.kind === 'aborted') return outcome;
      this.#redirected = undefined;
    }
    let outcome: SenderReply | SenderFailure = { kind: 'connect', message: 'no zabbix server is configured' };
    for (let n = 0; n < this.#servers.length; n++) {
      const index = (this.#preferred + n) % this.#servers.length;
      const server = this.#servers[index];
      if (server === undefined) continue;
      outcome = await exchange(server, frame, options);
      if (!isFailure(outcome)) {
        this.#preferred = index;
        return outcome;
      }
      // Only a server that was never reached may be passed over: the others may have taken the values.
      if (outcome.kind === 'aborted') return outcome;
    }
    return outcome;
  }
}
