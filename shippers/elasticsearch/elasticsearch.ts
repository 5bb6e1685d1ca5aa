import { defineOutput, type Chunk, type Context, type Output, type Verdict } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import { appendToAll } from '../../engine/events/append.ts';
import { field, fragment } from '../../engine/events/field.ts';
import { timeFormatter } from '../../engine/time-format.ts';
import { BulkClient, type Answer } from './bulk-client.ts';
import { BulkWriter, readBulkAnswer, type BulkBody } from './bulk.ts';
import { config, metrics, type Config } from './settings.ts';

export const elasticsearch = defineOutput({
  name: 'elasticsearch',
  aliases: ['opensearch', 'elasticsearch_data_stream'],
  summary: 'Elasticsearch 7 to 9 and OpenSearch 1 to 3 over _bulk; every event has an id, so that nothing is stored twice.',
  config,
  metrics,
  examples: [
    {
      title: 'A data stream',
      config: '<match **>\n  @type elasticsearch\n  host localhost\n  data_stream_name logs-millrace-default\n</match>',
    },
    {
      title: 'An index per day',
      config:
        '<match app.**>\n  @type elasticsearch\n  hosts http://es1:9200,http://es2:9200\n  logstash_format true\n  logstash_prefix app\n</match>',
    },
  ],
  check(options) {
    const targets = [options.data_stream_name !== undefined, options.index_name !== undefined, options.logstash_format].filter(
      Boolean,
    ).length;
    const problems: string[] = [];
    if (targets > 1) problems.push('name one of data_stream_name, index_name and logstash_format');
    if (options.write_operation === 'index' && options.index_name === undefined && !options.logstash_format)
      problems.push('a data stream takes only write_operation create');
    return problems;
  },
  create: (options, ctx) => new ElasticsearchOutput(options, ctx),
});

const DEFAULT_STREAM = 'logs-millrace-default';
/** Credentials and privileges get mended by people; asking more often only fills logs. */
const WAIT_FOR_PEOPLE_MS = 30_000;

class ElasticsearchOutput implements Output {
  readonly #config: Config;
  readonly #ctx: Context<typeof metrics>;
  readonly #writer: BulkWriter;
  readonly #path: string;
  #client: BulkClient | undefined;
  /** Largest request; lowered when the server finds one too large or is overloaded, raised again by success. */
  #ceiling: number;

