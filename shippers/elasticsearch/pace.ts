/** How much at a time: bytes per request and requests in flight, learned from what the server answers. */

export interface PaceOptions {
  /** Largest request that the configuration allows. */
  readonly requestBytes: number;
  /** Requests in flight at most. */
  readonly inFlight: number;
  /** Called when either figure has changed. */
  readonly onChange: (inFlight: number, requestBytes: number) => void;
}

const START_IN_FLIGHT = 2;
const MIN_REQUEST_BYTES = 64 << 10;
const STEP_BYTES = 256 << 10;
/** Below this, waiting is not what slows us down. */
const SLOW_MS = 1000;

/**
 * Additive increase, multiplicative decrease. A success with all requests in flight adds a share of one, overload halves
 * both figures, once for the requests that were under way together; an answer that takes three times as long as usual and
 * more than a second takes a fifth off the requests in flight.
 */
export class Pace {
  readonly #o: PaceOptions;
  #inFlight: number;
  #requestBytes: number;
  /** Smallest request that was refused as too large, and largest that was not. */
  #refusedBytes = Infinity;
  #acceptedBytes = 0;
  #running = 0;
  #usualMs = 0;
  /** Rises with every cut; a request that began before the last one does not cause another. */
  #cuts = 0;
  #waiting: (() => void)[] = [];

  constructor(options: PaceOptions) {
    this.#o = options;
    this.#inFlight = Math.min(START_IN_FLIGHT, options.inFlight);
    this.#requestBytes = options.requestBytes;
    this.#tell();
  }

  /** Bytes that the next request shall have at most; a single event may have more. */
  get requestBytes(): number {
    return Math.floor(this.#requestBytes);
  }

  get inFlight(): number {
    return Math.floor(this.#inFlight);
  }

  /** Waits for a place among the requests in flight. @returns a mark for `finish`; rejects when `signal` aborts */
  async begin(signal: AbortSignal): Promise<number> {
    while (this.#running >= this.inFlight) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<void>();
      const wake = (): void => resolve();
      this.#waiting.push(wake);
      signal.addEventListener('abort', wake, { once: true });
      await promise;
      signal.removeEventListener('abort', wake);
    }
    signal.throwIfAborted();
    this.#running++;
    return this.#cuts;
  }

  finish(): void {
    this.#running--;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** The server took a request of that size after so long. */
  succeeded(mark: number, bytes: number, ms: number): void {
    this.#acceptedBytes = Math.max(this.#acceptedBytes, bytes);
    const isSlow = ms > SLOW_MS && this.#usualMs > 0 && ms > 3 * this.#usualMs;
    this.#usualMs = this.#usualMs === 0 ? ms : this.#usualMs * 0.9 + ms * 0.1;
    if (isSlow) return this.#cut(mark, 0.8, 1);
    if (this.#running >= this.inFlight) this.#inFlight = Math.min(this.#o.inFlight, this.#inFlight + 1 / this.#inFlight);
    const more = Math.min(this.#o.requestBytes, this.#requestBytes + STEP_BYTES);
    if (more < this.#refusedBytes) this.#requestBytes = more;
    this.#tell();
  }

  /** 429, 503, or no answer in time. */
  overloaded(mark: number): void {
    this.#cut(mark, 0.5, 0.5);
  }

  /** A request of that size was refused for its size; it is not tried again until the process starts anew. */
  tooLarge(bytes: number): void {
    this.#refusedBytes = Math.min(this.#refusedBytes, bytes);
    // A server that has been given a lower limit refuses what it took before.
    if (this.#acceptedBytes >= this.#refusedBytes) this.#acceptedBytes = 0;
    const half = Math.max(MIN_REQUEST_BYTES, bytes >> 1, this.#acceptedBytes);
    this.#requestBytes = Math.min(this.#requestBytes, half);
    this.#tell();
  }

  #cut(mark: number, requests: number, bytes: number): void {
    if (mark !== this.#cuts) return;
    this.#cuts++;
    this.#inFlight = Math.max(1, this.#inFlight * requests);
    this.#requestBytes = Math.max(Math.min(MIN_REQUEST_BYTES, this.#requestBytes), this.#requestBytes * bytes);
    this.#tell();
  }

  #tell(): void {
    this.#o.onChange(this.inFlight, this.requestBytes);
  }
}
