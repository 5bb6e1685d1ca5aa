/** The judge's end of the elasticsearch output: speaks `_bulk`, keeps what it accepted, and misbehaves when it is told to. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import type { Seeded } from '../../engine/testing/seeded.ts';
import { documentOf } from './events.ts';

export const BULK_MODES = [
  'well',
  'slow',
  'status 429',
  'status 503',
  'status 500',
  'items 429',
  'drops before',
  'drops after',
  'drops halfway',
  'answers nonsense',
  'reads nothing',
  'is away',
] as const;
export type BulkMode = (typeof BULK_MODES)[number];

/** What it holds of one event. */
export interface Stored {
  readonly sender: number;
  readonly number: number;
  readonly ids: string[];
}

const MAX_PROBLEMS = 20;

export class BulkSink {
  readonly #random: Seeded;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #idOf = new Map<string, string>();
  #port = 0;
  #mode: BulkMode = 'well';
  /** By the key of the event. */
  readonly stored = new Map<string, Stored>();
  /** Repeats of what was there already, answered with 409. */
  repeats = 0;
  requests = 0;
  /** Highest number that arrived from each sender, and 1. */
  readonly marks: number[] = [];
  /** Sentences about what must not have been sent at all. */
  readonly problems: string[] = [];
  /** Documents by kind. */
  readonly kinds = new Map<string, number>();

  constructor(random: Seeded) {
    this.#random = random;
    this.#server = createServer((request, response) => this.#take(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (this.#mode === 'reads nothing') socket.pause();
    });
  }

  get port(): number {
    return this.#port;
  }

  /** Documents it holds. */
  get documents(): number {
    return this.#idOf.size;
  }

  async start(): Promise<void> {
    await new Promise<void>((done, refuse) => {
      this.#server.once('error', refuse);
      this.#server.listen(this.#port, '127.0.0.1', done);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((done) => this.#server.close(done));
  }

  async behave(mode: BulkMode): Promise<void> {
    if (mode === this.#mode) return;
    const before = this.#mode;
    this.#mode = mode;
    if (before === 'is away') await this.start();
    if (mode === 'is away') await this.stop();
    if (mode === 'reads nothing') for (const socket of this.#sockets) socket.pause();
    else if (before === 'reads nothing') for (const socket of this.#sockets) socket.resume();
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const parts: Buffer[] = [];
    // A sender that was killed in the midst of it.
    request.on('error', () => undefined);
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const body = Buffer.concat(parts).toString('utf8');
      if (request.method !== 'POST' || request.url?.includes('_bulk') !== true) {
        answer(response, 200, { name: 'judge', version: { number: '8.19.0', build_flavor: 'default' } });
      } else if (this.#mode === 'slow') setTimeout(() => this.#bulk(body, response), this.#random.between(50, 400));
      else this.#bulk(body, response);
    });
  }

  #bulk(body: string, response: ServerResponse): void {
    this.requests++;
    const random = this.#random;
    // A server in trouble has its good moments.
    const mode = random.chance(0.2) ? 'well' : this.#mode;
    const status = /^status (\d+)$/.exec(mode)?.[1];
    if (status !== undefined) {
      answer(response, Number(status), {
        error: { type: 'es_rejected_execution_exception', reason: 'the judge is busy' },
        status,
      });
    } else if (mode === 'drops before') response.destroy();
    else if (mode === 'answers nonsense') {
      if (random.chance(0.5)) this.#store(body, () => true);
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>a proxy had something to say</html>');
    } else {
      const accepts = mode === 'items 429' || mode === 'drops halfway' ? (): boolean => random.chance(0.5) : (): boolean => true;
      const items = this.#store(body, accepts);
      if (mode === 'drops after' || mode === 'drops halfway') response.destroy();
      else answer(response, 200, { took: 1, errors: items.some(({ create }) => create.error !== undefined), items });
    }
  }

  #store(body: string, accepts: () => boolean): Item[] {
    const lines = body.split('\n');
    if (lines.pop() !== '') this.#problem('a bulk body does not end with a line feed');
    if (lines.length % 2 !== 0) this.#problem(`a bulk body has ${lines.length} lines`);
    const items: Item[] = [];
    for (let n = 0; n + 1 < lines.length; n += 2) {
      if (!accepts()) {
        items.push({ create: { status: 429, error: { type: 'es_rejected_execution_exception', reason: 'the queue is full' } } });
        continue;
      }
      items.push({ create: { status: this.#storeOne(lines[n] as string, lines[n + 1] as string) } });
    }
    return items;
  }

  #storeOne(action: string, line: string): number {
    let id: unknown;
    let document: { u?: unknown; kind?: unknown };
    try {
      id = (JSON.parse(action) as { create?: { _id?: unknown } }).create?._id;
      document = JSON.parse(line) as typeof document;
    } catch {
      this.#problem(`no JSON: ${action.slice(0, 100)} ${line.slice(0, 100)}`);
      return 400;
    }
    const found = /^(\d+)-(\d+)$/.exec(String(document.u));
    if (typeof id !== 'string' || found === null) {
      this.#problem(`a document without id, or of no sender: ${action.slice(0, 100)} ${line.slice(0, 100)}`);
      return 400;
    }
    const key = found[0];
    const [sender, number] = [Number(found[1]), Number(found[2])];
    if (!isDeepStrictEqual(document, documentOf(sender, number)))
      this.#problem(`the document of ${key} is not what was sent: ${line.slice(0, 300)}`);
    const holds = this.#idOf.get(id);
    if (holds !== undefined) {
      this.repeats++;
      if (holds !== key) this.#problem(`the id ${id} of ${holds} came again with ${key}`);
      return 409;
    }
    this.#idOf.set(id, key);
    this.kinds.set(String(document.kind), (this.kinds.get(String(document.kind)) ?? 0) + 1);
    this.marks[sender] = Math.max(this.marks[sender] ?? 0, number + 1);
    const stored = this.stored.get(key);
    if (stored === undefined) this.stored.set(key, { sender, number, ids: [id] });
    else stored.ids.push(id);
    return 201;
  }

  #problem(sentence: string): void {
    if (this.problems.length < MAX_PROBLEMS) this.problems.push(sentence);
  }
}

interface Item {
  readonly create: { readonly status: number; readonly error?: { readonly type: string; readonly reason: string } };
}

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
