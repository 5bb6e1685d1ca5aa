import { connect, type Socket } from 'node:net';

export interface CarbonOptions {
  readonly host: string;
  readonly port: number;
  readonly connectTimeoutMs: number;
  /** Longest time without progress once connected. */
  readonly idleTimeoutMs: number;
  /**
   * True: a connection for each delivery, which is ended by us and then must be ended by the server. carbon reads
   * until that end before it closes, so its close says that everything was read, the one confirmation its protocol has.
   * False: one connection is kept; what is in flight when it breaks is unknown and sent again.
   */
  readonly confirm: boolean;
}

/** Why a delivery failed; sending the same lines again does no harm, Graphite overwrites. */
export interface CarbonFailure {
  readonly message: string;
  /** Everything was handed over, but the server did not close in time. */
  readonly isUnconfirmed?: boolean;
}

/** Writes plaintext lines to carbon or whatever speaks its protocol. */
export class CarbonClient {
  readonly #options: CarbonOptions;
  readonly #address: string;
  readonly #open = new Set<Socket>();
  #kept: Socket | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Connections made so far. */
  connections = 0;

  constructor(options: CarbonOptions) {
    this.#options = options;
    this.#address = `${options.host}:${options.port}`;
  }

  /**
   * Hands lines over.
   *
   * @param bytes  whole lines; must not change until the promise resolves
   * @returns undefined when it is done, else the failure; never rejects
   */
  send(bytes: Uint8Array, signal: AbortSignal): Promise<CarbonFailure | undefined> {
    if (this.#options.confirm) return this.#sendAndClose(bytes, signal);
    // Lines of two deliveries must not mix on one connection.
    const sent = this.#last.then(() => this.#sendKept(bytes, signal));
    this.#last = sent;
    return sent;
  }

  /** Connects and closes again. */
  async probe(signal: AbortSignal): Promise<CarbonFailure | undefined> {
    const socket = await this.#connect(signal);
    if (!isSocket(socket)) return socket;
    socket.destroy();
    return undefined;
  }

  async #sendAndClose(bytes: Uint8Array, signal: AbortSignal): Promise<CarbonFailure | undefined> {
    const socket = await this.#connect(signal);
    if (!isSocket(socket)) return socket;
    return new Promise((resolve) => {
      let isWritten = false;
      const finish = (failure?: string, isUnconfirmed = false): void => {
        signal.removeEventListener('abort', onAbort);
        socket.destroy();
        resolve(failure === undefined ? undefined : { message: failure, isUnconfirmed });
      };
      const onAbort = (): void => finish('the delivery was given up');
      signal.addEventListener('abort', onAbort, { once: true });
      socket.on('finish', () => (isWritten = true));
      socket.on('error', (error: NodeJS.ErrnoException) => finish(`${this.#address} broke off (${error.code ?? error.message})`));
      socket.on('end', () => finish(isWritten ? undefined : `${this.#address} closed before it had everything`));
      socket.on('close', () => finish(`${this.#address} closed without a word`));
      socket.setTimeout(this.#options.idleTimeoutMs, () => {
        const after = `within ${this.#options.idleTimeoutMs} ms`;
        finish(isWritten ? `${this.#address} did not close ${after}` : `${this.#address} did not read on ${after}`, isWritten);
      });
      // Whatever it says is thrown away: the protocol has no answers.
      socket.resume();
      socket.end(bytes);
    });
  }

  async #sendKept(bytes: Uint8Array, signal: AbortSignal): Promise<CarbonFailure | undefined> {
    const socket = this.#kept ?? (await this.#connect(signal));
    if (!isSocket(socket)) return socket;
    this.#keep(socket);
    return new Promise((resolve) => {
      const finish = (failure?: string): void => {
        signal.removeEventListener('abort', onAbort);
        socket.off('close', onClose);
        socket.setTimeout(0);
        if (failure !== undefined) socket.destroy();
        resolve(failure === undefined ? undefined : { message: failure });
      };
      const onAbort = (): void => finish('the delivery was given up');
      const onClose = (): void => finish(`${this.#address} closed the connection`);
      signal.addEventListener('abort', onAbort, { once: true });
      socket.on('close', onClose);
      socket.setTimeout(this.#options.idleTimeoutMs, () =>
        finish(`${this.#address} did not read on within ${this.#options.idleTimeoutMs} ms`),
      );
      // The callback comes when the kernel has taken everything, so a slow server slows the deliveries.
      socket.write(bytes, (error) => finish(error ? `${this.#address} broke off (${error.message})` : undefined));
    });
  }

  #keep(socket: Socket): void {
    if (this.#kept === socket) return;
    this.#kept = socket;
    const drop = (): void => {
      if (this.#kept === socket) this.#kept = undefined;
      socket.destroy();
    };
    // A server that closes its side would never read what is written after that.
    socket.on('end', drop);
    socket.on('close', drop);
    socket.on('error', drop);
    socket.resume();
  }

  #connect(signal: AbortSignal): Promise<Socket | CarbonFailure> {
    const { host, port, connectTimeoutMs } = this.#options;
    return new Promise((resolve) => {
      if (signal.aborted) return resolve({ message: 'the delivery was given up' });
      const socket = connect({ host, port, noDelay: true });
      this.#open.add(socket);
      socket.once('close', () => this.#open.delete(socket));
      const settle = (failure?: string): void => {
        signal.removeEventListener('abort', onAbort);
        socket.setTimeout(0);
        socket.removeAllListeners('timeout');
        socket.off('error', onError);
        if (failure === undefined) {
          this.connections++;
          return resolve(socket);
        }
        socket.on('error', () => undefined);
        socket.destroy();
        resolve({ message: `cannot connect to ${this.#address}: ${failure}` });
      };
      const onAbort = (): void => settle('given up');
      const onError = (error: NodeJS.ErrnoException): void => settle(error.code ?? error.message);
      signal.addEventListener('abort', onAbort, { once: true });
      socket.once('error', onError);
      socket.once('connect', () => settle());
      socket.setTimeout(connectTimeoutMs, () => settle(`no answer within ${connectTimeoutMs} ms`));
    });
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
    this.#kept = undefined;
  }
}

function isSocket(value: Socket | CarbonFailure): value is Socket {
  return 'write' in value;
}
