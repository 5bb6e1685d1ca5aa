import { isIP } from 'node:net';

/** What one request was, as the access log tells it. */
export interface Access {
  readonly action: string;
  readonly method: string;
  readonly url: string;
  readonly httpVersion: string;
  readonly status: number;
  readonly bytes: number | undefined;
  readonly ms: number;
  readonly requestId: string;
  readonly address: string;
  readonly userAgent: string | undefined;
  readonly user: string | undefined;
  readonly failure: { readonly code: string; readonly message: string } | undefined;
}

export interface AccessEvent extends Record<string, unknown> {
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

/** Longest value taken from a request, in characters: a hostile header must not make a huge event. */
const TEXT_MAX = 1024;

/**
 * The event in the Elastic Common Schema, nested; `event.duration` is in nanoseconds.
 *
 * @see https://www.elastic.co/docs/reference/ecs/ecs-field-reference
 */
export function describeAccess(access: Access): AccessEvent {
  const { status, ms, failure, user, bytes, userAgent } = access;
  const url = access.url.slice(0, TEXT_MAX);
  const queryAt = url.indexOf('?');
  const path = queryAt === -1 ? url : url.slice(0, queryAt);
  const isLogin = access.action === 'login';
  return {
    level: status >= 500 ? 'error' : status >= 400 ? 'warn' : 'info',
    message: `${access.method} ${path} ${status} ${Math.round(ms)} ms`,
    fields: {
      event: {
        kind: 'event',
        category: isLogin ? ['authentication', 'web'] : ['web'],
        type: ['access'],
        dataset: 'core.access',
        action: access.action,
        outcome: status < 400 ? 'success' : 'failure',
        duration: Math.round(ms * 1e6),
        ...(failure === undefined ? {} : { reason: failure.code }),
      },
      source: { ip: access.address },
      http: {
        version: access.httpVersion,
        request: { id: access.requestId, method: access.method },
        response: { status_code: status, ...(bytes === undefined ? {} : { bytes }) },
      },
      url: { original: url, path, ...(queryAt === -1 ? {} : { query: url.slice(queryAt + 1) }) },
      ...(user === undefined ? {} : { user: { id: user.slice(0, 64) } }),
      ...(userAgent === undefined ? {} : { user_agent: { original: userAgent.slice(0, TEXT_MAX) } }),
      ...(failure === undefined ? {} : { error: { code: failure.code, message: failure.message.slice(0, TEXT_MAX) } }),
    },
  };
}

/**
 * The client's address: what a trusted proxy said when that is an address, else the other end of the socket.
 * An IPv4 address inside an IPv6 one is written as IPv4.
 */
export function clientAddress(claimed: string, socket: string | undefined): string {
  const address = isIP(claimed) > 0 ? claimed : (socket ?? '');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}
