/** Clients that are not ours: what stands in Elasticsearch, OpenSearch, Graphite and Zabbix, read by others. */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client, Transport } from '@elastic/elasticsearch';
import type { Figures } from './mission-corpus.ts';

/** Documents of one index or data stream. */
export interface Documents extends Figures {
  readonly distinctIds: number;
  readonly withGeo: number;
}

interface Answer {
  readonly hits: { readonly total: number | { readonly value: number } };
  readonly aggregations: {
    readonly statuses: { readonly buckets: readonly { readonly key: number; readonly doc_count: number }[] };
    readonly addresses: { readonly value: number };
    readonly located: { readonly doc_count: number };
  };
}

const QUERY = {
  size: 0,
  track_total_hits: true,
  aggs: {
    statuses: { terms: { field: 'http.response.status_code', size: 100 } },
    // Exact below 40,000.
    addresses: { cardinality: { field: 'source.ip', precision_threshold: 40_000 } },
    located: { filter: { exists: { field: 'source.geo.country_iso_code' } } },
  },
};

function documentsOf({ hits, aggregations }: Answer, ids: readonly string[]): Documents {
  const { total } = hits;
  return {
    lines: typeof total === 'number' ? total : total.value,
    distinctIds: new Set(ids).size,
    distinctAddresses: aggregations.addresses.value,
    byStatus: Object.fromEntries(
      aggregations.statuses.buckets
        .map(({ key, doc_count }): [string, number] => [String(key), doc_count])
        .sort(([a], [b]) => a.localeCompare(b)),
    ),
    withGeo: aggregations.located.doc_count,
  };
}

/** The client of version 9 with plain media types: OpenSearch and Elasticsearch 8 refuse its own. */
class PlainTransport extends Transport {
  constructor(options: ConstructorParameters<typeof Transport>[0]) {
    const { productCheck: _check, ...rest } = options;
    super({
      ...rest,
      vendoredHeaders: {
        jsonContentType: 'application/json',
        ndjsonContentType: 'application/x-ndjson',
        accept: 'application/json',
      },
    });
  }
}

const PAGE = 5000;

/** Through `@elastic/elasticsearch`. */
export async function readNewClient(url: string, index: string): Promise<Documents> {
  const client = new Client({ node: url, Transport: PlainTransport, enableMetaHeader: false });
  try {
    await client.indices.refresh({ index });
    const answer = (await client.search({ index, ...QUERY })) as unknown as Answer;
    const ids: string[] = [];
    let page = await client.search({ index, size: PAGE, scroll: '1m', sort: ['_doc'], _source: false });
    while (page.hits.hits.length > 0) {
      ids.push(...page.hits.hits.map(({ _id }) => _id ?? ''));
      page = await client.scroll({ scroll_id: page._scroll_id ?? '', scroll: '1m' });
    }
    return documentsOf(answer, ids);
  } finally {
    await client.close();
  }
}

/** Documents that have all of these values. */
export async function countMatches(url: string, index: string, values: Readonly<Record<string, string>>): Promise<number> {
  const client = new Client({ node: url, Transport: PlainTransport, enableMetaHeader: false });
  try {
    await client.indices.refresh({ index });
    const filter = Object.entries(values).map(([field, value]) => ({ term: { [field]: value } }));
    return (await client.count({ index, query: { bool: { filter } } })).count;
  } finally {
    await client.close();
  }
}

interface OldClient {
  readonly indices: {
    refresh(options: object): Promise<unknown>;
    get(options: object): Promise<Readonly<Record<string, unknown>>>;
  };
  search(options: object): Promise<Answer & OldPage>;
  scroll(options: object): Promise<OldPage>;
  close(): void;
}
interface OldPage {
  readonly _scroll_id: string;
  readonly hits: { readonly hits: readonly { readonly _id: string }[] };
}

/** Through `elasticsearch` 16.7.3, the client of its day for Elasticsearch 7; also the names of the indices. */
export async function readOldClient(host: string, index: string): Promise<Documents & { readonly indices: readonly string[] }> {
  const { Client: Old } = createRequire(import.meta.url)('elasticsearch') as { Client: new (options: object) => OldClient };
  const client = new Old({ host, apiVersion: '7.7', log: [] });
  try {
    await client.indices.refresh({ index });
    const answer = await client.search({ index, body: QUERY });
    const ids: string[] = [];
    let page: OldPage = await client.search({ index, size: PAGE, scroll: '1m', body: { sort: ['_doc'], _source: false } });
    while (page.hits.hits.length > 0) {
      ids.push(...page.hits.hits.map(({ _id }) => _id));
      page = await client.scroll({ body: { scroll_id: page._scroll_id, scroll: '1m' } });
    }
    return { ...documentsOf(answer, ids), indices: Object.keys(await client.indices.get({ index })) };
  } finally {
    client.close();
  }
}

interface Series {
  readonly tags: Readonly<Record<string, string>>;
  readonly datapoints: readonly (readonly [value: number | null, seconds: number])[];
}

/** Sums of the points of each series, by one of its tags, as graphite-web renders them. */
export async function renderSums(web: string, target: string, by: string): Promise<Readonly<Record<string, number>>> {
  const query = new URLSearchParams({ target, from: '-30min', format: 'json', noCache: '1' });
  const series = (await (await fetch(`${web}/render?${query.toString()}`)).json()) as Series[];
  const sums: Record<string, number> = {};
  for (const { tags, datapoints } of series) {
    const label = tags[by] ?? '';
    sums[label] = datapoints.reduce((sum, [value]) => sum + (value ?? 0), sums[label] ?? 0);
  }
  return Object.fromEntries(Object.entries(sums).sort(([a], [b]) => a.localeCompare(b)));
}

export type Row = Readonly<Record<string, unknown>>;

/** Through `zabbix-promise`, in a process with a time limit. */
export async function readZabbix(
  { url, user, password }: { readonly url: string; readonly user: string; readonly password: string },
  method: string,
  params: object,
): Promise<Row[]> {
  const script = fileURLToPath(new URL('zabbix-reader.ts', import.meta.url));
  const api = url.endsWith('.php') ? url : `${url}/api_jsonrpc.php`;
  const run = await promisify(execFile)(process.execPath, [script, api, user, password, method, JSON.stringify(params)], {
    timeout: 20_000,
  });
  return JSON.parse(run.stdout) as Row[];
}
