import { hashBytes, HASH_SEED, ByteTable, type Slot } from '../../engine/metrics/byte-table.ts';
import type { Aggregate, Series } from '../../engine/metrics/aggregate.ts';

export interface ParseOptions {
  /** Make names fit for Graphite as upstream does: blanks to `_`, `/` to `-`, everything but `[a-zA-Z_\-0-9.;=]` dropped. */
  readonly sanitize: boolean;
  /** What `g:-5|g` means: a change of -5 (StatsD) or the value -5 (DogStatsD). */
  readonly gaugeSign: 'delta' | 'absolute';
  /** Bytes of a line; a longer one is bad. */
  readonly maxLine: number;
  /** Bytes of a name with its tags; a longer one is bad. */
  readonly maxName: number;
}

export const DEFAULT_PARSE: ParseOptions = { sanitize: true, gaugeSign: 'delta', maxLine: 16_384, maxName: 4096 };

/** Raw bytes of name and tags as they came, and the series they stand for. */
interface Alias extends Slot {
  series: Series;
}
const MAX_ALIASES = 200_000;
/** Bytes of name and tags for which an alias is kept; longer ones take the slow path each time. */
const MAX_ALIAS = 512;

const LF = 0x0a;
const HASH = 0x23;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const AT = 0x40;
const BAR = 0x7c;

const POWERS = Float64Array.from({ length: 16 }, (_, n) => 10 ** n);

