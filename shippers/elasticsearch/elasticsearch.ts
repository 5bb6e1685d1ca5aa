import { defineOutput, type Chunk, type Context, type Output, type Verdict } from '../../engine/component.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import { appendToAll } from '../../engine/events/append.ts';
import { field, fragment } from '../../engine/events/field.ts';
import { timeFormatter } from '../../engine/time-format.ts';
import { FILTER_PATH, FILTER_PATH_WITH_INDEX } from './bulk-answer.ts';
import { BulkWriter } from './bulk.ts';
import { WAITING, type Waiting } from './decide.ts';
import { deliver, type Reply, type Report } from './deliver.ts';
import { Nodes } from './nodes.ts';
import { Pace } from './pace.ts';
import { Repeats } from './repeats.ts';
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
    {
      title: 'A cluster with TLS and an API key, four chunks at a time',
      config:
        '<match **>\n  @type elasticsearch\n  hosts https://es1:9200,https://es2:9200,https://es3:9200\n  ca_file /etc/millrace/ca.pem\n  api_key "#{ENV[\'ES_API_KEY\']}"\n  <buffer>\n    flush_thread_count 4\n    retry_timeout 7d\n  </buffer>\n</match>',
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
    if ((options.client_cert === undefined) !== (options.client_key === undefined))
      problems.push('client_cert and client_key belong together');
    const { ssl_min_version: oldest, ssl_max_version: newest } = options;
    if (oldest !== undefined && newest !== undefined && oldest > newest)
      problems.push('ssl_min_version is newer than ssl_max_version');
    if (options.api_key !== undefined && options.user !== undefined) problems.push('give either api_key or user and password');
    return problems;
  },
  create: (options, ctx) => new ElasticsearchOutput(options, ctx),
});

const DEFAULT_STREAM = 'logs-millrace-default';
/** Credentials, blocks and pipelines get mended by people; asking more often only fills logs. */
const WAIT_FOR_PEOPLE_MS = 30_000;
/** Servers quote whole values in their reasons, so an answer may be longer than its request. */
const ANSWER_BYTES = 8 << 20;
const SMALL_ANSWER_BYTES = 1 << 20;
const MAX_NAMES = 1000;

class ElasticsearchOutput implements Output {
  readonly #config: Config;
  readonly #ctx: Context<typeof metrics>;
  readonly #writer: BulkWriter;
  readonly #pace: Pace;
  readonly #repeats: Repeats;
  /** Names of indices that action lines or the URL have named, to tell them from those that a stream has made. */
  readonly #named = new Set<string>();
  readonly #target: string;
  readonly #query: string;
  #nodes: Nodes | undefined;
  #waiting: Waiting | undefined;

