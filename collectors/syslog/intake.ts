/** From messages to entries, gathered by tag until the event loop has had its turn. */
import { isUtf8 } from 'node:buffer';
import type { Parser, SourceContext } from '../../engine/component.ts';
import { paramText, sectionFromData } from '../../engine/config/section.ts';
import { encodingLabel } from '../../engine/encoding.ts';
import { appendToAll } from '../../engine/events/append.ts';
import type { Batch } from '../../engine/events/batch.ts';
import { EntryWriter } from '../../engine/events/entry-writer.ts';
import { fragment, type Fragment } from '../../engine/events/field.ts';
import type { Config, metrics } from './settings.ts';

export const FACILITIES =
  'kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp audit alert at local0 local1 local2 local3 local4 local5 local6 local7'.split(
    ' ',
  );
export const SEVERITIES = ['emerg', 'alert', 'crit', 'err', 'warn', 'notice', 'info', 'debug'];

const LESS = 0x3c;
const GREATER = 0x3e;
const LINE_FEED = 10;
const RETURN = 13;
/** Handed over at the latest when so much has been gathered. */
const MAX_BYTES = 256 * 1024;
/** Pairs of priority and sender that are gathered side by side; with more, all are handed over first. */
const MAX_LANES = 1024;
const UNMATCHED = -1;

/** Events of one tag, and of one sender where that matters. */
interface Lane {
  readonly tag: string;
  readonly writer: EntryWriter;
  readonly group: Fragment | undefined;
}

export interface Sender {
  readonly address: string;
  readonly hostname: string;
}

export class Intake {
  readonly #config: Config;
  readonly #ctx: SourceContext<typeof metrics>;
  readonly #emit: (batch: Batch) => void;
  readonly #parser: Parser;
  readonly #readsPriority: boolean;
  readonly #decoder: InstanceType<typeof TextDecoder> | undefined;
  readonly #hostnameKey: string | undefined;
  readonly #hasSender: boolean;
  /** By priority, and by priority and sender. */
  #lanes = new Map<number | string, Lane>();
  #bytes = 0;
  #scheduled: NodeJS.Immediate | undefined;
  #warnings = 0;

  constructor(config: Config, ctx: SourceContext<typeof metrics>, emit: (batch: Batch) => void) {
    this.#config = config;
    this.#ctx = ctx;
    this.#emit = emit;
    const { parse } = config;
    const type = (parse && paramText(parse, '@type')) ?? 'syslog';
    this.#readsPriority = type === 'syslog' && (parse === undefined || paramText(parse, 'with_priority') !== 'false');
    this.#parser = ctx.parser(this.#readsPriority ? withPriority(parse) : parse);
    const label = encodingLabel(config.from_encoding ?? 'UTF-8');
    this.#decoder = typeof label === 'string' ? new TextDecoder(label) : undefined;
    this.#hostnameKey = config.source_hostname_key ?? (config.include_source_host ? config.source_host_key : undefined);
    this.#hasSender = config.source_address_key !== undefined || this.#hostnameKey !== undefined;
  }

  /** Whether events say who sent them. */
  get hasSender(): boolean {
    return this.#hasSender;
  }
  get wantsHostname(): boolean {
    return this.#hostnameKey !== undefined;
  }

