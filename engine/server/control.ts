import { timingSafeEqual } from 'node:crypto';
import Fastify, { type FastifyInstance } from 'fastify';
import { listenError } from '../net/listen.ts';

export interface ControlOptions {
  readonly bind: string;
  readonly port: number;
  readonly token: string;
  readonly status: () => Promise<unknown>;
}

/** Names under which a browser on this machine may ask; anything else could be a page that was re-bound to us. */
const LOCAL_HOSTS = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** The control API: `/health` for everybody, `/api/v1/status` with the token. */
export class ControlServer {
  readonly #app: FastifyInstance;
  readonly #o: ControlOptions;

  constructor(options: ControlOptions) {
    this.#o = options;
    this.#app = Fastify({ logger: false, bodyLimit: 64 << 10, requestTimeout: 10_000, forceCloseConnections: true });
    const expected = Buffer.from(`Bearer ${options.token}`);
    this.#app.addHook('onRequest', async (request, reply) => {
      if (options.bind.startsWith('127.') && !LOCAL_HOSTS.has(request.host.replace(/:\d+$/, '')))
        return reply.code(421).send({ error: 'this address is for local use' });
      if (!request.url.startsWith('/api/')) return undefined;
      const given = Buffer.from(request.headers.authorization ?? '');
      if (given.length === expected.length && timingSafeEqual(given, expected)) return undefined;
      return reply.code(401).send({ error: 'a token is needed: see the file token in the data directory' });
    });
    this.#app.get('/health', () => ({ status: 'ok' }));
    this.#app.get('/api/v1/status', () => options.status());
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
