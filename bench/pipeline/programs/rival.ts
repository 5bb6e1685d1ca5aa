/** What the two rivals of millrace have in common: they listen or follow a file, may keep what comes on the disk, and send. */
import { createSocket } from 'node:dgram';
import { fdatasync, openSync, readSync, writeSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { MessageScanner } from '../../../engine/events/message-scanner.ts';

export type RivalQuestion =
  | { readonly type: 'count' }
  | {
      readonly type: 'start';
      readonly input: 'forward' | 'tail' | 'statsd';
      readonly port: number;
      /** Tail: the file to follow. */
      readonly path: string;
      /** 0: what comes is thrown away. */
      readonly sinkPort: number;
      readonly level: 'memory' | 'os' | 'fsync';
      /** Where the levels `os` and `fsync` keep what came. */
      readonly logPath: string;
      readonly geo?: { readonly key: string; readonly drop: readonly string[] };
    };
type Start = Exclude<RivalQuestion, { type: 'count' }>;

/** One of the three; `raw` gets the bytes as they come, before any framing. */
interface Handlers {
  readonly raw?: (bytes: Buffer) => void;
  /** @returns the answer for the sender, to be given once the bytes are safe */
  readonly message?: (bytes: Buffer) => Buffer | undefined;
  readonly line?: (text: string) => void;
}

const COMMIT_MS = 20;
const POLL_MS = 50;
const READ_BYTES = 1 << 20;
/** The log begins again at its start: what is measured is the writing. */
const LOG_BYTES_MAX = 256 << 20;
const REQUESTS_MAX = 4;

export class Feed {
  readonly #start: Start;
  readonly #handlers: Handlers;
  readonly #sockets = new Set<Socket>();
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 2 });
  readonly #log: number | undefined;
  #logAt = 0;
  #isSyncing = false;
  #unwritten: Buffer[] = [];
  #waiting: Array<() => void> = [];
  #requests = 0;
  received = 0;

  constructor(start: Start, handlers: Handlers) {
    this.#start = start;
    this.#handlers = handlers;
    if (start.level !== 'memory') this.#log = openSync(start.logPath, 'w');
    if (start.level === 'fsync') setInterval(() => this.#sync(), COMMIT_MS);
    if (start.input === 'forward') this.#listen();
    else if (start.input === 'tail') this.#follow();
    else this.#receive();
  }

  #listen(): void {
    const server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => undefined);
      const { raw, message } = this.#handlers;
      const take = raw ?? framed(message ?? (() => undefined), (answer) => this.#whenSafe(() => socket.write(answer)));
      socket.on('data', (data) => {
        this.#keep(data);
        take(data);
        if (this.#requests >= REQUESTS_MAX) socket.pause();
      });
    });
    server.listen(this.#start.port, '127.0.0.1');
  }

  #follow(): void {
    const file = openSync(this.#start.path, 'r');
    const { raw, line } = this.#handlers;
    let rest = '';
    setInterval(() => {
      for (let n = 0; n < 16 && this.#requests < REQUESTS_MAX; n++) {
        const buffer = Buffer.allocUnsafe(READ_BYTES);
        const bytes = buffer.subarray(0, readSync(file, buffer));
        if (bytes.length === 0) return;
        this.#keep(bytes);
        raw?.(bytes);
        if (line === undefined) continue;
        const lines = (rest + bytes.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const text of lines) line(text);
      }
    }, POLL_MS);
  }

  #receive(): void {
    const { raw } = this.#handlers;
    const socket = createSocket('udp4', (datagram) => {
      this.received++;
      raw?.(datagram);
    });
    socket.bind(this.#start.port, '127.0.0.1', () => socket.setRecvBufferSize(4 << 20));
  }

  /** Small pieces of one turn of the loop are written together. */
  #keep(bytes: Buffer): void {
    if (this.#log === undefined) return;
    if (this.#unwritten.length === 0) setImmediate(() => this.#write());
    this.#unwritten.push(bytes);
  }

  #write(): void {
    const bytes = this.#unwritten.length === 1 ? (this.#unwritten[0] as Buffer) : Buffer.concat(this.#unwritten);
    this.#unwritten = [];
    const head = Buffer.alloc(8);
    head.writeUInt32LE(bytes.length, 0);
    head.writeUInt32LE(crc32(bytes), 4);
    if (this.#logAt > LOG_BYTES_MAX) this.#logAt = 0;
    const file = this.#log as number;
    this.#logAt += writeSync(file, head, 0, head.length, this.#logAt);
    this.#logAt += writeSync(file, bytes, 0, bytes.length, this.#logAt);
    if (this.#start.level === 'os') this.#safe();
  }

  #sync(): void {
    if (this.#isSyncing || this.#log === undefined) return;
    const done = this.#waiting;
    this.#waiting = [];
    this.#isSyncing = true;
    fdatasync(this.#log, () => {
      this.#isSyncing = false;
      for (const one of done) one();
    });
  }

  #whenSafe(then: () => void): void {
    if (this.#start.level === 'memory') then();
    else this.#waiting.push(then);
  }

  #safe(): void {
    const done = this.#waiting;
    this.#waiting = [];
    for (const one of done) one();
  }

  /** While too many requests are under way nothing more is read. */
  send(body: Buffer | string, path: string): void {
    this.#requests++;
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    const sent = request(
      {
        port: this.#start.sinkPort,
        host: '127.0.0.1',
        method: 'POST',
        path,
        agent: this.#agent,
        headers: { 'content-type': 'application/x-ndjson', 'content-length': bytes.length },
      },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('end', () => {
          if (path === '/_bulk' && (JSON.parse(Buffer.concat(parts).toString()) as { errors: boolean }).errors)
            throw new Error('the sink refused');
          this.#requests--;
          for (const socket of this.#sockets) socket.resume();
        });
      },
    );
    sent.on('error', (error) => {
      // There is no second try here: the run cannot be counted any more.
      console.error(error);
      process.exit(1);
    });
    sent.end(bytes);
  }
}

function framed(message: (bytes: Buffer) => Buffer | undefined, answer: (bytes: Buffer) => void): (data: Buffer) => void {
  const scanner = new MessageScanner();
  let rest: Buffer[] = [];
  // A header that was cut off is scanned again with what follows.
  let held: Buffer | undefined;
  return (piece) => {
    const data = held === undefined ? piece : Buffer.concat([held, piece]);
    held = undefined;
    for (let from = 0; from < data.length;) {
      const { at, state } = scanner.scan(data, from, data.length);
      if (state === 'invalid') throw new Error('not MessagePack');
      if (at > from) rest.push(data.subarray(from, at));
      if (state === 'more') {
        if (at < data.length) held = data.subarray(at);
        return;
      }
      from = at;
      scanner.reset();
      const reply = message(rest.length === 1 ? (rest[0] as Buffer) : Buffer.concat(rest));
      rest = [];
      if (reply !== undefined) answer(reply);
    }
  };
}