  /** @param isClean  the bytes are known to be UTF-8 */
  take(bytes: Buffer, from: number, to: number, sender: Sender | undefined, isClean: boolean): void {
    this.#ctx.metrics.messages.add(1);
    if (this.#decoder !== undefined || !(isClean || isUtf8(bytes.subarray(from, to)))) {
      const part = bytes.subarray(from, to);
      if (this.#decoder === undefined) this.#ctx.metrics.repaired.add(1);
      const text = this.#decoder === undefined ? part.toString('utf8') : this.#decoder.decode(part);
      this.#message(Buffer.from(text, 'utf8'), 0, Buffer.byteLength(text, 'utf8'), sender);
    } else this.#message(bytes, from, to, sender);
    this.#scheduled ??= setImmediate(() => this.flush());
    if (this.#bytes > MAX_BYTES) this.flush();
  }

  #message(bytes: Buffer, from: number, to: number, sender: Sender | undefined): void {
    if (to > from && bytes[to - 1] === LINE_FEED) to--;
    if (to > from && bytes[to - 1] === RETURN) to--;
    this.#bytes += to - from;
    const behind = priorityEnd(bytes, from, to);
    if (behind < 0) return this.#unmatched(bytes, from, to, sender, 'no priority');
    let priority = 0;
    for (let at = from + 1; at < behind - 1; at++) priority = priority * 10 + (bytes[at] as number) - 48;
    const textAt = this.#readsPriority ? from : behind;
    const { writer } = this.#lane(priority, sender);
    const failure = this.#parser.parse(bytes, textAt, to, writer);
    return failure === undefined ? undefined : this.#unmatched(bytes, textAt, to, sender, failure);
  }

  #unmatched(bytes: Buffer, from: number, to: number, sender: Sender | undefined, reason: string): void {
    this.#ctx.metrics.unmatched.add(1);
    const times = ++this.#warnings;
    // The 1st, 2nd, 4th, 8th ... time: a port scan does not fill the log.
    if ((times & (times - 1)) === 0) {
      const message = bytes.toString('utf8', from, Math.min(to, from + 200));
      this.#ctx.log.warn({ reason, message, times }, 'a message is no syslog that the parser knows');
    }
    if (!this.#config.emit_unmatched_lines) return this.#ctx.dropped(reason, 1);
    const { writer } = this.#lane(UNMATCHED, sender);
    writer.begin();
    writer.keyName('unmatched_line');
    writer.utf8(bytes, from, to);
    writer.commit();
    return undefined;
  }

  #lane(priority: number, sender: Sender | undefined): Lane {
    const key = sender === undefined ? priority : `${priority} ${sender.address} ${sender.hostname}`;
    const known = this.#lanes.get(key);
    if (known !== undefined) {
      // The clock is asked once for what arrives together.
      if (known.writer.count === 0) known.writer.defaultTimeMs(this.#ctx.clock.now());
      return known;
    }
    if (this.#lanes.size >= MAX_LANES) {
      this.flush();
      this.#lanes = new Map();
    }
    const lane = this.#makeLane(priority, sender);
    lane.writer.defaultTimeMs(this.#ctx.clock.now());
    this.#lanes.set(key, lane);
    return lane;
  }

  #makeLane(priority: number, sender: Sender | undefined): Lane {
    const { tag, facility_key: facilityKey, source_address_key: addressKey } = this.#config;
    const severityKey = this.#config.severity_key ?? this.#config.priority_key;
    const fields: [string, string][] = [];
    // Fluentd gives a facility that is none an empty name.
    const facility = FACILITIES[priority >> 3] ?? '';
    const severity = SEVERITIES[priority & 7] as string;
    if (priority !== UNMATCHED) {
      if (severityKey !== undefined) fields.push([severityKey, severity]);
      if (facilityKey !== undefined) fields.push([facilityKey, facility]);
      if (sender !== undefined && addressKey !== undefined) fields.push([addressKey, sender.address]);
      if (sender !== undefined && this.#hostnameKey !== undefined) fields.push([this.#hostnameKey, sender.hostname]);
    }
    return {
      tag: priority === UNMATCHED ? `${tag}.unmatched` : `${tag}.${facility}.${severity}`,
      writer: new EntryWriter(1024),
      group: fields.length === 0 ? undefined : fragment(undefined, Object.fromEntries(fields)),
    };
  }

  /** Hands over what has been gathered. */
  flush(): void {
    if (this.#scheduled !== undefined) clearImmediate(this.#scheduled);
    this.#scheduled = undefined;
    this.#bytes = 0;
    for (const { tag, writer, group } of this.#lanes.values()) {
      const batch = writer.take(tag);
      if (batch !== undefined) this.#emit(group === undefined ? batch : appendToAll(batch, group));
    }
  }
}

/** Offset behind `<pri>` of one to three digits, -1 without one. */
function priorityEnd(b: Uint8Array, from: number, to: number): number {
  if (b[from] !== LESS) return -1;
  let at = from + 1;
  while (at < to && at < from + 4 && (b[at] as number) >= 48 && (b[at] as number) <= 57) at++;
  return at > from + 1 && at < to && b[at] === GREATER ? at + 1 : -1;
}

/** The parser of syslog, told to read the priority and to leave it out of the record: it is in the tag. */
function withPriority(parse: Config['parse']): NonNullable<Config['parse']> {
  const section = parse ?? sectionFromData('parse', {});
  const extra = sectionFromData('parse', { '@type': 'syslog', with_priority: true, keep_priority: false });
  return { ...section, params: new Map([...section.params, ...extra.params]) };
}
