import type { Agent } from 'undici';
import { withoutSecrets } from '../../engine/endpoint.ts';
import { MillraceError } from '../../engine/errors.ts';
import { undici } from '../../engine/net/undici.ts';

export interface ZabbixApiOptions {
  /** Of the frontend (`http://zabbix.example.org/zabbix`) or of `api_jsonrpc.php` itself. */
  readonly url: string;
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** An API token, instead of user and password. */
  readonly token?: string | undefined;
  /** Bounds one call. */
  readonly timeoutMs?: number | undefined;
}

export interface ZabbixVersion {
  readonly major: number;
  readonly minor: number;
  readonly text: string;
}

/** An export of a large template is a few MiB. */
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 30_000;

export const isAtLeast = (version: ZabbixVersion, major: number, minor: number): boolean =>
  version.major > major || (version.major === major && version.minor >= minor);

/**
 * A session with the JSON-RPC interface of Zabbix 6.0 or later.
 *
 * The session travels in the body (`auth`) up to 6.2 and in a header from 6.4 on; 6.0 ignores the header, 7.2 refuses the
 * member. The version is asked for without either: servers refuse credentials there.
 */
export class ZabbixApi {
  readonly #url: string;
  readonly #shown: string;
  readonly #timeoutMs: number;
  readonly #agent: Agent;
  #session: string | undefined;
  #isLoggedIn = false;
  #id = 0;
  version: ZabbixVersion = { major: 0, minor: 0, text: '' };

  private constructor(options: ZabbixApiOptions) {
    this.#url = endpointOf(options.url);
    this.#shown = withoutSecrets(this.#url);
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    const { Agent } = undici();
    this.#agent = new Agent({ connectTimeout: this.#timeoutMs, connections: 2 });
  }

  /** Asks for the version and logs in; close what it resolves to. */
  static async connect(options: ZabbixApiOptions): Promise<ZabbixApi> {
    const api = new ZabbixApi(options);
    try {
      await api.#login(options);
      return api;
    } catch (cause) {
      await api.close();
      throw cause;
    }
  }

  /** Where it speaks to, for messages: without user, password and query. */
  get shown(): string {
    return this.#shown;
  }

  /** @throws MillraceError MR_CONNECT, MR_AUTH, MR_PROTOCOL, or MR_REFUSED with the server's reason */
  async call(method: string, params: unknown): Promise<unknown> {
    const usesHeader = isAtLeast(this.version, 6, 4);
    const session = this.#session;
    const auth = session !== undefined && !usesHeader ? { auth: session } : {};
    const headers: Record<string, string> = { 'content-type': 'application/json-rpc' };
    if (session !== undefined && usesHeader) headers['authorization'] = `Bearer ${session}`;
    const answer = await this.#post(JSON.stringify({ jsonrpc: '2.0', method, params, id: ++this.#id, ...auth }), headers);
    if (typeof answer === 'object' && answer !== null && 'error' in answer) throw this.#errorOf(method, answer.error);
    if (typeof answer === 'object' && answer !== null && 'result' in answer) return answer.result;
    throw new MillraceError('MR_PROTOCOL', `${this.#shown} did not answer as a Zabbix API does`);
  }