  constructor(options: Config, ctx: Context<typeof metrics>) {
    this.#config = options;
    this.#ctx = ctx;
    this.#ceiling = options.bulk_message_request_threshold;
    const fixed = fixedTarget(options);
    this.#writer = new BulkWriter({
      operation: options.write_operation,
      indexOf: fixed === undefined ? indexOf(options) : undefined,
      idKey: options.id_key === undefined ? undefined : field(options.id_key),
      timeKey: options.time_key,
    });
    const query = new URLSearchParams({ filter_path: 'errors,items.*.status,items.*.error' });
    if (options.pipeline !== undefined) query.set('pipeline', options.pipeline);
    this.#path = `${fixed === undefined ? '' : `/${encodeURIComponent(fixed)}`}/_bulk?${query.toString().replaceAll('%2C', ',').replaceAll('*', '%2A')}`;
  }

  start(): Promise<void> {
    this.#client ??= new BulkClient(this.#config, this.#ctx.baseDir);
    return Promise.resolve();
  }

  async probe(signal: AbortSignal): Promise<void> {
    const client = this.#opened();
    const { status } = await client.request('GET', '/', undefined, signal);
    if (status === 401 || status === 403)
      throw new MillraceError('MR_AUTH', `${client.address} refused user, password or API key (status ${status})`);
    if (status >= 400)
      throw new MillraceError(
        'MR_PROTOCOL',
        `${client.address} answered GET / with status ${status}: is it Elasticsearch or OpenSearch?`,
      );
  }

  #opened(): BulkClient {
    if (this.#client === undefined) throw new MillraceError('MR_INTERNAL', 'elasticsearch output was used before it was started');
    return this.#client;
  }

  async write(chunk: Chunk, signal: AbortSignal): Promise<Verdict> {
    const batches = this.#config.include_tag_key
      ? chunk.batches.map((batch) => appendToAll(batch, fragment(undefined, { [this.#config.tag_key]: batch.tag })))
      : chunk.batches;
    const body = this.#writer.write(batches);
    const result: Result = { retry: [], refused: [], reason: undefined, afterMs: undefined };
    let first = 0;
    while (first < chunk.count) {
      const last = this.#cut(body, first);
      const goesOn = await this.#send(body, first, last, result, signal);
      if (!goesOn) {
        // What was not sent yet waits with what has to be sent again.
        for (let index = last; index < chunk.count; index++) result.retry.push(index);
        break;
      }
      first = last;
    }
    return verdictOf(result);
  }

  /** Events from `first` up to the index returned fit into one request; at least one. */
  #cut(body: BulkBody, first: number): number {
    const from = first === 0 ? 0 : (body.ends[first - 1] as number);
    let last = first + 1;
    while (last < body.ends.length && (body.ends[last] as number) - from <= this.#ceiling) last++;
    return last;
  }

  /** @returns false when the server should be left alone for now */
  async #send(body: BulkBody, first: number, last: number, result: Result, signal: AbortSignal): Promise<boolean> {
    const bytes = body.bytes.subarray(first === 0 ? 0 : body.ends[first - 1], body.ends[last - 1]);
    const handles = this.#ctx.metrics;
    handles.requests.add(1);
    handles.bytes_sent.add(bytes.length);
    let answer: Answer;
    try {
      answer = await this.#opened().request('POST', this.#path, bytes, signal);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      return this.#all(first, last, result, error.message, undefined);
    }
    if (answer.status === 200) return this.#items(answer, first, last, result);
    if (answer.status === 413) return this.#tooLarge(body, first, last, result, signal);
    if (answer.status === 429) this.#ceiling = Math.max(64 << 10, bytes.length >> 1);
    const isForPeople = answer.status < 500 && answer.status !== 429 && answer.status !== 408;
    const detail = answer.text.replaceAll(/\s+/g, ' ').slice(0, 300);
    return this.#all(
      first,
      last,
      result,
      `status ${answer.status} from ${this.#opened().address}: ${detail}`,
      isForPeople ? WAIT_FOR_PEOPLE_MS : undefined,
    );
  }

  #all(first: number, last: number, result: Result, reason: string, afterMs: number | undefined): false {
    for (let index = first; index < last; index++) result.retry.push(index);
    result.reason ??= reason;
    result.afterMs ??= afterMs;
    return false;
  }

  #items(answer: Answer, first: number, last: number, result: Result): boolean {
    const outcome = readBulkAnswer(answer.text, last - first, this.#config.write_operation);
    if (outcome === undefined)
      return this.#all(first, last, result, 'the answer does not fit the request: sent again under the same ids', undefined);
    const handles = this.#ctx.metrics;
    handles.duplicates.add(outcome.duplicates);
    handles.retried.add(outcome.again.length);
    handles.refused.add(outcome.refused.length);
    for (const index of outcome.again) result.retry.push(first + index);
    for (const { index, reason } of outcome.refused) result.refused.push({ index: first + index, reason });
    result.reason ??= outcome.reason;
    if (outcome.isOverloaded) this.#ceiling = Math.max(64 << 10, this.#ceiling >> 1);
    else this.#ceiling = Math.min(this.#config.bulk_message_request_threshold, this.#ceiling + (256 << 10));
    return outcome.again.length === 0;
  }

  async #tooLarge(body: BulkBody, first: number, last: number, result: Result, signal: AbortSignal): Promise<boolean> {
    this.#ctx.metrics.too_large.add(1);
    if (last - first === 1) {
      result.refused.push({ index: first, reason: '413: the event alone is larger than the server takes' });
      return true;
    }
    const middle = (first + last) >> 1;
    const from = first === 0 ? 0 : (body.ends[first - 1] as number);
    this.#ceiling = Math.max(64 << 10, (body.ends[middle - 1] as number) - from);
    if (await this.#send(body, first, middle, result, signal)) return this.#send(body, middle, last, result, signal);
    for (let index = middle; index < last; index++) result.retry.push(index);
    return false;
  }

  async stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    await client?.close();
  }
}

interface Result {
  readonly retry: number[];
  readonly refused: { index: number; reason: string }[];
  reason: string | undefined;
  afterMs: number | undefined;
}

function verdictOf({ retry, refused, reason, afterMs }: Result): Verdict {
  if (retry.length === 0 && refused.length === 0) return 'delivered';
  return { retry, refused, ...(reason === undefined ? {} : { reason }), ...(afterMs === undefined ? {} : { afterMs }) };
}

/** The target when it is the same for all events; it then stands in the URL. */
function fixedTarget(options: Config): string | undefined {
  if (options.logstash_format) return undefined;
  const name = options.index_name ?? options.data_stream_name ?? DEFAULT_STREAM;
  return name.includes('${') || name.includes('%') ? undefined : name.toLowerCase();
}

function indexOf(options: Config): (tag: string, seconds: number) => string {
  const { logstash_prefix: prefix, logstash_prefix_separator: separator, logstash_dateformat: date } = options;
  const template = options.logstash_format
    ? `${prefix}${separator}${date}`
    : (options.index_name ?? options.data_stream_name ?? DEFAULT_STREAM);
  const hasDate = template.includes('%');
  const print = timeFormatter({ type: 'string', format: template, utc: true });
  return (tag, seconds) => (hasDate ? print(seconds, 0) : template).replaceAll('${tag}', tag).toLowerCase();
}
