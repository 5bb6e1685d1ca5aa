/** One server: its connections, its state, and the exchange of requests for acknowledgements. */
import { connect, type Socket } from 'node:net';
import type { Clock } from '../../engine/component.ts';
import { hostAndPort } from '../../engine/net/listen.ts';
import { readReplies } from './reply.ts';

/** Time that a server gets to close after we have, when it does not acknowledge. */
const CLOSE_MS = 5000;

export interface NodeOptions {
  readonly name: string | undefined;
  readonly host: string;
  readonly port: number;
  readonly weight: number;
  readonly standby: boolean;
  readonly connectTimeoutMs: number;
  /** Longest time in which nothing of what is to be sent moves. */
  readonly sendTimeoutMs: number;
  /** Longest time from the last byte sent to the last acknowledgement. */
  readonly ackTimeoutMs: number;
  /** Undefined: a connection for each chunk. */
  readonly keepaliveMs: number | undefined;
  readonly clock: Clock;
  readonly onConnect: () => void;
}

/** One message, and the id that the server is to answer it with; undefined when no answer is asked for. */
export interface Request {
  readonly bytes: Uint8Array;
  readonly id: string | undefined;
}

export interface Outcome<R extends Request> {
  readonly delivered: ReadonlySet<R>;
  /** Why the others are not. */
  readonly failure?: string;
  /** Nothing was sent: another server can be tried without sending anything twice. */
  readonly untouched: boolean;
}

export class ForwardNode {
  readonly weight: number;
  readonly standby: boolean;
  /** Name and address as they appear in messages. */
  readonly title: string;
  readonly #o: NodeOptions;
  readonly #peers = new Set<Peer>();
  readonly #idle: { readonly peer: Peer; readonly expiry: Disposable }[] = [];

  constructor(options: NodeOptions) {
    this.#o = options;
    this.weight = options.weight;
    this.standby = options.standby;
    const address = hostAndPort(options.host, options.port);
    this.title = options.name === undefined ? address : `${options.name} (${address})`;
  }

  /**
   * Sends requests over one connection and waits for their acknowledgements. Requests without an id count as delivered
   * when the server's system has taken them, and the server did not break off.
   */
  async send<R extends Request>(requests: readonly R[], signal: AbortSignal): Promise<Outcome<R>> {
    const peer = this.#reuse() ?? (await this.#connect(signal));
    if (typeof peer === 'string') return { delivered: new Set(), failure: `${this.title} ${peer}`, untouched: true };
    const { sendTimeoutMs, ackTimeoutMs, keepaliveMs, clock } = this.#o;
    const limits = { sendTimeoutMs, ackTimeoutMs, closes: keepaliveMs === undefined };
    const { delivered, failure } = await new Exchange(peer, requests, limits, clock).run(signal);
    if (failure !== undefined) {
      peer.destroy();
      return { delivered, failure: `${this.title} ${failure}`, untouched: false };
    }
    this.#keep(peer);
    return { delivered, untouched: false };
  }

  /** Connects and closes again. @returns why that does not work, or what the server said instead of nothing */
  async probe(signal: AbortSignal): Promise<string | undefined> {
    const peer = await this.#connect(signal);
    if (typeof peer === 'string') return `${this.title} ${peer}`;
    const limits = { sendTimeoutMs: this.#o.sendTimeoutMs, ackTimeoutMs: 0, closes: true };
    const { failure } = await new Exchange(peer, [], limits, this.#o.clock).run(signal);
    peer.destroy();
    return failure === undefined ? undefined : `${this.title} ${failure}`;
  }

  #reuse(): Peer | undefined {
    const kept = this.#idle.pop();
    kept?.expiry[Symbol.dispose]();
    return kept?.peer;
  }

  #keep(peer: Peer): void {
    const { keepaliveMs, clock } = this.#o;
    if (keepaliveMs === undefined || peer.isGone) return peer.destroy();
    const drop = (): void => {
      const at = this.#idle.indexOf(kept);
      if (at >= 0) this.#idle.splice(at, 1);
      kept.expiry[Symbol.dispose]();
      peer.destroy();
    };
    const kept = { peer, expiry: clock.after(keepaliveMs, drop) };
    // A server that closes, or speaks without being asked, is not spoken to again on this connection.
    peer.onData = drop;
    peer.onGone = drop;
    this.#idle.push(kept);
  }

  #connect(signal: AbortSignal): Promise<Peer | string> {
    const { host, port, connectTimeoutMs, clock, onConnect } = this.#o;
    if (signal.aborted) return Promise.resolve(GIVEN_UP);
    return new Promise((resolve) => {
      const peer = new Peer(connect({ host, port, noDelay: true }));
      this.#peers.add(peer);
      peer.socket.once('close', () => this.#peers.delete(peer));
      const settle = (failure?: string): void => {
        timer[Symbol.dispose]();
        signal.removeEventListener('abort', giveUp);
        peer.onGone = undefined;
        if (failure === undefined) return resolve(peer);
        peer.destroy();
        resolve(failure);
      };
      const giveUp = (): void => settle(GIVEN_UP);
      const timer = clock.after(connectTimeoutMs, () => settle(`did not answer within ${connectTimeoutMs} ms`));
      signal.addEventListener('abort', giveUp, { once: true });
      peer.onGone = (reason) => settle(`cannot be reached: ${reason}`);
      peer.socket.once('connect', () => {
        onConnect();
        settle();
      });
    });
  }

