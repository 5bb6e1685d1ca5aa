/**
 * The typed API of `@elastic/elasticsearch` for everything but bulk: search, plan and apply. Its check of the product and its
 * versioned media types are off, so that one client speaks to Elasticsearch 7, 8, 9 and OpenSearch 1, 2, 3.
 */
import type { Client } from '@elastic/elasticsearch';
import { withoutSecrets } from '../../engine/endpoint.ts';
import { MillraceError } from '../../engine/errors.ts';
import type { TypedApi } from './typed-api.ts';

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

/** Opens nothing: the first call does. */
export function createElasticsearchClient(options: ElasticsearchOptions): ElasticsearchClient {
  const address = withoutSecrets(options.hosts[0] ?? '');
  let opened: Promise<TypedApi> | undefined;
  let known: Server | undefined;
  // The library takes a quarter of a second to load, which a command that asks no server must not pay.
  const open = (): Promise<TypedApi> => (opened ??= import('./typed-api.ts').then(({ openApi }) => openApi(options)));

  async function call<T>(what: string, run: (api: Client) => Promise<T>): Promise<T> {
    const { api, explain } = await open();
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
      const { isNotFound } = await open();
      return call(what, async (api) => {
        try {
          return await run(api);
        } catch (error) {
          if (isNotFound(error)) return undefined;
          throw error;
        }
      });
    },
    async close() {
      if (opened !== undefined) await (await opened).api.close();
    },
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
