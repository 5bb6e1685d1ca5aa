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

/**
 * One client's bytes, whatever the pieces they come in. Knows no socket. The first byte decides: `[` or `{` means JSON
 * for the whole connection.
 */
export class ForwardConnection {
  readonly #limits: ConnectionLimits;
  readonly #handlers: ConnectionHandlers;
  readonly #now: () => number;
  readonly #scanner = new MessageScanner();
  #json: JsonSplitter | undefined;
  #isFirst = true;
  // The message that has begun: its bytes so far, and how far they were scanned.
  #kept = Buffer.alloc(0);
  #keptLength = 0;
  #scanned = 0;
  #discarding = false;

  constructor(limits: ConnectionLimits, handlers: ConnectionHandlers, now: () => number) {
    this.#limits = limits;
    this.#handlers = handlers;
    this.#now = now;
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
    this.#keptLength = 0;
    this.#kept = Buffer.alloc(0);
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
      const grown = Buffer.allocUnsafeSlow(Math.max(wanted, Math.min(promised, wanted * 4), this.#kept.length * 2));
      this.#kept.copy(grown, 0, 0, this.#keptLength);
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
    if (from !== 0 || bytes.buffer !== this.#kept.buffer) {
      // A buffer of its own: batches that were handed over may still point into the old one.
      const rest = bytes.subarray(from);
      this.#kept = Buffer.allocUnsafeSlow(Math.max(rest.length, 64));
      rest.copy(this.#kept);
      this.#keptLength = rest.length;
    }
    this.#scanned = scanned - from;
  }
}
