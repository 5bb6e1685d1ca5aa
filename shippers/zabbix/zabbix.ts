import { hostname } from 'node:os';
import * as z from 'zod';
import { defineOutput, type Chunk, type Context, type Output, type Verdict } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import { field, type Field } from '../../engine/events/field.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { address, bool, duration, integer, list, port, text } from '../../engine/units.ts';
import { parseServers, SenderClient, type Server } from './client.ts';
import { isFailure, parseAddress, TRAPPER_PORT, type SenderItem } from './protocol.ts';
import { renderAny, splitBatches, spreadNanoseconds } from './values.ts';

const config = z.object({
  host: address().default('127.0.0.1').describe('Server or proxy of Zabbix'),
  port: port().default(TRAPPER_PORT).describe('Trapper port of it'),
  servers: list()
    .optional()
    .describe('Nodes of a cluster, `host:port,host:port`: the first that answers is used, instead of host and port'),
  zabbix_host: text().optional().describe('Host in Zabbix that the values belong to; default: the name of this machine'),
  host_key: text().optional().describe('Field that holds the host in Zabbix; where it is missing, zabbix_host'),
  key: text().optional().describe('Item key of every event'),
  key_name_key: text().optional().describe('Field that holds the item key'),
  value_key: text().default('value').describe('Field that holds the value, with key or key_name_key'),
  name_keys: list()
    .optional()
    .describe('Fields that are values themselves, each under its own name as item key (fluent-plugin-zabbix)'),
  prefix: text().default('').describe('Text in front of every item key, with a dot between; `${tag}` is the tag of the event'),
  use_event_time: bool()
    .default(true)
    .describe('Time of the event as time of its value; false: the server takes the time of arrival'),
  future_limit: duration({ min: 0 })
    .default(60_000)
    .describe('Time that an event may lie ahead: a server keeps a later one as the last value for good'),
  compress: bool().default(false).describe('Compression of requests'),
  by_host: bool().default(false).describe('One host in each request, as groups of proxies need'),
  batch_records: integer({ min: 1, max: 10_000 }).default(250).describe('Number of values in one request'),
  timeout: duration({ min: 1 }).default(10_000).describe('Time for one request, from connecting to the answer'),
  unknown_retries: integer({ min: 0, max: 100 })
    .default(3)
    .describe('Tries for values that the server did not take: it learns of new items once a minute'),
  unknown_retry_wait: duration({ min: 0 }).default(30_000).describe('Time between those tries'),
});
type Config = z.output<typeof config>;

const metrics = {
  values: { type: 'counter', unit: 'values', help: 'Values that a server took' },
  refused: { type: 'counter', unit: 'values', help: 'Values that a server did not take at last' },
  requests: { type: 'counter', unit: 'requests', help: 'Requests answered' },
} as const;

export const zabbix = defineOutput({
  name: 'zabbix',
  summary: 'Sends values to the trapper items of Zabbix 6.0 and later, by its sender protocol',
  config,
  metrics,
  examples: [
    {
      title: 'One item key and host per event',
      config:
        '<match metrics.**>\n  @type zabbix\n  host 127.0.0.1\n  zabbix_host shop-web\n  key_name_key name\n  value_key value\n</match>',
    },
    {
      title: 'Two fields of each event, as items `nginx.access.bytes` and `nginx.access.duration`',
      config:
        '<match nginx.access>\n  @type zabbix\n  host 127.0.0.1\n  host_key hostname\n  name_keys bytes,duration\n  prefix ${tag}\n</match>',
    },
  ],
  check(config) {
    const ways = [config.key, config.key_name_key, config.name_keys].filter((way) => way !== undefined).length;
    return [
      ...(ways === 1 ? [] : ['exactly one of key, key_name_key and name_keys is needed']),
      ...(config.servers ?? [])
        .filter((server) => parseAddress(server) === undefined)
        .map((server) => `servers: expected host:port, found "${server}"`),
    ];
  },
  create: (config, ctx) => new ZabbixOutput(config, ctx),
});

/** A value on its way, and which event of the chunk it came from. */
interface Pending extends SenderItem {
  readonly index: number;
}

/** Looking for the values that a server did not take costs at most so many requests a chunk. */
const SEARCH_REQUESTS_MAX = 200;

class ZabbixOutput implements Output {
  readonly #config: Config;
  readonly #ctx: Context<typeof metrics>;
  readonly #client: SenderClient;
  readonly #readEvent: (event: EventCursor, index: number, into: Pending[]) => string | undefined;

  constructor(config: Config, ctx: Context<typeof metrics>) {
    this.#config = config;
    this.#ctx = ctx;
    this.#client = new SenderClient(serversOf(config), { timeoutMs: config.timeout, compress: config.compress });
    this.#readEvent = eventReader(config);
  }

  async probe(signal: AbortSignal): Promise<void> {
    // An empty request is answered by every trapper and changes nothing.
    const outcome = await this.#client.send([], signal);
    if (isFailure(outcome))
      throw new MillraceError(
        outcome.kind === 'connect' || outcome.kind === 'timeout' ? 'MR_CONNECT' : 'MR_PROTOCOL',
        outcome.message,
      );
  }

