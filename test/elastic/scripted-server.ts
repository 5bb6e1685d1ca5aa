/**
 * A server of `_bulk` over real HTTP that misbehaves by a script: one step a request, the last one stays. It stores like the
 * real ones do (ids unique inside one index, a stream with generations), and it counts what it took twice.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';

export interface Doc {
  readonly id: string | undefined;
  readonly source: Readonly<Record<string, unknown>>;
}

export interface ItemAnswer {
  readonly status: number;
  readonly error?: unknown;
}

/** How one request is treated. What is said after `stored` or `unread` is how its answer goes wrong. */
export type Step =
  | { readonly kind: 'well' }
  | { readonly kind: 'status'; readonly status: number; readonly body?: unknown; readonly headers?: Record<string, string> }
  /** undefined: this item is treated well. */
  | { readonly kind: 'items'; readonly answer: (doc: Doc) => ItemAnswer | undefined }
  | {
      readonly kind:
        | 'unread, closed'
        | 'stored, closed'
        | 'stored, torn'
        | 'stored, wrong length'
        | 'stored, one item less'
        | 'stored, garbage'
        | 'stored, page of a proxy'
        | 'stored, silent'
        | 'stored, dripping'
        | 'stored, endless'
        | 'roll over, then well'
        | 'stored, closed, roll over';
    };

/** What holds for every request of a run, whatever the step says. */
export interface Nature {
  /** Larger bodies get 413. */
  readonly bytesMax?: number;
  /** One such line, and the request as a whole gets 400. */
  readonly poison?: (doc: Doc) => boolean;
  /** Items that never fit. */
  readonly misfit?: (doc: Doc) => boolean;
  /** 'index': no stream, no generations. */
  readonly target?: 'stream' | 'index';
  /** Another node of the same cluster. */
  readonly twinOf?: ScriptedServer;
}

const MISFIT = {
  type: 'document_parsing_exception',
  reason: "[1:7] failed to parse field [n] of type [long]. Preview of field's value: 'x'",
  caused_by: { type: 'illegal_argument_exception', reason: 'For input string: "x"' },
};
const CONFLICT = { type: 'version_conflict_engine_exception', reason: 'version conflict, document already exists' };
const POISONED = { type: 'illegal_argument_exception', reason: 'id [...] is too long, must be no longer than 512 bytes' };
const DRIP_MS = 40;
const ENDLESS_BYTES = 1 << 20;

export class ScriptedServer {
  #nature: Nature;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #steps: readonly Step[];
  /** By index, then id. */
  readonly #indices: Map<string, Map<string, Doc>>;
  readonly #madeMs = new Map<string, number>();
  #generation = 1;
  #unnamed = 0;
  requests = 0;
  /** Documents per request, of those that were read. */
  readonly sizes: number[] = [];