  constructor(options: Config, ctx: Context<typeof metrics>) {
    this.#config = options;
    this.#ctx = ctx;
    const fixed = fixedTarget(options);
    this.#writer = new BulkWriter({
      operation: options.write_operation,
      indexOf: fixed === undefined ? this.#noting(indexOf(options)) : undefined,
      idKey: options.id_key === undefined ? undefined : field(options.id_key),
      timeKey: options.time_key,
    });
    if (fixed !== undefined) this.#named.add(fixed);
    this.#pace = new Pace({
      requestBytes: options.bulk_message_request_threshold,
      inFlight: options.connections * (options.hosts?.length ?? 1),
      onChange: (inFlight, requestBytes) => {
        ctx.metrics.in_flight_limit.set(inFlight);
        ctx.metrics.request_bytes_limit.set(requestBytes);
      },
    });
    this.#repeats = new Repeats({ startedMs: ctx.clock.now(), createdMs: (index) => this.#createdMs(index) });
    this.#target = `${fixed === undefined ? '' : `/${encodeURIComponent(fixed)}`}/_bulk`;
    this.#query = options.pipeline === undefined ? '' : `&pipeline=${encodeURIComponent(options.pipeline)}`;
  }

  #noting(indexOfEvent: (tag: string, seconds: number) => string): (tag: string, seconds: number) => string {
    return (tag, seconds) => {
      const name = indexOfEvent(tag, seconds);
      if (this.#named.size >= MAX_NAMES) this.#named.clear();
      this.#named.add(name);
      return name;
    };
  }

  start(): Promise<void> {
    const { log, metrics: handles, clock, baseDir } = this.#ctx;
    this.#nodes ??= new Nodes({
      config: this.#config,
      baseDir,
      clock,
      random: Math.random,
      onAlive(alive, { address, isAlive, reason }) {
        handles.nodes_alive.set(alive);
        if (isAlive) log.info({ address }, 'node is back');
        else log.warn({ address, reason, alive }, 'node does not answer and is left alone for a while');
      },
    });
    handles.nodes_alive.set(this.#nodes.alive);
    return Promise.resolve();
  }

  async probe(signal: AbortSignal): Promise<void> {
    const { status, from } = await this.#opened().request('GET', '/', undefined, SMALL_ANSWER_BYTES, signal);
    if (status === 401 || status === 403)
      throw new MillraceError('MR_AUTH', `${from} refused user, password or API key (status ${status})`);
    if (status >= 400)
      throw new MillraceError('MR_PROTOCOL', `${from} answered GET / with status ${status}: is it Elasticsearch or OpenSearch?`);
  }

  #opened(): Nodes {
    if (this.#nodes === undefined) throw new MillraceError('MR_INTERNAL', 'elasticsearch output was used before it was started');
    return this.#nodes;
  }

  async write(chunk: Chunk, signal: AbortSignal): Promise<Verdict> {
    const { clock } = this.#ctx;
    const batches = this.#config.include_tag_key
      ? chunk.batches.map((batch) => appendToAll(batch, fragment(undefined, { [this.#config.tag_key]: batch.tag })))
      : chunk.batches;
    const body = this.#writer.write(batches);
    const sinceMs = this.#repeats.since(chunk.batches);
    const sentMs = sinceMs ?? clock.now();
    // Where an event may have gone before, the name of the index that takes it now matters.
    const filter = sinceMs === undefined ? FILTER_PATH : FILTER_PATH_WITH_INDEX;
    const path = `${this.#target}?filter_path=${filter}${this.#query}`;
    const report = await deliver(body, {
      operation: this.#config.write_operation,
      pace: this.#pace,
      send: (bytes) => this.#send(path, bytes, signal),
      now: () => clock.now(),
      signal,
    });
    // Only when every request was read to its end: one that was given up may still be on its way.
    if (report.unanswered === 0 && report.halved === 0 && report.retry.length === 0 && !signal.aborted) this.#writer.reuse(body);
    this.#repeats.forget(chunk.batches);
    if (report.isUnknown && report.retry[0] !== undefined) this.#repeats.remember(chunk.batches, report.retry[0], sentMs);
    if (sinceMs !== undefined) await this.#countRepeats(report, sinceMs);
    this.#book(report);
    return this.#verdict(report);
  }

  async #send(path: string, bytes: Buffer, signal: AbortSignal): Promise<Reply> {
    const handles = this.#ctx.metrics;
    handles.requests.add(1);
    handles.bytes_sent.add(bytes.length);
    try {
      return await this.#opened().request('POST', path, bytes, ANSWER_BYTES + 4 * bytes.length, signal);
    } catch (error) {
      return { failure: messageOf(error) };
    }
  }

  async #createdMs(index: string): Promise<number | undefined> {
    try {
      const path = `/${encodeURIComponent(index)}/_settings?filter_path=*.settings.index.creation_date`;
      const { status, text } = await this.#opened().request('GET', path, undefined, SMALL_ANSWER_BYTES, this.#ctx.signal);
      const date = status === 200 ? /"creation_date":"(\d+)"/.exec(text)?.[1] : undefined;
      return date === undefined ? undefined : Number(date);
    } catch {
      // Only a figure hangs on it: unknown counts as "may be there twice".
      return undefined;
    }
  }

  async #countRepeats(report: Report, sinceMs: number): Promise<void> {
    const events = await this.#repeats.count(report.storedIn, sinceMs, (index) => this.#named.has(index));
    if (events === 0) return;
    this.#ctx.metrics.possible_repeats.add(events);
    this.#ctx.log.warn({ events }, 'an answer was lost and the stream has rolled over since: these events may be there twice');
  }

  #book(report: Report): void {
    const handles = this.#ctx.metrics;
    handles.duplicates.add(report.repeated);
    handles.failure_store.add(report.inFailureStore);
    handles.too_large.add(report.halved);
    handles.no_answer.add(report.unanswered);
    handles.retried.add(report.retry.length);
    handles.refused.add(report.refused.length);
    for (const [cause, events] of report.retryCauses) {
      if (cause === 'overload') handles.retried_overload.add(events);
      else if (cause === 'no answer') handles.retried_no_answer.add(events);
      else if (cause in WAITING) handles.retried_waiting.add(events);
    }
    for (const { cause } of report.refused) {
      if (cause === 'size') handles.refused_size.add(1);
      else if (cause === 'malformed') handles.refused_malformed.add(1);
      else handles.refused_mapping.add(1);
    }
  }

  #verdict({ retry, refused, reason, afterMs, waiting }: Report): Verdict {
    this.#say(waiting, reason);
    if (retry.length === 0 && refused.length === 0) return 'delivered';
    if (waiting === undefined)
      return { retry, refused, ...(reason !== undefined && { reason }), ...(afterMs !== undefined && { afterMs }) };
    return {
      retry,
      refused,
      reason: `${WAITING[waiting]}: ${reason ?? ''}`,
      afterMs: Math.max(afterMs ?? 0, WAIT_FOR_PEOPLE_MS),
      state: 'stalled',
    };
  }

  /** Once when it begins and once when it ends, not with every try. */
  #say(waiting: Waiting | undefined, reason: string | undefined): void {
    if (waiting === this.#waiting) return;
    if (waiting !== undefined) this.#ctx.log.error({ reason }, `${WAITING[waiting]}; events wait until somebody mends it`);
    else this.#ctx.log.info({}, 'what kept events waiting has been mended');
    this.#waiting = waiting;
  }

  async stop(): Promise<void> {
    const nodes = this.#nodes;
    this.#nodes = undefined;
    await nodes?.close();
  }
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
