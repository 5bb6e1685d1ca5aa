/** The <metric> sections of log_to_metric, compiled: which events they mean, the series an event belongs to, its value. */
import { hostname } from 'node:os';
import type { EventView } from '../../engine/component.ts';
import { field, type Field } from '../../engine/events/field.ts';
import { parseAccessor } from '../../engine/events/record-accessor.ts';
import { hashBytes, type Slot } from '../../engine/metrics/byte-table.ts';
import type { Cell, MetricKind } from '../../engine/metrics/interval.ts';
import { cleanPath, cleanSegment } from '../../engine/metrics/name.ts';
import type { LogToMetricConfig, MetricConfig } from './log-to-metric-config.ts';

export interface SeriesSlot extends Slot {
  readonly name: string;
  readonly tags: Readonly<Record<string, string>> | undefined;
  /** The cell of `interval`, so that the usual event finds it without a further look-up. */
  cell: Cell | undefined;
  interval: number;
}

/** A text with placeholders: literal parts and what takes the others' place. */
type Piece = string | { readonly field: Field } | { readonly tagPart: number | 'all' };

/** Bytes of one field that tell series from each other; longer values are cut there. */
const MAX_VALUE = 256;
const MAX_KEY = 4096;

/** The raw bytes that an event's series is found by: index of the rule, tag, and every field that its name needs. */
class SeriesKey {
  readonly bytes = Buffer.alloc(MAX_KEY);
  length = 0;
  hash = 0;

  begin(rule: number): void {
    this.bytes.writeUInt16BE(rule);
    this.length = 2;
  }

  /** @returns false when there is no room left */
  put(source: Uint8Array, from: number, to: number): boolean {
    const end = Math.min(to, from + MAX_VALUE);
    let at = this.length;
    if (at + 2 + end - from > MAX_KEY) return false;
    this.bytes[at++] = (end - from) >>> 8;
    this.bytes[at++] = end - from;
    for (let n = from; n < end; n++) this.bytes[at++] = source[n] as number;
    this.length = at;
    return true;
  }

  /** Digits of a whole number without making a string. */
  putDigits(value: number): boolean {
    let at = DIGITS.length;
    let left = value;
    do {
      DIGITS[--at] = 48 + (left % 10);
      left = Math.floor(left / 10);
    } while (left > 0);
    return this.put(DIGITS, at, DIGITS.length);
  }

  finish(): void {
    this.hash = hashBytes(this.bytes, 0, this.length);
  }
}
const DIGITS = new Uint8Array(16);

/** One rule at work. `match` reads the event; the rest speaks of the event that was matched last. */
export interface Counting {
  readonly reads: readonly Field[];
  readonly key: { readonly bytes: Uint8Array; readonly length: number; readonly hash: number };
  /** True: counts. `not meant`: the condition does not hold. `incomplete`: a field is missing or no number. */
  match(event: EventView): true | 'not meant' | 'incomplete';
  slot(event: EventView, key: Uint8Array, hash: number): SeriesSlot;
  /** The series that takes what is beyond the bound. */
  other(event: EventView): SeriesSlot;
  add(cell: Cell, atMs: number): void;
}

interface Rule {
  readonly index: number;
  readonly kind: MetricKind;
  readonly name: readonly Piece[];
  readonly tags: readonly (readonly [string, readonly Piece[]])[];
  readonly value: Field | undefined;
  /** Value when there is no field for it. */
  readonly fixed: number;
  readonly scale: number;
  readonly ifField: Field | undefined;
  readonly ifPattern: RegExp | undefined;
  readonly keepDots: boolean;
}

class CompiledRule implements Counting {
  readonly reads: readonly Field[];
  readonly key = new SeriesKey();
  readonly #rule: Rule;
  readonly #fields: readonly Field[];
  readonly #usesTag: boolean;
  #tag = '';
  #tagBytes: Uint8Array = new Uint8Array();
  #value = 0;
  #member = '';
  #other: SeriesSlot | undefined;