  constructor(steps: readonly Step[], nature: Nature = {}) {
    this.#steps = steps;
    this.#nature = nature;
    this.#indices = nature.twinOf === undefined ? new Map() : nature.twinOf.#indices;
    this.#server = createServer((request, response) => void this.#take(request, response));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => this.#sockets.delete(socket));
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    for (const socket of this.#sockets) socket.destroy();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  rollOver(): void {
    this.#generation++;
  }

  /** From now on no event is poison. */
  mend(): void {
    const { poison: _, ...rest } = this.#nature;
    this.#nature = rest;
  }

  /** How often each event is stored, by its field `n`. */
  copies(): Map<number, number> {
    const copies = new Map<number, number>();
    for (const docs of this.#indices.values())
      for (const { source } of docs.values()) copies.set(source['n'] as number, (copies.get(source['n'] as number) ?? 0) + 1);
    return copies;
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      // The client has gone: nothing to answer.
      return;
    }
    const body = Buffer.concat(parts);
    const url = new URL(request.url ?? '/', 'http://server');
    if (!url.pathname.endsWith('/_bulk')) return this.#other(url, response);
    this.requests++;
    const step = this.#steps[0] ?? { kind: 'well' };
    if (this.#steps.length > 1) this.#steps = this.#steps.slice(1);
    if (this.#nature.bytesMax !== undefined && body.length > this.#nature.bytesMax)
      return void response.writeHead(413, { connection: 'close' }).end();
    this.#bulk(step, url, body, response);
  }

  #other(url: URL, response: ServerResponse): void {
    const index = decodeURIComponent(url.pathname.split('/')[1] ?? '');
    const madeMs = this.#madeMs.get(index);
    if (url.pathname.endsWith('/_settings') && madeMs !== undefined)
      return void response.end(JSON.stringify({ [index]: { settings: { index: { creation_date: String(madeMs) } } } }));
    response.end(JSON.stringify({ version: { number: '9.5.3' } }));
  }

  #bulk(step: Step, url: URL, body: Buffer, response: ServerResponse): void {
    if (step.kind === 'status') {
      const text = step.body === undefined ? '' : typeof step.body === 'string' ? step.body : JSON.stringify(step.body);
      return void response.writeHead(step.status, { 'content-type': 'application/json', ...step.headers }).end(text);
    }
    if (step.kind === 'unread, closed') return void response.socket?.destroy();
    if (step.kind === 'roll over, then well') this.rollOver();
    const lines = body.toString().trimEnd().split('\n');
    const actions: { operation: string; doc: Doc; index: string | undefined }[] = [];
    for (let n = 0; n < lines.length; n += 2) {
      const [[operation, target] = []] = Object.entries(
        JSON.parse(lines[n] as string) as Record<string, { _id?: string; _index?: string }>,
      );
      const source = JSON.parse(lines[n + 1] as string) as Record<string, unknown>;
      actions.push({ operation: operation ?? '', doc: { id: target?._id, source }, index: target?._index });
    }
    this.sizes.push(actions.length);
    if (actions.some(({ doc }) => this.#nature.poison?.(doc) === true))
      return void response.writeHead(400).end(JSON.stringify({ error: POISONED, status: 400 }));
    const named = decodeURIComponent(url.pathname.split('/').at(-2) ?? '');
    const withIndex = url.searchParams.get('filter_path')?.includes('_index') === true;
    const items = actions.map(({ operation, doc, index }) => {
      const own = step.kind === 'items' ? step.answer(doc) : undefined;
      const answer = own ?? this.#store(operation, doc, index ?? named);
      return { [operation]: { ...answer, ...(withIndex && { _index: this.#indexOf(index ?? named) }) } };
    });
    const errors = items.some((item) => Object.values(item).some(({ status }) => status >= 300));
    this.#answer(step.kind, items, errors, response);
    if (step.kind === 'stored, closed, roll over') this.rollOver();
  }

  #indexOf(named: string): string {
    return this.#nature.target === 'index' ? named : `.ds-${named}-${String(this.#generation).padStart(6, '0')}`;
  }

  #store(operation: string, doc: Doc, named: string): ItemAnswer {
    if (this.#nature.misfit?.(doc) === true) return { status: 400, error: MISFIT };
    const index = this.#indexOf(named);
    let docs = this.#indices.get(index);
    if (docs === undefined) {
      docs = new Map();
      this.#indices.set(index, docs);
      this.#madeMs.set(index, Date.now());
    }
    const id = doc.id ?? `unnamed-${this.#unnamed++}`;
    if (operation === 'create' && docs.has(id)) return { status: 409, error: CONFLICT };
    const status = docs.has(id) ? 200 : 201;
    docs.set(id, doc);
    return { status };
  }

  #answer(kind: Step['kind'], items: readonly unknown[], errors: boolean, response: ServerResponse): void {
    const shown = kind === 'stored, one item less' ? items.slice(1) : items;
    const text = JSON.stringify({ errors, items: shown });
    const socket = response.socket as Socket;
    const head = (length: number): string =>
      `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
    switch (kind) {
      case 'stored, closed':
      case 'stored, closed, roll over':
        return void socket.destroy();
      case 'stored, torn':
        return void socket.end(head(text.length) + text.slice(0, text.length >> 1));
      case 'stored, wrong length':
        return void socket.end(head(text.length + 100) + text);
      case 'stored, garbage':
        return void socket.end(Buffer.from([0, 1, 2, 0xff, 13, 10, 13, 10]));
      case 'stored, page of a proxy':
        return void response.end('<html><body>It works!</body></html>');
      case 'stored, silent':
        return;
      case 'stored, dripping':
        response.write('{"errors":false,"items":[');
        this.#timers.add(setInterval(() => response.write(' '), DRIP_MS));
        return;
      case 'stored, endless':
        return this.#pour(response);
      default:
        response.end(text);
    }
  }

  #pour(response: ServerResponse): void {
    const part = Buffer.alloc(ENDLESS_BYTES, 0x20);
    const more = (): void => {
      while (!response.destroyed && response.write(part));
    };
    response.on('drain', more).on('error', () => undefined);
    more();
  }
}
