/** The few HTTP calls that publishing a board takes, with their failures as one sentence each. */
import { withoutSecrets } from '../engine/endpoint.ts';
import { MillraceError, messageOf } from '../engine/errors.ts';
import { undici } from '../engine/net/undici.ts';

export interface HttpOptions {
  /** Base URL; user and password may stand in it. */
  readonly url: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** Elasticsearch's encoded form, instead of user and password. */
  readonly apiKey?: string | undefined;
  /** Certificates of the authority, PEM. */
  readonly ca?: string | undefined;
  readonly verify?: boolean | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  /** undefined when the text is no JSON. */
  readonly json: unknown;
}

export interface HttpClient {
  /** The base URL without secrets, for messages. */
  readonly address: string;
  /**
   * @param path  begins with `/`
   * @throws MillraceError MR_CONNECT when nothing answers or the server fails (5xx), MR_AUTH for 401 and 403
   */
  send(method: 'GET' | 'POST', path: string, body?: string, contentType?: string): Promise<Answer>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
/** Ten times the largest file of boards that Kibana imports would still be answered with less. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export function createHttpClient(options: HttpOptions): HttpClient {
  const base = new URL(options.url);
  const address = withoutSecrets(options.url);
  const { Agent, request } = undici();
  const agent = new Agent({
    headersTimeout: TIMEOUT_MS,
    bodyTimeout: TIMEOUT_MS,
    connect: {
      timeout: 10_000,
      ...(options.ca !== undefined && { ca: options.ca }),
      rejectUnauthorized: options.verify !== false,
    },
  });
  const authorization = authorizationOf(options, base);
  return {
    address,
    async send(method, path, body, contentType) {
      const answer = await ask(method, path, body, contentType);
      if (answer.status === 401 || answer.status === 403) {
        throw new MillraceError(
          'MR_AUTH',
          `${address} does not accept these credentials (${method} ${path.split('?')[0]}: ${answer.status})`,
        );
      }
      if (answer.status >= 500)
        throw new MillraceError('MR_CONNECT', `${address} failed with ${answer.status}: ${firstLine(answer.text)}`);
      return answer;
    },
    async close() {
      await agent.destroy();
    },
  };

  async function ask(method: 'GET' | 'POST', path: string, body?: string, contentType?: string): Promise<Answer> {
    try {
      const response = await request(`${base.origin}${base.pathname.replace(/\/+$/, '')}${path}`, {
        method,
        dispatcher: agent,
        body: body ?? null,
        headers: {
          ...options.headers,
          ...(authorization !== undefined && { authorization }),
          ...(contentType !== undefined && { 'content-type': contentType }),
        },
      });
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        if (bytes > ANSWER_BYTES_MAX)
          throw new MillraceError('MR_PROTOCOL', `${address} answered with more than ${ANSWER_BYTES_MAX} bytes`);
        chunks.push(chunk);
      }
      const text = Buffer.concat(chunks).toString('utf8');
      return { status: response.statusCode, text, json: parse(text) };
    } catch (cause) {
      if (cause instanceof MillraceError) throw cause;
      throw new MillraceError('MR_CONNECT', `cannot connect to ${address}: ${messageOf(cause)}`, { cause });
    }
  }
}

function authorizationOf(options: HttpOptions, base: URL): string | undefined {
  if (options.apiKey !== undefined) return `ApiKey ${options.apiKey}`;
  const user = options.user ?? (base.username === '' ? undefined : decodeURIComponent(base.username));
  if (user === undefined) return undefined;
  const password = options.password ?? decodeURIComponent(base.password);
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

const firstLine = (text: string): string => (text.split('\n').find((line) => line.trim() !== '') ?? '').trim().slice(0, 200);

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not every answer is JSON; who needs it says so
  }
}
