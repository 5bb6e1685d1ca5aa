/** The library itself, and what is particular about it; loaded by the first call. */
import { Client, type ClientOptions, errors, Transport } from '@elastic/elasticsearch';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import { reasonOf, type ElasticsearchOptions } from './client.ts';

const TIMEOUT_MS = 30_000;

export interface TypedApi {
  readonly api: Client;
  readonly isNotFound: (error: unknown) => boolean;
  /** Turns what the client throws into one sentence with a code. */
  readonly explain: (error: unknown, what: string, address: string) => MillraceError;
}

export const openApi = (options: ElasticsearchOptions): TypedApi => ({
  api: new Client(clientOptions(options)),
  isNotFound: (error) => error instanceof errors.ResponseError && error.statusCode === 404,
  explain,
});

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
