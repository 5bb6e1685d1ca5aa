import { Agent, request } from 'node:http';

export interface Answer {
  readonly status: number;
  /** Undefined when the body is no JSON object or longer than 64 KiB. */
  readonly body: Readonly<Record<string, unknown>> | undefined;
}

export interface Client {
  /** @returns undefined when there was no answer within 5 s, or none at all */
  send(asked: {
    readonly method: string;
    readonly path: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: unknown;
  }): Promise<Answer | undefined>;
  close(): void;
}

const TIMEOUT_MS = 5000;
const BODY_CHARS_MAX = 64 * 1024;

/** @param url  of the service, `http://host:port` */
export function makeClient(url: string, connections: number): Client {
  const { hostname, port } = new URL(url);
  const agent = new Agent({ keepAlive: true, maxSockets: connections, timeout: 2 * TIMEOUT_MS });
  return {
    send: ({ method, path, headers, body }) =>
      new Promise((resolve) => {
        const text = body === undefined ? undefined : JSON.stringify(body);
        const content =
          text === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) };
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const outgoing = request(
          { hostname, port, agent, method, path, headers: { ...headers, ...content }, signal },
          (response) => {
            let received = '';
            response.setEncoding('utf8');
            response.on('data', (chunk: string) => {
              if (received.length <= BODY_CHARS_MAX) received += chunk;
            });
            response.on('end', () => resolve({ status: response.statusCode ?? 0, body: parseObject(received) }));
            response.on('error', () => resolve(undefined));
          },
        );
        outgoing.on('error', () => resolve(undefined));
        outgoing.end(text);
      }),
    close: () => agent.destroy(),
  };
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text.length > BODY_CHARS_MAX || !text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    // A proxy's error page or half an answer: the status is what counts.
    return undefined;
  }
}
