import { randomUUID } from 'node:crypto';
import { fastify, type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { clientAddress, describeAccess } from './access-log.ts';
import type { Accounts } from './accounts.ts';
import type { Bank } from './bank.ts';
import { ServiceError, type ErrorCode } from './errors.ts';
import type { Ledger } from './ledger.ts';
import type { Logs } from './logging.ts';
import type { Metrics } from './metrics.ts';
import type { Orders } from './orders.ts';
import type { Payments } from './payments.ts';
import { addRoutes } from './routes.ts';

export interface AppOptions {
  readonly accounts: Accounts;
  readonly orders: Orders;
  readonly payments: Payments;
  readonly ledger: Ledger;
  readonly bank: Bank;
  readonly logs: Logs;
  readonly metrics: Metrics;
  /** Whose X-Forwarded-For is believed: `loopback`, `none`, or addresses and networks with commas between. */
  readonly trustProxy: string;
  /** True opens POST /faults, which makes the bank fail: for demonstrations. */
  readonly faults: boolean;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Who is signed in, or tries to. */
    user: string | undefined;
    failure: { readonly code: string; readonly message: string } | undefined;
    counted: boolean;
  }
  interface FastifyContextConfig {
    /** The name of the route in logs and metrics. */
    action?: string;
  }
}

export interface App {
  readonly server: FastifyInstance;
  inFlight(): number;
}

/** Answers 503 beyond it rather than let everybody wait. */
const IN_FLIGHT_MAX = 200;
const BODY_BYTES_MAX = 16 * 1024;

export function makeApp(options: AppOptions): App {
  const { trustProxy, metrics, logs } = options;
  const server = fastify({
    logger: false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: 10_000,
    keepAliveTimeout: 10_000,
    trustProxy: trustProxy === 'none' ? false : trustProxy,
    genReqId: () => randomUUID(),
    forceCloseConnections: 'idle',
    // 1 is not "1" where money is concerned, and a field that means nothing is a mistake of the caller.
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
  });
  server.server.maxConnections = 1000;
  let inFlight = 0;

  server.decorateRequest('user', undefined);
  server.decorateRequest('failure', undefined);
  server.decorateRequest('counted', false);

  server.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-request-id', request.id);
    if (inFlight >= IN_FLIGHT_MAX) {
      done(new ServiceError('overloaded', 'too many requests at once', { retryAfter: 1 }));
      return;
    }
    inFlight += 1;
    request.counted = true;
    done();
  });
  const leave = (request: FastifyRequest): void => {
    if (request.counted) inFlight -= 1;
    request.counted = false;
  };
  server.addHook('onRequestAbort', (request, done) => {
    leave(request);
    done();
  });
  server.addHook('onResponse', (request, reply, done) => {
    leave(request);
    const action = request.routeOptions.config.action ?? 'unknown';
    metrics.request(action, reply.statusCode, reply.elapsedTime);
    // Probes every few seconds are nobody's visit.
    if (action !== 'health') logAccess(logs, action, request, reply);
    done();
  });
  server.setErrorHandler((error: unknown, request, reply) => answerError(logs, error, request, reply));
  server.setNotFoundHandler((request, reply) =>
    answerError(logs, new ServiceError('not_found', `no ${request.method} ${request.url.slice(0, 200)}`), request, reply),
  );
  addRoutes(server, options);
  return { server, inFlight: () => inFlight };
}

function logAccess(logs: Logs, action: string, request: FastifyRequest, reply: FastifyReply): void {
  const bytes = Number(reply.getHeader('content-length'));
  const { level, message, fields } = describeAccess({
    action,
    method: request.method,
    url: request.url,
    httpVersion: request.raw.httpVersion,
    status: reply.statusCode,
    bytes: Number.isFinite(bytes) ? bytes : undefined,
    ms: reply.elapsedTime,
    requestId: request.id,
    address: clientAddress(request.ip, request.socket.remoteAddress),
    userAgent: request.headers['user-agent'],
    user: request.user,
    failure: request.failure,
  });
  logs.access[level](fields, message);
}

function answerError(logs: Logs, error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = error instanceof ServiceError ? error : translate(error);
  request.failure = { code: known.code, message: known.message };
  if (known.code === 'internal' || known.code === 'audit_unavailable') {
    const cause = known.cause instanceof Error ? known.cause : known;
    const fields = { type: cause.name, message: cause.message, stack_trace: cause.stack };
    logs.app.error({ error: fields, http: { request: { id: request.id } } }, 'a request failed');
  }
  if (known.retryAfter !== undefined) void reply.header('retry-after', String(known.retryAfter));
  const message = known.code === 'internal' ? 'internal error' : known.message;
  return reply.code(known.status).send({ error: { code: known.code, message } });
}

const FASTIFY_CODES: Readonly<Record<number, ErrorCode>> = { 413: 'too_large', 415: 'media_type' };

/** What fastify itself refuses is the caller's mistake; everything else is ours. */
function translate(error: unknown): ServiceError {
  const { statusCode, message } = error as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new ServiceError(FASTIFY_CODES[statusCode] ?? 'invalid', message ?? 'the request is not understood');
  }
  return new ServiceError('internal', 'internal error', { cause: error });
}
