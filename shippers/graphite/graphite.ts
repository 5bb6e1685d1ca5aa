import * as z from 'zod';
import { defineOutput, type Chunk, type Context, type Output, type Verdict } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { field, type Field } from '../../engine/events/field.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { address, bool, duration, list, oneOf, port, regexp, text } from '../../engine/units.ts';
import { CarbonClient } from './client.ts';
import { writeLine } from './plaintext.ts';

const config = z.object({
  host: address().default('127.0.0.1').describe('Host of carbon or of a relay'),
  port: port().default(2003).describe('Plaintext port'),
  prefix: text().default('').describe('Text in front of every path; `${tag}` is the tag of the event'),
  name_key: text().default('name').describe('Field that holds the path; it may have tags, `cpu;host=a`'),
  value_key: text().default('value').describe('Field that holds the value'),
  tags_key: text().default('tags').describe('Field that holds a map of tags'),
  name_keys: list().optional().describe('Fields that are points themselves, each under its own name (fluent-plugin-graphite)'),
  name_key_pattern: regexp().optional().describe('Pattern of the names of such fields'),
  tag_for: oneOf(['prefix', 'suffix', 'ignore'])
    .default('prefix')
    .describe('Place of the event tag in the paths that name_keys and name_key_pattern make'),
  connect_timeout: duration({ min: 1 }).default(5000).describe('Time to wait for a connection'),
  send_timeout: duration({ min: 1 }).default(30_000).describe('Longest time in which nothing is read by the server'),
  confirm: bool()
    .default(true)
    .describe('A connection for each chunk, whose end by the server confirms that all was read; false: one that is kept'),
});
type Config = z.output<typeof config>;

const metrics = {
  points: { type: 'counter', unit: 'points', help: 'Points handed over' },
  unconfirmed: { type: 'counter', unit: 'points', help: 'Points of chunks that the server took without closing in time' },
  connections: { type: 'counter', unit: 'connections', help: 'Connections made' },
} as const;

/** So often a chunk that was taken without a confirmation is sent again before that counts as delivered. */
const CONFIRM_TRIES = 2;

export const graphite = defineOutput({
  name: 'graphite',
  summary: 'Sends metric events, or numeric fields of any events, to Graphite.',
  config,
  metrics,
  examples: [
    { title: 'Metric events to carbon', config: '<match metrics.**>\n  @type graphite\n  host 127.0.0.1\n  port 2003\n</match>' },
    {
      title: 'Two fields of each event as points, `app.web.duration` and `app.web.bytes`',
      config: '<match app.web>\n  @type graphite\n  name_keys duration,bytes\n</match>',
    },
  ],
  check(config) {
    return config.name_keys !== undefined && config.name_key_pattern !== undefined
      ? ['name_keys and name_key_pattern cannot both be given']
      : [];
  },
  create: (config, ctx) => new GraphiteOutput(config, ctx),
});

/** Writes the lines of one event. @returns the reason when it is refused */
type WriteEvent = (event: EventCursor, into: ByteWriter) => string | undefined;

class GraphiteOutput implements Output {
  readonly #ctx: Context<typeof metrics>;
  readonly #client: CarbonClient;
  readonly #writeEvent: WriteEvent;
  #connections = 0;