  close(): void {
    for (const { expiry } of this.#idle.splice(0)) expiry[Symbol.dispose]();
    for (const peer of this.#peers) peer.destroy();
  }
}

const GIVEN_UP = 'was given up: the pipeline stops';

/** A socket whose events go to whoever uses it at the time. */
class Peer {
  readonly socket: Socket;
  onData: ((data: Buffer) => void) | undefined;
  /** Called once. `closed` is an orderly end; everything else is how it broke. */
  onGone: ((reason: string) => void) | undefined;
  isGone = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => this.onData?.(data));
    socket.on('end', () => this.#gone(CLOSED));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#gone(error.code ?? error.message));
    socket.on('close', () => this.#gone(CLOSED));
  }

  #gone(reason: string): void {
    if (this.isGone) return;
    this.isGone = true;
    this.onGone?.(reason);
  }

  destroy(): void {
    this.onData = undefined;
    this.onGone = undefined;
    this.isGone = true;
    this.socket.destroy();
  }
}

const CLOSED = 'closed';

interface ExchangeLimits {
  readonly sendTimeoutMs: number;
  readonly ackTimeoutMs: number;
  /** Whether the connection is ended when everything is sent and no answer is due. */
  readonly closes: boolean;
}

/** Requests out, acknowledgements in, over one connection; ends at the first thing that is not as it should be. */
class Exchange<R extends Request> {
  readonly #peer: Peer;
  readonly #requests: readonly R[];
  readonly #limits: ExchangeLimits;
  readonly #clock: Clock;
  readonly #delivered = new Set<R>();
  readonly #waiting: Map<string, R>;
  readonly #done = Promise.withResolvers<string | undefined>();
  #rest: Buffer = Buffer.alloc(0);
  #allSent = false;
  #deadline: Disposable | undefined;

  constructor(peer: Peer, requests: readonly R[], limits: ExchangeLimits, clock: Clock) {
    this.#peer = peer;
    this.#requests = requests;
    this.#limits = limits;
    this.#clock = clock;
    this.#waiting = new Map(requests.flatMap((request) => (request.id === undefined ? [] : [[request.id, request] as const])));
  }

  async run(signal: AbortSignal): Promise<{ delivered: ReadonlySet<R>; failure: string | undefined }> {
    const peer = this.#peer;
    const end = this.#done.resolve;
    const giveUp = (): void => end(GIVEN_UP);
    if (signal.aborted) giveUp();
    signal.addEventListener('abort', giveUp, { once: true });
    peer.onData = (data) => this.#hear(data);
    peer.onGone = (reason) => this.#lost(reason);
    peer.socket.setTimeout(this.#limits.sendTimeoutMs, () => end(`did not read on within ${this.#limits.sendTimeoutMs} ms`));
    this.#write();
    const failure = await this.#done.promise;
    signal.removeEventListener('abort', giveUp);
    this.#deadline?.[Symbol.dispose]();
    peer.socket.setTimeout(0);
    peer.socket.removeAllListeners('timeout');
    peer.onData = undefined;
    peer.onGone = undefined;
    // Without ids there is one answer for all of them.
    if (failure === undefined) for (const request of this.#requests) this.#delivered.add(request);
    return { delivered: this.#delivered, failure };
  }

  #write(): void {
    const { socket } = this.#peer;
    if (this.#requests.length === 0) return this.#sent();
    for (const [index, { bytes }] of this.#requests.entries()) {
      const isLast = index === this.#requests.length - 1;
      // The callback of the last one comes when the system has taken everything. Failures arrive as `onGone`.
      socket.write(bytes, (error) => isLast && !error && this.#sent());
    }
  }

  #sent(): void {
    const { socket } = this.#peer;
    const { ackTimeoutMs, closes } = this.#limits;
    this.#allSent = true;
    socket.setTimeout(0);
    if (this.#waiting.size > 0) {
      this.#deadline = this.#clock.after(ackTimeoutMs, () =>
        this.#done.resolve(`did not acknowledge within ${ackTimeoutMs} ms (ack_response_timeout)`),
      );
      return;
    }
    // Acknowledged even before the last callback; or nothing to wait for on a connection that is kept.
    if (this.#delivered.size > 0 || !closes) return this.#done.resolve(undefined);
    // A server closes when it has read to our end: the nearest thing to an answer that there is without ids.
    socket.end();
    this.#deadline = this.#clock.after(CLOSE_MS, () => this.#done.resolve(undefined));
  }

  #hear(data: Buffer): void {
    const bytes = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    const { acks, read, problem } = readReplies(bytes);
    for (const id of acks) {
      const request = this.#waiting.get(id);
      if (request === undefined) return this.#done.resolve('acknowledged something that was not sent');
      this.#waiting.delete(id);
      this.#delivered.add(request);
    }
    if (problem !== undefined) return this.#done.resolve(problem);
    this.#rest = bytes.subarray(read);
    if (acks.length > 0 && this.#waiting.size === 0 && this.#allSent) this.#done.resolve(undefined);
  }

  #lost(reason: string): void {
    const isOrderly = reason === CLOSED;
    if (isOrderly && this.#allSent && this.#waiting.size === 0) return this.#done.resolve(undefined);
    this.#done.resolve(
      isOrderly
        ? `closed the connection before it had ${this.#waiting.size > 0 ? 'acknowledged' : 'read'} everything`
        : `broke off (${reason})`,
    );
  }
}
