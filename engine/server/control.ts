import { timingSafeEqual } from 'node:crypto';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { MillraceError } from '../errors.ts';
import { listenError } from '../net/listen.ts';
import type { Readiness } from '../telemetry/observer.ts';
import { CONTENT_TYPE } from '../telemetry/prometheus.ts';
import { Admission, type ControlFigures } from './admission.ts';
import { addDeadLetterRoutes, type DeadLetterService } from './dead-letters.ts';

export interface ControlOptions {
  readonly bind: string;
  readonly port: number;
  readonly token: string;
  readonly status: () => Promise<unknown>;
  /** Text for Prometheus. */
  readonly metrics: () => Promise<string>;
  readonly ready: () => Promise<Readiness>;
  readonly deadLetters?: DeadLetterService;
  readonly limits?: Partial<typeof CONTROL_LIMITS>;
}

/** Bounds of the control API: size of a body, time for a request, connections, requests that wait for an answer. */
export const CONTROL_LIMITS = { bodyBytes: 64 << 10, requestMs: 10_000, connections: 256, requests: 64 };

/** Names under which a browser on this machine may ask; anything else could be a page that was re-bound to us. */
const LOCAL_HOSTS = new Set(['127.0.0.1', 'localhost', '[::1]']);

/**
 * The control API.
 *
 *     /health          200 as long as the process lives; for everybody
 *     /ready           200, or 503 with the reasons why events cannot be taken; for everybody
 *     /metrics         Prometheus; for everybody on this machine, elsewhere with the token
 *     /api/v1/...      with the token
 *
 * On an address that others reach, `/ready` gives its reasons to those with the token only.
 */
export class ControlServer {
  readonly #app: FastifyInstance;
  readonly #o: ControlOptions;
  readonly #expected: Buffer;
  readonly #admission: Admission;

  constructor(options: ControlOptions) {
    this.#o = options;
    this.#expected = Buffer.from(`Bearer ${options.token}`);
    const limits = { ...CONTROL_LIMITS, ...options.limits };
    const { bodyBytes, requestMs } = limits;
    this.#app = Fastify({
      logger: false,
      bodyLimit: bodyBytes,
      requestTimeout: requestMs,
      // Node looks every 30 seconds by itself.
      http: { connectionsCheckingInterval: Math.ceil(requestMs / 10) },
      forceCloseConnections: true,
    });
    // A longer time for the headers would count for the whole request: Node swaps the two.
    this.#app.server.headersTimeout = requestMs;
    this.#admission = new Admission(this.#app.server, limits);
    this.#app.addHook('onRequest', async (request, reply) => this.#admit(request, reply));
    this.#app.setErrorHandler((error: Error & { statusCode?: number }, _request, reply) => {
      const code = error instanceof MillraceError ? error.code : undefined;
      return reply.code(error.statusCode ?? (code === undefined ? 500 : 400)).send({ error: error.message, code });
    });
    this.#app.get('/health', () => ({ status: 'ok' }));
    this.#app.get('/ready', async (request, reply) => {
      const { ready, reasons } = await options.ready();
      const shown = this.#isLocal || this.#isKnown(request) ? { ready, reasons } : { ready };
      return reply.code(ready ? 200 : 503).send(shown);
    });
    this.#app.get('/metrics', async (_request, reply) =>
      reply.header('content-type', CONTENT_TYPE).send(await options.metrics()),
    );
    this.#app.get('/api/v1/status', () => options.status());
    if (options.deadLetters !== undefined) addDeadLetterRoutes(this.#app, options.deadLetters);
  }

  get #isLocal(): boolean {
    const { bind } = this.#o;
    return bind.startsWith('127.') || bind === '::1' || bind === 'localhost';
  }

  async #admit(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (this.#isLocal && !LOCAL_HOSTS.has(request.host.replace(/:\d+$/, '')))
      return reply.code(421).send({ error: 'this address is for local use' });
    const { pathname } = new URL(request.url, 'http://localhost');
    const isOpen = pathname === '/health' || pathname === '/ready' || (pathname === '/metrics' && this.#isLocal);
    const needsToken = pathname === '/metrics' || pathname.startsWith('/api/');
    if (!isOpen && needsToken && !this.#isKnown(request))
      return reply.code(401).send({ error: 'a token is needed: see the file token in the data directory' });
    // Whether the process lives is said at once, whoever waits.
    if (pathname === '/health' || this.#admission.enter(request.raw, reply.raw)) return undefined;
    return reply.code(503).header('retry-after', '1').send({ error: 'too many requests wait for an answer' });
  }

  #isKnown({ headers }: FastifyRequest): boolean {
    const given = Buffer.from(headers.authorization ?? '');
    return given.length === this.#expected.length && timingSafeEqual(given, this.#expected);
  }

  /** Connections and requests that were refused, and requests that wait. */
  get figures(): ControlFigures {
    return this.#admission.figures;
  }

  /**
   * @returns the URL that it answers on
   * @throws MillraceError MR_PORT_TAKEN or MR_LISTEN
   */
  async start(): Promise<string> {
    const { bind, port } = this.#o;
    try {
      return await this.#app.listen({ host: bind, port });
    } catch (error) {
      throw listenError(error as Error, 'TCP', bind, port);
    }
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }
}
