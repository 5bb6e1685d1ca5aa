import {
  ForwardError,
  readRequest,
  writeAck,
  type ForwardLimits,
  type ForwardOddity,
  type ForwardRequest,
} from '../../engine/events/forward.ts';
import { JsonSplitter, readJsonRequest } from '../../engine/events/forward-json.ts';
import { MessageScanner } from '../../engine/events/message-scanner.ts';

export interface ConnectionLimits extends ForwardLimits {
  /** A message beyond this is not kept: its bytes are read past, it is counted, and it gets no answer. */
  readonly messageBytes: number;
}

export interface ConnectionHandlers {
  request(request: ForwardRequest, answer: (chunk: Uint8Array) => Buffer, bytes: number): void;
  oddity(what: ForwardOddity | 'too-large'): void;
}

const SPARES = 4;
const SPARE_BYTES_MAX = 2 << 20;
const NOTHING = Buffer.alloc(0);

/**
 * Buffers for messages that come in pieces, used again by all connections of a source: a new one for each message of some
 * hundred KiB would let the collector of garbage run all the time. Keeps four of at most 2 MiB.
 */
export class Spares {
  readonly #free: Buffer[] = [];

  /** @returns the largest, when it holds so many bytes */
  take(bytes: number): Buffer | undefined {
    return (this.#free.at(-1)?.length ?? 0) >= bytes ? this.#free.pop() : undefined;
  }

  give(buffer: Buffer): void {
    if (buffer.length === 0 || buffer.length > SPARE_BYTES_MAX) return;
    this.#free.push(buffer);
    this.#free.sort((a, b) => a.length - b.length);
    if (this.#free.length > SPARES) this.#free.shift();
  }
}

/**
 * One client's bytes, whatever the pieces they come in; what a request points to is used again once its handler has returned.
 * Knows no socket. The first byte decides: `[` or `{` means JSON
 * for the whole connection.
 */
export class ForwardConnection {
  readonly #limits: ConnectionLimits;
  readonly #handlers: ConnectionHandlers;
  readonly #now: () => number;
  readonly #spares: Spares;
  readonly #scanner = new MessageScanner();
  #json: JsonSplitter | undefined;
  #isFirst = true;
  // The message that has begun: its bytes so far, and how far they were scanned.
  #kept: Buffer = NOTHING;
  #keptLength = 0;
  #scanned = 0;
  #discarding = false;

  constructor(limits: ConnectionLimits, handlers: ConnectionHandlers, now: () => number, spares = new Spares()) {
    this.#limits = limits;
    this.#handlers = handlers;
    this.#now = now;
    this.#spares = spares;
  }

  /** Memory that a message which has begun takes. */
  get keptBytes(): number {
    return this.#kept.length + (this.#json?.keptBytes ?? 0);
  }

  /** @throws ForwardError when the connection has to be closed */
  push(data: Buffer): void {
    if (data.length === 0) return;
    if (this.#isFirst) {
      this.#isFirst = false;
      if (data[0] === 0x5b || data[0] === 0x7b) this.#json = new JsonSplitter(this.#limits.messageBytes);
    }
    if (this.#json !== undefined) return this.#pushJson(this.#json, data);
    let bytes = data;
    let start = 0;
    let scanned = 0;
    if (this.#keptLength > 0) {
      bytes = this.#keep(data);
      scanned = this.#scanned;
    }
    while (start < bytes.length) {
      const { at, state } = this.#scanner.scan(bytes, scanned, bytes.length);
      if (state === 'invalid') throw new ForwardError('not MessagePack');
      if (state === 'more') return this.#wait(bytes, start, at);
      this.#scanner.reset();
      if (this.#discarding) this.#discarding = false;
      else if (at - start > this.#limits.messageBytes) this.#handlers.oddity('too-large');
      else this.#message(bytes, start, at);
      start = at;
      scanned = at;
    }
    this.close();
  }

  /** Gives back what a message that has begun takes. */
  close(): void {
    this.#keptLength = 0;
    this.#spares.give(this.#kept);
    this.#kept = NOTHING;
  }

  #message(bytes: Buffer, start: number, end: number): void {
    const request = readRequest(bytes, start, end, this.#limits, this.#now());
    if (typeof request === 'string') this.#handlers.oddity(request);
    else this.#handlers.request(request, writeAck, end - start);
  }

  #pushJson(splitter: JsonSplitter, data: Buffer): void {
    for (const document of splitter.push(data)) {
      const request = readJsonRequest(document, this.#now());
      if (typeof request === 'string') this.#handlers.oddity(request);
      else this.#handlers.request(request, (chunk) => Buffer.from(chunk), 0);
    }
  }

  /** Adds to the message that has begun; its buffer grows by doubling, or at once to what its head has promised. */
  #keep(data: Buffer): Buffer {
    const wanted = this.#keptLength + data.length;
    if (wanted > this.#kept.length) {
      const promised = Math.min(this.#keptLength + this.#scanner.missing, this.#limits.messageBytes);
      const size = Math.max(wanted, Math.min(promised, wanted * 4), this.#kept.length * 2);
      const grown = this.#spares.take(wanted) ?? Buffer.allocUnsafeSlow(size);
      this.#kept.copy(grown, 0, 0, this.#keptLength);
      this.#spares.give(this.#kept);
      this.#kept = grown;
    }
    data.copy(this.#kept, this.#keptLength);
    this.#keptLength = wanted;
    return this.#kept.subarray(0, wanted);
  }

  /** The message that begins at `start` goes on: keeps its bytes, or only the scanner's state once it is too large. */
  #wait(bytes: Buffer, start: number, scanned: number): void {
    const size = bytes.length - start + this.#scanner.missing;
    if (!this.#discarding && size > this.#limits.messageBytes) {
      this.#discarding = true;
      this.#handlers.oddity('too-large');
    }
    const from = this.#discarding ? scanned : start;
    if (bytes.buffer === this.#kept.buffer) {
      if (from > 0) this.#kept.copyWithin(0, from, bytes.length);
    } else {
      const rest = bytes.subarray(from);
      this.#kept = this.#spares.take(rest.length) ?? Buffer.allocUnsafeSlow(Math.max(rest.length, 64));
      rest.copy(this.#kept);
    }
    this.#keptLength = bytes.length - from;
    this.#scanned = scanned - from;
  }
}
