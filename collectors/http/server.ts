import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Source, SourceContext } from '../../engine/component.ts';
import { appendToAll } from '../../engine/events/append.ts';
import type { Batch, Fields } from '../../engine/events/batch.ts';
import { fragment } from '../../engine/events/field.ts';
import { listen } from '../../engine/net/listen.ts';
import { tlsOptions } from '../../engine/net/transport.ts';
import { Bodies } from './bodies.ts';
import { corsHeaders } from './cors.ts';
import { parseQuery, type Params } from './forms.ts';
import type { Config, metrics } from './settings.ts';
import { Unpacker, type Unpacked } from './unpack.ts';

/** Headers of one request; node:http answers 431 to more. */
const MAX_HEADER_BYTES = 16 * 1024;
const CHECK_EVERY_MS = 1000;
/** Seconds after which a sender that was told 503 may try again. */
const RETRY_AFTER = '1';

/** A transparent GIF of one pixel. */
const EMPTY_GIF = Buffer.from('4749463839610100010080ff00ffffff0000002c00000000010001000002024401003b', 'hex');

const REASONS: Readonly<Record<number, string>> = { 413: 'Request Entity Too Large' };

export class HttpServer implements Source {
  readonly #config: Config;
  readonly #ctx: SourceContext<typeof metrics>;
  readonly #bodies: Bodies;
  readonly #unpacker: Unpacker;
  #server: Server | undefined;
  #address = '';
  /** Bytes of bodies that are being received. */
  #pendingBytes = 0;
  /** Requests that are not answered yet. */
  #open = 0;
  #onIdle: (() => void) | undefined;
  #isFull = false;
  #isDraining = false;
  #failures = 0;

  constructor(config: Config, ctx: SourceContext<typeof metrics>) {
    this.#config = config;
    this.#ctx = ctx;
    this.#bodies = new Bodies(config, ctx);
    this.#unpacker = new Unpacker(config.decompression_size_limit);
  }

  addresses(): readonly string[] {
    return this.#address === '' ? [] : [this.#address];
  }

