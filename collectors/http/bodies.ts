/** From the body of a request to entries. */
import { isUtf8 } from 'node:buffer';
import type { Parser, SourceContext } from '../../engine/component.ts';
import { paramText, sectionFromData, sectionToInput } from '../../engine/config/section.ts';
import type { EventTime } from '../../engine/events/batch.ts';
import { EntryWriter } from '../../engine/events/entry-writer.ts';
import { timeParser } from '../../engine/time-format.ts';
import { parseMultipart, parseQuery, type Params } from './forms.ts';
import type { Config, metrics } from './settings.ts';

const LINE_FEED = 10;
const RETURN = 13;
/** A key that no record has: with a time in the address, the record's own field of that name is no time. */
const NO_KEY = '\0';
/** The one failure of a parser that Fluentd answers with 400. */
const BAD_TIME = 'invalid time';

export interface BodyProblem {
  readonly reason: string;
  /** Undefined: the events are taken or counted, and the sender is told that all is well. */
  readonly status?: 400;
}

type Format = 'json' | 'ndjson' | 'msgpack';
const FORMATS: readonly Format[] = ['msgpack', 'json', 'ndjson'];

/** Reads bodies into `writer`. */
export class Bodies {
  readonly writer = new EntryWriter(16_384);
  readonly #ctx: SourceContext<typeof metrics>;
  readonly #custom: Parser | undefined;
  readonly #timed: Readonly<Record<'json' | 'msgpack', Parser>>;
  readonly #untimed: Readonly<Record<'json' | 'msgpack', Parser>>;
  readonly #floatTime = timeParser({ type: 'float' });
  readonly #isStrict: boolean;

  constructor({ parse, refuse_unreadable: isStrict }: Config, ctx: SourceContext<typeof metrics>) {
    this.#ctx = ctx;
    this.#isStrict = isStrict;
    const type = parse === undefined ? undefined : paramText(parse, '@type');
    const isDefault = type === undefined || type === 'in_http';
    this.#custom = isDefault ? undefined : ctx.parser(parse);
    const given = isDefault && parse !== undefined ? sectionToInput(parse) : {};
    const make = (name: string, more: Readonly<Record<string, unknown>>): Parser =>
      ctx.parser(sectionFromData('parse', { ...given, ...more, '@type': name }));
    const key = given['time_key'] ?? 'time';
    const isFloat = given['time_type'] === undefined && given['time_format'] === undefined;
    this.#timed = {
      json: make('json', { time_key: key }),
      msgpack: make('msgpack', { time_key: key, ...(isFloat ? { time_type: 'float' } : {}) }),
    };
    this.#untimed = { json: make('json', { time_key: NO_KEY }), msgpack: make('msgpack', { time_key: NO_KEY }) };
  }

  /** @returns what was wrong with it; `writer` holds the events that could be read */
  read(body: Buffer, contentType: string, query: Params): BodyProblem | undefined {
    this.writer.defaultTimeMs(this.#ctx.clock.now());
    if (this.#custom !== undefined) return this.#parse(this.#custom, this.#repaired(body), query);
    const format = formatOf(contentType);
    if (format !== undefined) return this.#readAs(format, body, query);
    const params = new Map<string, Buffer>();
    if (contentType.startsWith('application/x-www-form-urlencoded')) parseQuery(body, params);
    else {
      const boundary = /^multipart\/form-data;.*?boundary="?([^";]+)"?/i.exec(contentType)?.[1];
      if (boundary !== undefined) parseMultipart(body, boundary, params);
    }
    for (const [name, value] of query) if (!params.has(name)) params.set(name, value);
    for (const name of FORMATS) {
      const value = params.get(name);
      if (value !== undefined) return this.#readAs(name, value, params);
    }
    return { reason: "'json', 'ndjson' or 'msgpack' parameter is required", status: 400 };
  }

  #readAs(format: Format, body: Buffer, params: Params): BodyProblem | undefined {
    const isTimed = this.#given(params) === undefined;
    const parsers = isTimed ? this.#timed : this.#untimed;
    if (format === 'msgpack') return this.#parse(parsers.msgpack, body, params);
    const text = this.#repaired(body);
    return format === 'json' ? this.#parse(parsers.json, text, params) : this.#lines(parsers.json, text, params);
  }

  #lines(parser: Parser, body: Buffer, params: Params): BodyProblem | undefined {
    let problem: BodyProblem | undefined;
    for (let at = 0; at < body.length;) {
      let end = body.indexOf(LINE_FEED, at);
      if (end < 0) end = body.length;
      const next = end + 1;
      if (end > at && body[end - 1] === RETURN) end--;
      if (end > at) problem = this.#parse(parser, body.subarray(at, end), params) ?? problem;
      if (problem?.status !== undefined) return problem;
      at = next;
    }
    return problem;
  }

  #parse(parser: Parser, bytes: Buffer, params: Params): BodyProblem | undefined {
    const { writer } = this;
    const from = writer.out.length;
    const failure = parser.parse(bytes, 0, bytes.length, writer);
    if (failure !== undefined) {
      this.#ctx.dropped(failure, 1);
      return this.#isStrict || failure === BAD_TIME ? { reason: failure, status: 400 } : { reason: failure };
    }
    const time = this.#given(params);
    if (time !== undefined) writer.setTimes(from, time.seconds, time.nanoseconds);
    return undefined;
  }

  /** The time that the request itself gives for all its events. */
  #given(params: Params): EventTime | undefined {
    const text = params.get('time')?.toString('latin1');
    if (text === undefined) return undefined;
    const time = this.#floatTime(text);
    if (time === undefined || (time.seconds === 0 && time.nanoseconds === 0)) {
      const now = this.#ctx.clock.now();
      return { seconds: Math.floor(now / 1000), nanoseconds: Math.round((now % 1000) * 1e6) };
    }
    return time;
  }

  #repaired(body: Buffer): Buffer {
    if (isUtf8(body)) return body;
    this.#ctx.metrics.repaired.add(1);
    return Buffer.from(body.toString('utf8'), 'utf8');
  }
}

function formatOf(contentType: string): Format | undefined {
  if (contentType.startsWith('application/json') || contentType.startsWith('application/csp-report')) return 'json';
  if (contentType.startsWith('application/x-ndjson')) return 'ndjson';
  return contentType.startsWith('application/msgpack') ? 'msgpack' : undefined;
}