  /** A `get`: rows as objects. */
  async list(method: string, params: unknown): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const rows = await this.call(method, params);
    if (Array.isArray(rows)) return rows.filter((row): row is Record<string, unknown> => typeof row === 'object' && row !== null);
    throw new MillraceError('MR_PROTOCOL', `${this.#shown} answered ${method} with something that is not a list`);
  }

  /** Works twice. */
  async close(): Promise<void> {
    if (this.#isLoggedIn) {
      this.#isLoggedIn = false;
      // A session that cannot be ended runs out by itself.
      await this.call('user.logout', []).catch(() => undefined);
    }
    if (!this.#agent.closed) await this.#agent.close();
  }

  async #login({ user, password, token }: ZabbixApiOptions): Promise<void> {
    const text = await this.call('apiinfo.version', []);
    const found = typeof text === 'string' ? /^(\d{1,3})\.(\d{1,3})\b/.exec(text) : null;
    if (found === null || typeof text !== 'string')
      throw new MillraceError('MR_PROTOCOL', `${this.#shown} did not say its Zabbix version`);
    this.version = { major: Number(found[1]), minor: Number(found[2]), text };
    if (!isAtLeast(this.version, 6, 0))
      throw new MillraceError('MR_PROTOCOL', `Zabbix ${text} at ${this.#shown} is too old, 6.0 is the first that works`);
    if (token !== undefined) {
      this.#session = token;
      // A wrong token shows at the first call that needs one; here it gets a clear sentence.
      await this.call('hostgroup.get', { output: ['groupid'], limit: 1 });
      return;
    }
    if (user === undefined || password === undefined)
      throw new MillraceError('MR_AUTH', `neither user and password nor a token are configured for ${this.#shown}`);
    const session = await this.call('user.login', { username: user, password });
    if (typeof session !== 'string') throw new MillraceError('MR_PROTOCOL', `${this.#shown} did not answer as a Zabbix API does`);
    this.#session = session;
    this.#isLoggedIn = true;
  }

  async #post(body: string, headers: Record<string, string>): Promise<unknown> {
    const signal = AbortSignal.timeout(this.#timeoutMs);
    let status: number;
    let text: string;
    try {
      const response = await undici().request(this.#url, { method: 'POST', body, headers, dispatcher: this.#agent, signal });
      status = response.statusCode;
      text = await readText(response.body);
    } catch (cause) {
      if (cause instanceof MillraceError) throw cause;
      const why = signal.aborted ? `no answer within ${this.#timeoutMs} ms` : reasonOf(cause);
      throw new MillraceError('MR_CONNECT', `cannot reach Zabbix at ${this.#shown}: ${why}`, { cause });
    }
    try {
      return JSON.parse(text) as unknown;
    } catch {
      // The page itself may be anything; what helps is where it came from and its status.
      const what = status === 200 ? 'no JSON' : `HTTP status ${status}`;
      throw new MillraceError('MR_PROTOCOL', `${this.#shown} answered with ${what}: is it the address of a Zabbix frontend?`);
    }
  }

  #errorOf(method: string, error: unknown): MillraceError {
    const { data, message } = typeof error === 'object' && error !== null ? (error as { data?: unknown; message?: unknown }) : {};
    const reason = [data, message].find((text): text is string => typeof text === 'string' && text !== '') ?? 'no reason given';
    const text = reason.slice(0, 500).replace(/\.$/, '');
    if (method === 'user.login')
      return new MillraceError(
        'MR_AUTH',
        `Zabbix at ${this.#shown} refused the log-in: wrong user or password, or the account is blocked for a while`,
      );
    if (/not authori[sz]ed|session terminated|re-login/i.test(text))
      return new MillraceError(
        'MR_AUTH',
        `Zabbix at ${this.#shown} does not accept the token or session (some web servers strip the Authorization header)`,
      );
    return new MillraceError('MR_REFUSED', `Zabbix refused ${method}: ${text}`);
  }
}

/** `http://zabbix.example.org/zabbix` means the script below it. */
function endpointOf(text: string): string {
  const url = URL.parse(text);
  // `target.ts` lets nothing else through; undici says what is wrong with it.
  if (url === null) return text;
  if (!url.pathname.endsWith('.php')) url.pathname = `${url.pathname.replace(/\/+$/, '')}/api_jsonrpc.php`;
  return url.href;
}

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of body) {
    size += part.length;
    if (size > ANSWER_BYTES_MAX)
      throw new MillraceError('MR_PROTOCOL', `Zabbix sent an answer of more than ${ANSWER_BYTES_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  const { code } = cause as NodeJS.ErrnoException;
  return code ?? cause.message;
}
