/**
 * The typed API of `@elastic/elasticsearch` for everything but bulk: search, plan and apply. Its check of the product and its
 * versioned media types are off, so that one client speaks to Elasticsearch 7, 8, 9 and OpenSearch 1, 2, 3.
 */
import { Client, type ClientOptions, errors, Transport } from '@elastic/elasticsearch';
import { withoutSecrets } from '../../engine/endpoint.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';

export interface ElasticsearchOptions {
  /** URLs; user and password may stand in them. */
  readonly hosts: readonly string[];
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** The encoded form, as Elasticsearch hands it out. */
  readonly apiKey?: string | undefined;
  /** Certificates of the authority, PEM. */
  readonly ca?: string | undefined;
  /** False: any certificate will do. */
  readonly verify?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
}

/** What answers at the other end. */
export interface Server {
  readonly flavour: 'elasticsearch' | 'opensearch';
  /** As the server says it: `8.19.21`. */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
}

export interface ElasticsearchClient {
  /** First host, without secrets, for messages. */
  readonly address: string;
  /**
   * Asks once and remembers the answer.
   *
   * @throws MillraceError MR_CONNECT, MR_AUTH, or MR_PROTOCOL when it is some other server
   */
  server(signal?: AbortSignal): Promise<Server>;
  /**
   * Runs one call of the typed API.
   *
   * @param what  what is attempted, for the message: `put index template x`
   * @throws MillraceError MR_CONNECT, MR_AUTH, MR_REFUSED or MR_PROTOCOL, in one sentence
   */
  call<T>(what: string, run: (api: Client) => Promise<T>): Promise<T>;
  /** The same, undefined when the server answers 404. */
  find<T>(what: string, run: (api: Client) => Promise<T>): Promise<T | undefined>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 30_000;

/** Sends plain media types and accepts any product; Elasticsearch 7 and OpenSearch refuse the versioned ones. */
class PlainTransport extends Transport {
  constructor(options: ConstructorParameters<typeof Transport>[0]) {
    delete options.productCheck;
    super({
      ...options,
      enableMetaHeader: false,
      vendoredHeaders: {
        jsonContentType: 'application/json',
        ndjsonContentType: 'application/x-ndjson',
        accept: 'application/json',
      },
    });
  }
}

/** Opens nothing: the first call does. */
export function createElasticsearchClient(options: ElasticsearchOptions): ElasticsearchClient {
  const address = withoutSecrets(options.hosts[0] ?? '');
  const api = new Client(clientOptions(options));
  let known: Server | undefined;

  async function call<T>(what: string, run: (api: Client) => Promise<T>): Promise<T> {
    try {
      return await run(api);
    } catch (error) {
      throw explain(error, what, address);
    }
  }
  return {
    address,
    call,
    async server(signal) {
      known ??= await call('ask for the version', async (api) =>
        serverOf(await api.info({}, signal === undefined ? {} : { signal }), address),
      );
      return known;
    },
    async find(what, run) {
      return call(what, async (api) => {
        try {
          return await run(api);
        } catch (error) {
          if (error instanceof errors.ResponseError && error.statusCode === 404) return undefined;
          throw error;
        }
      });
    },
    async close() {
      await api.close();
    },
  };
}

function clientOptions(options: ElasticsearchOptions): ClientOptions {
  const { user, password, apiKey, ca, verify } = options;
  const tls = { ...(ca !== undefined && { ca }), ...(verify === false && { rejectUnauthorized: false }) };
  return {
    nodes: [...options.hosts],
    Transport: PlainTransport,
    enableMetaHeader: false,
    // One try per host: what is sent here may be repeated safely, and a person is waiting.
    maxRetries: options.hosts.length - 1,
    requestTimeout: options.timeoutMs ?? TIMEOUT_MS,
    ...(apiKey === undefined
      ? user !== undefined && { auth: { username: user, password: password ?? '' } }
      : { auth: { apiKey } }),
    ...(Object.keys(tls).length > 0 && { tls }),
  };
}

/** Reads the answer of `GET /`. */
export function serverOf(info: unknown, address: string): Server {
  const version: unknown = isRecord(info) ? info['version'] : undefined;
  const number = isRecord(version) ? version['number'] : undefined;
  const [, major, minor] = (typeof number === 'string' ? /^(\d+)\.(\d+)/.exec(number) : null) ?? [];
  if (!isRecord(version) || typeof number !== 'string' || major === undefined || minor === undefined) {
    throw new MillraceError(
      'MR_PROTOCOL',
      `${address} is neither Elasticsearch nor OpenSearch: its answer to GET / has no version`,
    );
  }
  const flavour = version['distribution'] === 'opensearch' ? 'opensearch' : 'elasticsearch';
  return { flavour, version: number, major: Number(major), minor: Number(minor) };
}

/** Turns what the client throws into one sentence with a code. */
function explain(error: unknown, what: string, address: string): MillraceError {
  if (error instanceof MillraceError) return error;
  if (error instanceof errors.ResponseError) {
    const status = error.statusCode ?? 0;
    const reason = reasonOf(error.body) ?? `status ${status}`;
    if (status === 401) return new MillraceError('MR_AUTH', `${address} does not accept these credentials`, { cause: error });
    if (status === 403)
      return new MillraceError('MR_AUTH', `${address} does not let this user ${what}: ${reason}`, { cause: error });
    const code = status === 429 || status >= 500 ? 'MR_CONNECT' : 'MR_REFUSED';
    return new MillraceError(code, `${address} refused to ${what}: ${reason}`, { cause: error });
  }
  if (error instanceof errors.DeserializationError) {
    return new MillraceError('MR_PROTOCOL', `${address} answered ${what} with something that is not JSON`, { cause: error });
  }
  if (error instanceof errors.ElasticsearchClientError) {
    return new MillraceError('MR_CONNECT', `cannot connect to ${address}: ${messageOf(error)}`, { cause: error });
  }
  return new MillraceError('MR_INTERNAL', `cannot ${what} on ${address}: ${messageOf(error)}`, { cause: error });
}

/** The innermost reason: the outer text of a nested error only says that something failed. */
export function reasonOf(body: unknown): string | undefined {
  let at: unknown = isRecord(body) ? body['error'] : undefined;
  if (typeof at === 'string') return at;
  let reason: string | undefined;
  for (let depth = 0; depth < 16 && isRecord(at); depth++) {
    if (typeof at['reason'] === 'string') reason = at['reason'];
    at = at['caused_by'];
  }
  return reason;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