  async start(): Promise<void> {
    const { bind, port, backlog, transport, keepalive_timeout, header_timeout, request_timeout, max_connections } = this.#config;
    const options = {
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: keepalive_timeout,
      headersTimeout: Math.min(header_timeout, request_timeout),
      requestTimeout: request_timeout,
      connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, header_timeout),
      noDelay: true,
    };
    const server =
      transport.protocol === 'tls'
        ? createTlsServer({ ...options, ...tlsOptions(transport, this.#ctx.baseDir) })
        : createServer(options);
    server.maxConnections = max_connections;
    server.on('request', (request, response) => this.#take(request, response, false));
    server.on('checkContinue', (request, response) => this.#take(request, response, true));
    server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => this.#close(response, 417));
    server.on('drop', () => this.#ctx.metrics.refused_connections.add(1));
    this.#server = server;
    this.#address = await listen(server, { bind, port, backlog, reusePort: this.#ctx.worker.count > 1 });
  }

  /** Takes no further requests, and answers those that are there. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.#server?.closeIdleConnections();
    const { signal } = this.#ctx;
    if (this.#open > 0 && !signal.aborted)
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    await this.stop();
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeAllConnections();
    await closed;
  }

  // ---- one request ------------------------------------------------------------------------------

  #take(request: IncomingMessage, response: ServerResponse, isContinued: boolean): void {
    this.#open++;
    // Whether it was answered or the sender went away.
    response.once('close', () => {
      if (--this.#open === 0) this.#onIdle?.();
    });
    const { method = '', headers } = request;
    if (method === 'GET' || method === 'HEAD') return this.#close(response, 200);
    if (method === 'OPTIONS') return this.#preflight(request, response);
    if (corsHeaders(this.#config, headers.origin) === undefined) return this.#close(response, 403);
    if (Number(headers['content-length'] ?? 0) > this.#config.body_size_limit) return this.#close(response, 413, 'Too large');
    if (this.#isDraining || this.#isFull || this.#pendingBytes > this.#config.pending_body_limit) return this.#busy(response);
    if (isContinued) response.writeContinue();
    this.#receive(request, response);
  }

  #preflight({ headers }: IncomingMessage, response: ServerResponse): void {
    const allowed = corsHeaders(this.#config, headers.origin);
    const isPost = headers['access-control-request-method'] === 'POST';
    if (this.#config.cors_allow_origins === undefined || allowed === undefined || !isPost) return this.#close(response, 403);
    const asked = headers['access-control-request-headers'];
    return this.#close(response, 200, '', {
      'Access-Control-Allow-Methods': 'POST',
      'Access-Control-Allow-Headers': typeof asked === 'string' ? asked : '',
      ...allowed,
    });
  }

  #receive(request: IncomingMessage, response: ServerResponse): void {
    const pieces: Buffer[] = [];
    let size = 0;
    let isOver = false;
    const finish = (): void => {
      isOver = true;
      this.#pendingBytes -= size;
      size = 0;
    };
    request.on('data', (piece: Buffer) => {
      if (isOver) return;
      size += piece.length;
      this.#pendingBytes += piece.length;
      const isTooLarge = size > this.#config.body_size_limit;
      if (isTooLarge || this.#pendingBytes > this.#config.pending_body_limit) {
        finish();
        pieces.length = 0;
        if (isTooLarge) this.#close(response, 413, 'Too large');
        else this.#busy(response);
      } else pieces.push(piece);
    });
    request.once('end', () => {
      if (isOver) return;
      const body = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
      const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
      if (encoding === 'identity' || encoding === '') {
        finish();
        this.#accept(request, response, body);
      } else
        this.#unpacker.unpack(body, encoding, (unpacked) => {
          finish();
          this.#unpacked(request, response, unpacked);
        });
    });
    // The sender went away, or took too long: nothing was taken of an incomplete body.
    request.once('close', () => {
      if (!request.complete && !isOver) finish();
    });
    request.on('error', () => undefined);
  }

  #unpacked(request: IncomingMessage, response: ServerResponse, unpacked: Unpacked): void {
    if (typeof unpacked !== 'string') return this.#accept(request, response, unpacked);
    this.#failed(request, `the body is ${unpacked === 'unknown' ? 'in an unknown encoding' : unpacked}`);
    if (unpacked === 'too large') return this.#close(response, 413, 'Too large');
    return this.#close(response, unpacked === 'unknown' ? 415 : 400);
  }

  #accept(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const { url = '/', headers } = request;
    const question = url.indexOf('?');
    const path = question < 0 ? url : url.slice(0, question);
    const query = question < 0 ? NO_PARAMS : parseQuery(Buffer.from(url.slice(question + 1), 'latin1'));
    const problem = this.#bodies.read(body, headers['content-type'] ?? '', query);
    if (problem?.status !== undefined) {
      this.#bodies.writer.reset();
      this.#failed(request, problem.reason);
      return this.#answer(request, response, problem.status, `400 Bad Request\n${problem.reason}\n`);
    }
    if (problem !== undefined) this.#failed(request, problem.reason);
    const batch = this.#bodies.writer.take(tagOf(path, this.#config.add_tag_prefix));
    if (batch === undefined) return this.#succeed(request, response);
    this.#emit(this.#extended(batch, request, query), request, response);
    return undefined;
  }

  #emit(batch: Batch, request: IncomingMessage, response: ServerResponse): void {
    const isMore = this.#ctx.emit(batch, (failure) => {
      if (failure === undefined) return this.#succeed(request, response);
      this.#failed(request, failure.message);
      return this.#busy(response);
    });
    if (isMore || this.#isFull) return;
    this.#isFull = true;
    void this.#ctx.ready().then(() => (this.#isFull = false));
  }

  /** The fields that the configuration wants from the request itself. */
  #extended(batch: Batch, request: IncomingMessage, query: Params): Batch {
    const { add_http_headers, add_query_params, add_remote_addr } = this.#config;
    if (!add_http_headers && !add_query_params && !add_remote_addr) return batch;
    const fields: [string, unknown][] = [];
    if (add_http_headers)
      for (const [name, value] of Object.entries(request.headers))
        fields.push([`HTTP_${fieldName(name)}`, Array.isArray(value) ? value.join(', ') : value]);
    if (add_query_params) for (const [name, value] of query) fields.push([`QUERY_${fieldName(name)}`, value.toString('utf8')]);
    if (add_remote_addr) fields.push(['REMOTE_ADDR', remoteAddress(request)]);
    return appendToAll(batch, fragment(undefined, Object.fromEntries(fields) as Fields));
  }

  // ---- answers ----------------------------------------------------------------------------------

  #succeed(request: IncomingMessage, response: ServerResponse): void {
    const { respond_with_empty_img: isImage, use_204_response: isEmpty } = this.#config;
    if (isImage) return this.#answer(request, response, 200, EMPTY_GIF, 'image/gif; charset=utf-8');
    return this.#answer(request, response, isEmpty ? 204 : 200, '');
  }

  /** With the connection left open when the sender wants it. */
  #answer(request: IncomingMessage, response: ServerResponse, status: number, body: string | Buffer, type = 'text/plain'): void {
    const isKept = response.shouldKeepAlive && !this.#isDraining;
    const headers = corsHeaders(this.#config, request.headers.origin);
    this.#send(response, status, body, { ...headers, 'Content-Type': type, Connection: isKept ? 'Keep-Alive' : 'close' });
  }

  #close(response: ServerResponse, status: number, body = '', headers: Record<string, string> = {}): void {
    this.#send(response, status, body, { ...headers, 'Content-Type': 'text/plain', Connection: 'close' });
  }

  #busy(response: ServerResponse): void {
    this.#ctx.metrics.busy_requests.add(1);
    this.#close(response, 503, '', { 'Retry-After': RETRY_AFTER });
  }

  #send(response: ServerResponse, status: number, body: string | Buffer, headers: Record<string, string>): void {
    if (response.headersSent || response.destroyed) return;
    this.#ctx.metrics.requests.add(1);
    if (status >= 400 && status < 500) this.#ctx.metrics.refused_requests.add(1);
    const all = { ...headers, 'Content-Length': Buffer.byteLength(body) };
    const reason = REASONS[status];
    if (reason === undefined) response.writeHead(status, all);
    else response.writeHead(status, reason, all);
    response.end(body);
  }

  /** The 1st, 2nd, 4th, 8th ... time: a sender gone wrong does not fill the log. */
  #failed({ url, socket }: IncomingMessage, reason: string): void {
    const times = ++this.#failures;
    if (!this.#config.dump_error_log || (times & (times - 1)) !== 0) return;
    this.#ctx.log.warn(
      { path: url?.slice(0, 200), client: socket.remoteAddress, reason, times },
      'a request was not taken as it was sent',
    );
  }
}

const NO_PARAMS: Params = new Map();

const fieldName = (name: string): string => name.replaceAll('-', '_').toUpperCase();

/** `/app/web/` -> `app.web`. */
function tagOf(path: string, prefix: string | undefined): string {
  const tag = path.replace(/^\//, '').replace(/\/+$/, '').replaceAll('/', '.');
  return prefix === undefined ? tag : `${prefix}.${tag}`;
}

function remoteAddress({ headers, socket }: IncomingMessage): string {
  const forwarded = headers['x-forwarded-for'];
  const first = (Array.isArray(forwarded) ? forwarded[0] : forwarded)?.split(',', 1)[0]?.trim();
  return first === undefined || first === '' ? (socket.remoteAddress ?? '').replace(/^::ffff:/, '') : first;
}