  constructor(rule: Rule) {
    this.#rule = rule;
    const pieces = [...rule.name, ...rule.tags.flatMap(([, value]) => value)];
    this.#fields = pieces.flatMap((piece) => (typeof piece === 'object' && 'field' in piece ? [piece.field] : []));
    this.#usesTag = pieces.some((piece) => typeof piece === 'object' && 'tagPart' in piece);
    this.reads = [...this.#fields, rule.value, rule.ifField].filter((each) => each !== undefined);
  }

  match(event: EventView): true | 'not meant' | 'incomplete' {
    const { ifField, ifPattern, index } = this.#rule;
    if (ifField !== undefined && !holds(event, ifField, ifPattern)) return 'not meant';
    if (!this.#readValue(event)) return 'incomplete';
    const { key } = this;
    key.begin(index);
    if (this.#usesTag) {
      if (event.tag !== this.#tag) {
        this.#tag = event.tag;
        this.#tagBytes = Buffer.from(event.tag, 'utf8');
      }
      key.put(this.#tagBytes, 0, this.#tagBytes.length);
    }
    for (const each of this.#fields) if (!this.#putField(event, each)) return 'incomplete';
    key.finish();
    return true;
  }

  #readValue(event: EventView): boolean {
    const { value, fixed, scale, kind } = this.#rule;
    if (value === undefined) {
      this.#value = fixed;
      return true;
    }
    if (kind === 'set') {
      const member = event.str(value);
      this.#member = member ?? '';
      return member !== undefined;
    }
    const number = event.num(value);
    if (number === undefined || !Number.isFinite(number)) return false;
    this.#value = number * scale;
    return Number.isFinite(this.#value);
  }

  #putField(event: EventView, each: Field): boolean {
    if (event.locate(each)) return this.key.put(event.bytes, event.from, event.to);
    const number = event.num(each);
    if (number !== undefined && number >= 0 && Number.isSafeInteger(number)) return this.key.putDigits(number);
    const printed = event.str(each);
    if (printed === undefined) return false;
    const bytes = Buffer.from(printed, 'utf8');
    return this.key.put(bytes, 0, bytes.length);
  }

  slot(event: EventView, key: Uint8Array, hash: number): SeriesSlot {
    const { name, tags, keepDots } = this.#rule;
    const pairs = tags.map(([tag, value]): [string, string] => [tag, fill(value, event, (text) => cut(text))]);
    return {
      key,
      hash,
      next: undefined,
      name: fill(name, event, (text) => (keepDots ? cleanPath(cut(text)) : cleanSegment(cut(text)))),
      tags: pairs.length === 0 ? undefined : Object.fromEntries(pairs),
      cell: undefined,
      interval: Number.NaN,
    };
  }

  other(event: EventView): SeriesSlot {
    const { name, tags } = this.#rule;
    const print = (pieces: readonly Piece[]): string =>
      pieces.map((piece) => (typeof piece === 'string' ? piece : '_other')).join('');
    this.#other ??= {
      ...this.slot(event, new Uint8Array(), 0),
      name: print(name),
      tags: tags.length === 0 ? undefined : Object.fromEntries(tags.map(([tag, value]) => [tag, print(value)])),
    };
    return this.#other;
  }

  add(cell: Cell, atMs: number): void {
    if (this.#rule.kind === 'set') cell.unique(this.#member);
    else cell.add(this.#rule.kind, this.#value, atMs);
  }
}

function holds(event: EventView, each: Field, pattern: RegExp | undefined): boolean {
  if (pattern === undefined) return event.has(each);
  const text = event.str(each);
  return text !== undefined && pattern.test(text);
}

// The same cut as in the key, in bytes, so that one key has one name; a character cut in two is dropped.
function cut(text: string): string {
  const bytes = Buffer.from(text, 'utf8');
  return bytes.length <= MAX_VALUE ? text : bytes.toString('utf8', 0, MAX_VALUE).replace(/\uFFFD+$/, '');
}

function fill(pieces: readonly Piece[], event: EventView, clean: (text: string) => string): string {
  let filled = '';
  for (const piece of pieces) {
    if (typeof piece === 'string') filled += piece;
    else if ('field' in piece) filled += clean(event.str(piece.field) ?? '');
    else if (piece.tagPart === 'all') filled += cleanPath(event.tag);
    else filled += clean(event.tag.split('.').at(piece.tagPart) ?? '');
  }
  return filled;
}

// ---- compiling --------------------------------------------------------------------------------

const KINDS: Readonly<Record<string, readonly [kind: MetricKind, fixed: number | undefined]>> = {
  count: ['count', 1],
  increment: ['count', 1],
  decrement: ['count', -1],
  gauge: ['gauge', undefined],
  timer: ['timer', undefined],
  timing: ['timer', undefined],
  set: ['set', undefined],
};

export function compileMetric(metric: MetricConfig, config: LogToMetricConfig, index: number): Counting {
  const compiled = compile(metric, config, index);
  if (typeof compiled !== 'string') return new CompiledRule(compiled);
  throw new Error(compiled);
}

/** What is wrong with the sections; each text names the place. */
export function problemsOf(config: LogToMetricConfig): string[] {
  const problems = config.metric
    .map((metric, index) => compile(metric, config, index))
    .filter((each) => typeof each === 'string');
  if (config.percent_threshold.includes(0)) problems.push('percent_threshold: 0 is no percentile');
  return problems;
}

/** @returns the rule, or what is wrong with it */
function compile(metric: MetricConfig, config: LogToMetricConfig, index: number): Rule | string {
  const where = `<metric> ${index + 1}`;
  const nameText = metric.name ?? metric.statsd_key;
  if (nameText === undefined) return `${where}: name is missing`;
  const type = metric.type ?? metric.statsd_type ?? 'count';
  const known = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (known === undefined) return `${where}: unknown type ${type}; one of ${Object.keys(KINDS).join(', ')}`;
  const name = compileText(config.prefix === '' ? nameText : `${config.prefix}.${nameText}`, cleanPath);
  if (typeof name === 'string') return `${where}: ${name}`;
  const tags: [string, Piece[]][] = [];
  for (const [tag, value] of Object.entries(metric.tags ?? {})) {
    const pieces = compileText(String(value), (literal) => literal);
    if (typeof pieces === 'string') return `${where}: tag ${tag}: ${pieces}`;
    tags.push([tag, pieces]);
  }
  const value = valueOf(metric, known[1]);
  if (typeof value === 'string') return `${where}: ${value}`;
  if (value.field === undefined && value.fixed === undefined) return `${where}: a ${type} needs value_key`;
  if (metric.if_pattern !== undefined && metric.if_key === undefined) return `${where}: if_pattern needs if_key`;
  return {
    index,
    kind: known[0],
    name,
    tags,
    value: value.field,
    fixed: (value.fixed ?? 0) * metric.scale,
    // A count of events by -1 does not turn the sign of a field that is counted down by.
    scale: metric.scale * value.scale * (type === 'decrement' ? -1 : 1),
    ifField: metric.if_key === undefined ? undefined : fieldOf(metric.if_key),
    ifPattern: metric.if_pattern,
    keepDots: config.keep_dots,
  };
}

interface Value {
  readonly field: Field | undefined;
  readonly fixed: number | undefined;
  readonly scale: number;
}

const ARITHMETIC = /^\$\{\s*(.+?)\s*(?:\.to_[fi]\s*)?(?:([*/])\s*(\d+(?:\.\d+)?)\s*)?\}(?:\s*([*/])\s*(\d+(?:\.\d+)?))?$/;

function valueOf(metric: MetricConfig, fixed: number | undefined): Value | string {
  if (metric.value_key !== undefined) return { field: fieldOf(metric.value_key), fixed: undefined, scale: 1 };
  const source = metric.statsd_val?.trim();
  if (source === undefined) return { field: undefined, fixed, scale: 1 };
  if (source !== '' && Number.isFinite(Number(source))) return { field: undefined, fixed: Number(source), scale: 1 };
  const [, inner, operator, operand, outerOperator, outerOperand] = ARITHMETIC.exec(source) ?? [];
  const piece = inner === undefined ? undefined : placeholder(inner.replace(/\.to_[fi]$/, ''));
  if (typeof piece !== 'object' || !('field' in piece)) return `statsd_val: not understood (no Ruby is run): ${source}`;
  return { field: piece.field, fixed: undefined, scale: factor(operator, operand) * factor(outerOperator, outerOperand) };
}

function factor(operator: string | undefined, operand: string | undefined): number {
  if (operator === undefined || Number(operand) === 0) return 1;
  return operator === '*' ? Number(operand) : 1 / Number(operand);
}

/** `host` and `source.ip` by name, `$.source.ip` and `$['a.b'][0]` as record accessors. */
function fieldOf(name: string): Field {
  const parsed = parseAccessor(name);
  return field(typeof parsed === 'object' && 'error' in parsed ? name : parsed);
}

/** @returns the pieces, or what is wrong */
function compileText(source: string, clean: (literal: string) => string): Piece[] | string {
  const pieces: Piece[] = [];
  for (const part of source.split(/(\$\{[^}]*\})/)) {
    if (part === '') continue;
    if (!part.startsWith('${')) {
      pieces.push(clean(part));
      continue;
    }
    const piece = placeholder(part.slice(2, -1).trim());
    if (piece === undefined) return `placeholder not understood (no Ruby is run): ${part}`;
    pieces.push(typeof piece === 'string' ? clean(piece) : piece);
  }
  return pieces;
}

function placeholder(inner: string): Piece | undefined {
  if (inner === 'tag') return { tagPart: 'all' };
  if (inner === 'hostname') return hostname();
  const part = /^tag(?:_parts)?\[(-?\d{1,4})\]$/.exec(inner)?.[1];
  if (part !== undefined) return { tagPart: Number(part) };
  const steps = /^record((?:\[(?:"[^"]*"|'[^']*'|-?\d{1,9})\])+)$/.exec(inner)?.[1];
  if (steps !== undefined) {
    const found = Array.from(
      steps.matchAll(/\[(?:"([^"]*)"|'([^']*)'|(-?\d+))\]/g),
      ([, a, b, index]) => a ?? b ?? Number(index),
    );
    return { field: field(found) };
  }
  // A plain name; what looks like code is refused.
  return /^[\p{L}\p{N}_@$.-]+$/u.test(inner) ? { field: fieldOf(inner) } : undefined;
}

// ---- events that say themselves what they count -----------------------------------------------

/** fluent-plugin-statsd: `statsd_type` chooses, `statsd_key` is the name, the value is in the field of that type. */
export function compileRecordDriven(config: LogToMetricConfig): Counting {
  const typeField = field('statsd_type');
  const make = (index: number, kind: MetricKind, value: string | undefined, fixed: number, scale: number): CompiledRule =>
    new CompiledRule({
      index,
      kind,
      name: [...(config.prefix === '' ? [] : [`${cleanPath(config.prefix)}.`]), { field: field('statsd_key') }],
      tags: [],
      value: value === undefined ? undefined : field(value),
      fixed,
      scale,
      ifField: undefined,
      ifPattern: undefined,
      keepDots: true,
    });
  const byType = new Map([
    ['timing', make(1, 'timer', 'statsd_timing', 0, config.timing_scale)],
    ['gauge', make(2, 'gauge', 'statsd_gauge', 0, 1)],
    ['count', make(3, 'count', 'statsd_count', 0, 1)],
    ['set', make(4, 'set', 'statsd_set', 0, 1)],
    ['increment', make(5, 'count', undefined, 1, 1)],
    ['decrement', make(6, 'count', undefined, -1, 1)],
  ]);
  let rule = byType.get('increment') as CompiledRule;
  return {
    reads: [typeField, ...[...byType.values()].flatMap((each) => each.reads)],
    get key() {
      return rule.key;
    },
    match(event) {
      const found = byType.get(event.str(typeField) ?? '');
      if (found === undefined) return 'not meant';
      rule = found;
      return rule.match(event);
    },
    slot: (event, key, hash) => {
      const slot = rule.slot(event, key, hash);
      // What the Ruby client makes of names; the colon of other characters is cleaned by us anyway.
      return { ...slot, name: slot.name.replaceAll('::', '.').replace(/[:|@]/g, '_') };
    },
    other: (event) => rule.other(event),
    add: (cell, atMs) => rule.add(cell, atMs),
  };
}