// 1: may stand in a cleaned name; 2: ends the name or makes it one for the slow path.
const NAME_CLASS = new Uint8Array(256);
for (const char of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.;=') NAME_CLASS[char.charCodeAt(0)] = 1;
for (const char of ':|#\n') NAME_CLASS[char.charCodeAt(0)] = 2;

/**
 * Reads datagrams into an aggregate. Every line means what StatsD 0.10 takes it for, except where that server would
 * crash or store NaN or Infinity (refused here), and where it only sees an error in what DogStatsD defines.
 *
 *     datagram = line *( LF line )
 *     line     = name ":" sample *( ":" sample ) [ "|#" tag *( "," tag ) ]
 *     sample   = value "|" type [ "|@" rate ] [ "|" ignored ]
 *
 * A plain line is read from its bytes; what the fast path does not know goes through `#slow`, which decides alone.
 *
 * @see https://github.com/statsd/statsd/blob/master/docs/metric_types.md
 * @see https://docs.datadoghq.com/developers/dogstatsd/datagram_shell
 */
export class StatsdParser {
  readonly #aggregate: Aggregate;
  readonly #options: ParseOptions;
  readonly #aliases = new ByteTable<Alias>();
  readonly #aliasKey = new Uint8Array(MAX_ALIAS);
  /** Lines that were not empty. */
  lines = 0;
  /** Samples that could not be understood. */
  bad = 0;
  /** Samples of new names that the aggregate has no room for. */
  refused = 0;
  /** DogStatsD events and service checks, which are no metrics. */
  events = 0;

  constructor(aggregate: Aggregate, options: Partial<ParseOptions> = {}) {
    this.#aggregate = aggregate;
    this.#options = { ...DEFAULT_PARSE, ...options };
  }

  /** Reads `bytes[start, end)`; never throws. */
  packet(bytes: Buffer, start: number, end: number): void {
    let at = start;
    while (at < end) {
      if (bytes[at] === LF) {
        at++;
        continue;
      }
      this.lines++;
      const next = this.#fast(bytes, at, end);
      at = next >= 0 ? next : this.#slowLine(bytes, at, end);
    }
  }

  // The value, rate and type that `#fast` has read.
  #value = 0;
  #rate = 1;

  /** @returns the offset after the line, or -1 when the line is not plain (nothing was counted then) */
  #fast(bytes: Buffer, start: number, end: number): number {
    let at = start;
    let hash = HASH_SEED;
    let isClean = true;
    let byte = 0;
    for (; at < end; at++) {
      byte = bytes[at] as number;
      const kind = NAME_CLASS[byte];
      if (kind === 2) break;
      if (kind === 0) isClean = false;
      hash = Math.imul(hash ^ byte, 0x0100_0193);
    }
    if (byte !== COLON || at === start || at === end) return -1;
    const nameEnd = at++;
    const isSigned = bytes[at] === MINUS || bytes[at] === PLUS;
    at = this.#number(bytes, at, end);
    if (at < 0 || at + 1 >= end || bytes[at] !== BAR) return -1;
    const type = bytes[at + 1] as number;
    at += 2;
    if (type === 0x6d) {
      if (at === end || bytes[at] !== 0x73 || this.#value < 0) return -1;
      at++;
    } else if (type !== 0x63 && type !== 0x67 && type !== 0x68 && type !== 0x64) return -1;
    this.#rate = 1;
    if (at < end && bytes[at] === BAR && bytes[at + 1] === AT) {
      const value = this.#value;
      if (bytes[at + 2] === PLUS || bytes[at + 2] === MINUS) return -1;
      at = this.#number(bytes, at + 2, end);
      if (at < 0 || this.#value === 0) return -1;
      this.#rate = this.#value;
      this.#value = value;
    }
    let tagFrom = at;
    if (at + 1 < end && bytes[at] === BAR && bytes[at + 1] === HASH) {
      at += 2;
      tagFrom = at;
      while (at < end && bytes[at] !== LF) if (bytes[at++] === BAR) return -1;
    }
    if (at < end && bytes[at] !== LF) return -1;
    if (at - start > this.#options.maxLine) return -1;
    const isPlain = isClean && at === tagFrom;
    if (isPlain && nameEnd - start > this.#options.maxName) return -1;
    const series = isPlain
      ? this.#aggregate.series(bytes, start, nameEnd, hash)
      : this.#alias(bytes, start, nameEnd, tagFrom, at, hash);
    if (series === 'bad') this.bad++;
    else this.#apply(series, type, isSigned);
    return at + 1;
  }

  /** Reads up to 15 digits with a sign and a point into `#value`. @returns the offset after it or -1 */
  #number(bytes: Buffer, from: number, end: number): number {
    let at = from;
    const first = bytes[at];
    if (first === MINUS || first === PLUS) at++;
    let value = 0;
    let digits = 0;
    let decimals = -1;
    for (; at < end; at++) {
      const byte = bytes[at] as number;
      const digit = byte - ZERO;
      if (digit >= 0 && digit <= 9) {
        value = value * 10 + digit;
        digits++;
        if (decimals >= 0) decimals++;
      } else if (byte === DOT && decimals < 0) decimals = 0;
      else break;
    }
    // Up to 15 digits both the integer and the power of ten are exact, so one division rounds correctly.
    if (digits === 0 || digits > 15) return -1;
    if (decimals > 0) value /= POWERS[decimals] as number;
    this.#value = first === MINUS ? -value : value;
    return at;
  }

  #apply(series: Series | undefined, type: number, isSigned: boolean): void {
    const aggregate = this.#aggregate;
    const scale = this.#rate === 1 ? 1 : 1 / this.#rate;
    let isTaken: boolean;
    if (series === undefined) {
      this.refused++;
      return;
    }
    if (type === 0x63) isTaken = aggregate.count(series, this.#value * scale);
    else if (type === 0x67) isTaken = aggregate.gauge(series, this.#value, isSigned && this.#options.gaugeSign === 'delta');
    else isTaken = aggregate.time(series, this.#value, scale);
    if (!isTaken) this.bad++;
  }

  #unique(series: Series, member: string): void {
    if (!this.#aggregate.unique(series, member === '' ? '0' : member)) this.refused++;
  }

  /** The series of a name that has to be cleaned or has tags, found again by the bytes as they came. */
  #alias(
    bytes: Buffer,
    from: number,
    nameEnd: number,
    tagFrom: number,
    tagEnd: number,
    nameHash: number,
  ): Series | 'bad' | undefined {
    const nameLength = nameEnd - from;
    const length = nameLength + 1 + tagEnd - tagFrom;
    const isShort = length <= MAX_ALIAS;
    let hash = 0;
    let known: Alias | undefined;
    const key = this.#aliasKey;
    if (isShort) {
      // Name, a line feed (which neither holds), tags.
      for (let n = 0; n < nameLength; n++) key[n] = bytes[from + n] as number;
      key[nameLength] = LF;
      for (let n = nameLength + 1, at = tagFrom; at < tagEnd; n++, at++) key[n] = bytes[at] as number;
      hash = hashBytes(key, nameLength, length, nameHash);
      known = this.#aliases.find(key, 0, length, hash);
      if (known !== undefined && isAlive(known.series)) return known.series;
    }
    const series = this.#named(bytes.toString('utf8', from, nameEnd), bytes.toString('utf8', tagFrom, tagEnd));
    if (series === undefined || series === 'bad') return series;
    if (known !== undefined) known.series = series;
    else if (isShort) {
      if (this.#aliases.size >= MAX_ALIASES) this.#aliases.prune(() => false);
      this.#aliases.add({ key: key.slice(0, length), hash, next: undefined, series });
    }
    return series;
  }

  #named(name: string, tags: string): Series | 'bad' | undefined {
    const full = joinTags(name, tags);
    const bytes = Buffer.from(this.#options.sanitize ? cleanName(full) : full, 'utf8');
    if (bytes.length > this.#options.maxName) return 'bad';
    return this.#aggregate.series(bytes, 0, bytes.length, hashBytes(bytes, 0, bytes.length));
  }

  #slowLine(bytes: Buffer, start: number, end: number): number {
    const lf = bytes.indexOf(LF, start);
    const to = lf < 0 || lf > end ? end : lf;
    if (to - start > this.#options.maxLine) this.bad++;
    else this.#slow(bytes.toString('utf8', start, to));
    return to + 1;
  }

  #slow(line: string): void {
    if (/^_e\{\d+,\d+\}:./.test(line) || /^_sc\|[^|]+\|[0-3](?:\||$)/.test(line)) {
      this.events++;
      return;
    }
    const { name, samples, tags } = splitLine(line);
    const series = { of: undefined as Series | 'bad' | undefined, isKnown: false };
    for (const sample of samples) {
      const read = readSample(sample);
      if (read === undefined) {
        this.bad++;
        continue;
      }
      // Only a good sample makes a series.
      if (!series.isKnown) {
        series.of = this.#named(name, tags);
        series.isKnown = true;
      }
      if (series.of === 'bad') this.bad++;
      else if (read.type === 's' && series.of !== undefined) this.#unique(series.of, read.text);
      else {
        this.#value = read.value;
        this.#rate = read.rate;
        this.#apply(series.of, TYPE_BYTES.get(read.type) ?? 0x63, /^[+-]/.test(read.text));
      }
    }
  }
}

/** A series that was idle at a flush may have been forgotten by the aggregate. */
function isAlive(series: Series): boolean {
  return series.isCounter || series.isGauge || series.isTimer || series.isSet;
}

// Histograms and distributions of DogStatsD are timers; every type that nobody knows is a counter, as upstream has it.
const TYPE_BYTES = new Map([
  ['c', 0x63],
  ['g', 0x67],
  ['ms', 0x6d],
  ['h', 0x68],
  ['d', 0x64],
]);

interface Sample {
  readonly text: string;
  readonly value: number;
  readonly type: string;
  readonly rate: number;
}

/** @returns undefined for a bad sample */
function readSample(sample: string): Sample | undefined {
  const [text = '', rawType, third] = sample.split('|');
  if (rawType === undefined) return undefined;
  const rate = third === undefined ? 1 : readRate(third);
  if (rate === undefined) return undefined;
  const type = rawType.trim();
  if (rawType === 's') return { text, value: 0, type, rate: 1 };
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) return undefined;
  if (type === 'ms' && value < 0) return undefined;
  // A blank before the sign would turn a change into a value.
  if (type === 'g' && /^\s+[+-]/.test(text)) return undefined;
  return { text, value, type, rate };
}

/** `@0.1`; undefined unless it is above 0 and finite, also as 1 / rate. */
function readRate(field: string): number | undefined {
  const found = /^@((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*$/.exec(field);
  const rate = Number(found?.[1]);
  return rate > 0 && Number.isFinite(rate) && Number.isFinite(1 / rate) ? rate : undefined;
}

/**
 * Name, samples and the tag list of a line. DogStatsD's further fields (`c:` container, `e:` external data, `card:`
 * cardinality, `T` time) are left out: upstream knows none of them.
 */
function splitLine(line: string): { name: string; samples: readonly string[]; tags: string } {
  const [metric = '', tagPart = ''] = line.split('|#');
  const [tags = '', ...afterTags] = tagPart.split('|');
  const fields = withoutExtras(metric.split('|'));
  // Fields behind the tags: a rate counts, what upstream would glue to the last tag does not.
  if (fields.length === 2) fields.push(...afterTags.filter((field) => field.startsWith('@')));
  const [first = '', ...rest] = fields;
  const [name = '', ...values] = first.split(':');
  // Packed values `1:2:3|h` exist for the types that upstream does not have.
  const isPacked = (rest[0] === 'h' || rest[0] === 'd') && values.length > 1;
  const samples = isPacked
    ? values.filter((value) => value !== '').map((value) => [value, ...rest].join('|'))
    : fields.join('|').split(':').slice(1);
  return { name, samples: samples.length === 0 ? ['1'] : samples, tags };
}

/** A colon in type or rate means that samples follow each other in StatsD's way; only before that a field is DogStatsD's. */
function withoutExtras(fields: readonly string[]): string[] {
  const kept = fields.slice(0, 2);
  const type = kept[1] ?? '';
  const isTimed = type === 'c' || type === 'g';
  let isDog = !type.includes(':');
  for (const field of fields.slice(2)) {
    if (isDog && (/^(?:c|e|card):/.test(field) || (isTimed && /^T0*[1-9]\d*$/.test(field)))) continue;
    if (field.includes(':')) isDog = false;
    kept.push(field);
  }
  return kept;
}

/** Tags become part of the name, as Graphite writes them: `;key=value`. */
function joinTags(name: string, tags: string): string {
  if (tags === '') return name;
  const pairs = tags.split(',').map((tag) => tag.replace(';', '_').replace(':', '='));
  return `${name};${pairs.join(';')}`;
}

function cleanName(name: string): string {
  return name
    .replace(/\s+/g, '_')
    .replaceAll('/', '-')
    .replace(/[^a-zA-Z_\-0-9.;=]/g, '');
}