  async write(chunk: Chunk, signal: AbortSignal): Promise<Verdict> {
    const refused: { index: number; reason: string }[] = [];
    const pending = this.#read(chunk, refused);
    const { maxRecords, byHost } = { maxRecords: this.#config.batch_records, byHost: this.#config.by_host };
    const batches = splitBatches(spreadNanoseconds(pending), { maxRecords, byHost });
    const search = { requestsLeft: SEARCH_REQUESTS_MAX };
    const lost: Pending[] = [];
    for (const [at, batch] of batches.entries()) {
      const outcome = await this.#send(batch, search, signal);
      if (typeof outcome !== 'string') {
        lost.push(...outcome);
        continue;
      }
      // What was sent before is delivered; what follows has not been tried.
      const rest = [...lost, ...batches.slice(at).flat()].map((item) => item.index);
      return { retry: unique(rest), refused, reason: outcome };
    }
    return this.#verdict(chunk, lost, refused);
  }

  #verdict(chunk: Chunk, lost: readonly Pending[], refused: { index: number; reason: string }[]): Verdict {
    const { unknown_retries: tries, unknown_retry_wait: afterMs } = this.#config;
    if (lost.length > 0 && chunk.attempt < tries) {
      const reason = `zabbix did not take ${lost.length} values, the first for item ${named(lost[0])}`;
      return { retry: unique(lost.map((item) => item.index)), afterMs, refused, reason };
    }
    this.#ctx.metrics.refused.add(lost.length);
    const known = new Set(refused.map(({ index }) => index));
    for (const item of lost) {
      if (known.has(item.index)) continue;
      known.add(item.index);
      refused.push({
        index: item.index,
        reason: `zabbix did not take the value: unknown host or item, item disabled, or this sender not allowed (${named(item)})`,
      });
    }
    return refused.length === 0 ? 'delivered' : { refused };
  }

  #read(chunk: Chunk, refused: { index: number; reason: string }[]): Pending[] {
    const cursor = new EventCursor();
    const pending: Pending[] = [];
    const latest = this.#ctx.clock.now() + this.#config.future_limit;
    let index = 0;
    for (const batch of chunk.batches) {
      cursor.open(batch);
      for (let n = 0; n < batch.count; n++, index++) {
        cursor.next(n);
        const isAhead = this.#config.use_event_time && cursor.seconds * 1000 > latest;
        const reason = isAhead
          ? 'the time of the event lies ahead: zabbix would keep it as the last value for good'
          : this.#readEvent(cursor, index, pending);
        if (reason !== undefined) refused.push({ index, reason });
      }
    }
    return pending;
  }

  /**
   * One batch. A server says how many values it did not take, never which: halves are sent again until they are found.
   * Values carry their time, so that a number sent twice is the same number.
   *
   * @returns the values not taken, or why there was no answer
   */
  async #send(
    batch: readonly Pending[],
    search: { requestsLeft: number },
    signal: AbortSignal,
  ): Promise<readonly Pending[] | string> {
    const outcome = await this.#client.send(batch, signal);
    if (isFailure(outcome)) return outcome.message;
    if (!outcome.ok) return `zabbix refused the values: ${outcome.info || 'no reason given'}`;
    this.#ctx.metrics.requests.add(1);
    // What was sent and not processed is lost: some of what a server refuses it does not even count as failed.
    const lost = outcome.processed === undefined ? 0 : batch.length - outcome.processed;
    if (lost <= 0) {
      this.#ctx.metrics.values.add(batch.length);
      return [];
    }
    if (lost >= batch.length) return batch;
    if (search.requestsLeft < 2) return batch;
    search.requestsLeft -= 2;
    const middle = batch.length >> 1;
    const first = await this.#send(batch.slice(0, middle), search, signal);
    if (typeof first === 'string') return first;
    const second = await this.#send(batch.slice(middle), search, signal);
    return typeof second === 'string' ? second : [...first, ...second];
  }
}

const unique = (indices: readonly number[]): number[] => [...new Set(indices)].sort((a, b) => a - b);
const named = (item: Pending | undefined): string => `${item?.host ?? '?'}: ${item?.key ?? '?'}`;

function serversOf(config: Config): Server[] {
  return config.servers === undefined ? [{ host: config.host, port: config.port }] : parseServers(config.servers);
}

/** Reads the values of one event. @returns the reason when there is none */
function eventReader(config: Config): (event: EventCursor, index: number, into: Pending[]) => string | undefined {
  const fallbackHost = config.zabbix_host ?? hostname();
  const hostField = config.host_key === undefined ? undefined : field(config.host_key);
  const values: (event: EventCursor) => readonly (readonly [key: string | undefined, of: Field])[] = keysReader(config);
  return (event, index, into) => {
    const host = (hostField === undefined ? undefined : event.str(hostField)) ?? fallbackHost;
    const prefix = config.prefix === '' ? '' : `${config.prefix.replaceAll('${tag}', event.tag)}.`;
    const time = config.use_event_time ? { clock: event.seconds, ns: event.nanoseconds } : {};
    let found = 0;
    for (const [key, of] of values(event)) {
      if (key === undefined || key === '') return 'the event has no item key';
      const value = event.value(of);
      if (value === undefined || value === null) continue;
      const rendered = renderAny(value);
      if ('refuse' in rendered) return `the value of ${of.text} cannot be sent: ${rendered.refuse}`;
      into.push({ host, key: `${prefix}${key}`, value: rendered.send, ...time, index });
      found++;
    }
    return found === 0 ? 'the event has no value' : undefined;
  };
}

function keysReader(config: Config): (event: EventCursor) => readonly (readonly [key: string | undefined, of: Field])[] {
  if (config.name_keys !== undefined) {
    const fields = config.name_keys.map((name) => [name, field(name)] as const);
    return () => fields;
  }
  const value = field(config.value_key);
  if (config.key !== undefined) {
    const one = [[config.key, value]] as const;
    return () => one;
  }
  const name = field(config.key_name_key ?? 'key');
  return (event) => [[event.str(name), value]];
}