  constructor(config: Config, ctx: Context<typeof metrics>) {
    this.#ctx = ctx;
    this.#writeEvent = config.name_keys || config.name_key_pattern ? fieldsWriter(config) : recordWriter(config);
    this.#client = new CarbonClient({
      host: config.host,
      port: config.port,
      connectTimeoutMs: config.connect_timeout,
      idleTimeoutMs: config.send_timeout,
      confirm: config.confirm,
    });
  }

  async probe(signal: AbortSignal): Promise<void> {
    const failure = await this.#client.probe(signal);
    if (failure !== undefined) throw new MillraceError('MR_CONNECT', failure.message);
  }

  async write(chunk: Chunk, signal: AbortSignal): Promise<Verdict> {
    const { lines, points, refused } = this.#render(chunk);
    const verdict: Verdict = refused.length === 0 ? 'delivered' : { refused };
    if (points === 0) return verdict;
    const failure = await this.#client.send(lines, signal);
    this.#ctx.metrics.connections.add(this.#client.connections - this.#connections);
    this.#connections = this.#client.connections;
    if (failure?.isUnconfirmed === true && chunk.attempt >= CONFIRM_TRIES) {
      this.#ctx.metrics.unconfirmed.add(points);
      this.#ctx.log.warn(
        { reason: failure.message },
        'the server took the lines without confirming; set confirm to false if it never does',
      );
    } else if (failure !== undefined) return { retry: 'all', reason: failure.message };
    this.#ctx.metrics.points.add(points);
    return verdict;
  }

  #render(chunk: Chunk): { lines: Uint8Array; points: number; refused: { index: number; reason: string }[] } {
    // About 60 bytes a line; grows when that is too little.
    const into = new ByteWriter(Math.max(1024, chunk.count * 64));
    const refused: { index: number; reason: string }[] = [];
    const cursor = new EventCursor();
    let index = 0;
    for (const batch of chunk.batches) {
      cursor.open(batch);
      for (let n = 0; n < batch.count; n++, index++) {
        cursor.next(n);
        const reason = this.#writeEvent(cursor, into);
        if (reason !== undefined) refused.push({ index, reason });
      }
    }
    const lines = into.bytes.subarray(0, into.length);
    return { lines, points: countLines(lines), refused };
  }

  stop(): Promise<void> {
    this.#client.close();
    return Promise.resolve();
  }
}

function countLines(lines: Uint8Array): number {
  let count = 0;
  for (let at = lines.indexOf(10); at >= 0; at = lines.indexOf(10, at + 1)) count++;
  return count;
}

const withTag = (prefix: string, tag: string): string => prefix.replaceAll('${tag}', tag);

function recordWriter({ name_key, value_key, tags_key, prefix }: Config): WriteEvent {
  const [name, value, tags] = [field(name_key), field(value_key), field(tags_key)];
  return (event, into) => {
    const path = event.str(name);
    if (path === undefined) return `the field ${name_key} is missing or no text`;
    if (!event.has(value)) return `the field ${value_key} is missing`;
    const map = event.has(tags) ? event.value(tags) : undefined;
    return writeLine(
      into,
      `${withTag(prefix, event.tag)}${path}`,
      isMap(map) ? map : undefined,
      event.value(value),
      event.seconds,
    );
  };
}

function fieldsWriter({ name_keys, name_key_pattern, tag_for, prefix, tags_key }: Config): WriteEvent {
  const fields = name_keys?.map((name): [string, Field] => [name, field(name)]);
  const tagsField = field(tags_key);
  const pathOf = (tag: string, key: string): string => {
    const path = tag_for === 'ignore' ? key : tag_for === 'prefix' ? `${tag}.${key}` : `${key}.${tag}`;
    return `${withTag(prefix, tag)}${path}`;
  };
  return (event, into) => {
    const map = event.has(tagsField) ? event.value(tagsField) : undefined;
    const tags = isMap(map) ? map : undefined;
    const write = (key: string, value: unknown): string | undefined =>
      // The key is one step of the path here, not a path with tags.
      writeLine(into, pathOf(event.tag, key.replaceAll(';', '_')), tags, value, event.seconds);
    if (fields !== undefined) {
      const reasons = fields
        .filter(([, each]) => event.has(each))
        .map(([key, each]) => [key, write(key, event.value(each))] as const);
      const bad = reasons.filter(([, reason]) => reason !== undefined).map(([key, reason]) => `${key}: ${reason}`);
      if (reasons.length === 0) return `none of the fields ${name_keys?.join(', ')} is there`;
      return bad.length === 0 ? undefined : bad.join('; ');
    }
    // Other fields of the pattern may be texts; only numbers are points.
    for (const [key, value] of Object.entries(event.toObject()))
      if (name_key_pattern?.test(key) && typeof value === 'number') write(key, value);
    return undefined;
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
