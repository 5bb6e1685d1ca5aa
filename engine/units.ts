/**
 * The kinds of values a configuration holds. Each accepts the text of `fluent.conf` as well as the typed
 * value of YAML, and carries `.meta({ kind, unit })` from which the reference pages are generated.
 *
 * Texts are read as a person means them: `100ms`, `1.5h` and `1h30m` are what they say (Fluentd reads 6000 s,
 * 5 h and 30 min), and a typing error is an error, never 0 or false.
 */
import * as z from 'zod';
import { isSection, sectionFromData, sectionToData, sectionToInput } from './config/section.ts';
import { translateRubyRegexp } from './config/ruby-regexp.ts';
import type { Section } from './config/model.ts';

type Bounds = { readonly min?: number; readonly max?: number };
type Issue = { addIssue(message: string): void };

/** Text; numbers and booleans of YAML are printed. */
export function text() {
  return z.union([z.string(), z.number(), z.boolean()], { error: 'expected text' }).transform(String).meta({ kind: 'text' });
}

/** Text that never appears in any output. */
export function secret() {
  return text().meta({ kind: 'text', secret: true });
}

/** A whole number; digits may be grouped with `_`, `0x` is hexadecimal, `0o` octal, `0b` binary. */
export function integer({ min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER }: Bounds = {}) {
  return z
    .union([z.number(), z.string()], { error: 'expected a whole number' })
    .transform((value, ctx) => bounded(parseInteger(value), { min, max }, 'expected a whole number', ctx))
    .meta({ kind: 'integer', ...shown(min, max) });
}

export function float({ min = -Infinity, max = Infinity }: Bounds = {}) {
  return z
    .union([z.number(), z.string()], { error: 'expected a number' })
    .transform((value, ctx) => bounded(parseFloating(value), { min, max }, 'expected a number', ctx))
    .meta({ kind: 'float', ...shown(min, max) });
}

/** `true yes`, `false no`; a name without a value is true. */
export function bool() {
  return z
    .union([z.boolean(), z.string()], { error: 'expected true or false' })
    .transform((value, ctx): boolean => {
      if (typeof value === 'boolean') return value;
      // `key # why` reaches us as the value `# why`: a flag with a comment.
      if (value === 'true' || value === 'yes' || value === '' || value.startsWith('#')) return true;
      if (value === 'false' || value === 'no') return false;
      ctx.addIssue('expected true or false (or yes, no)');
      return z.NEVER;
    })
    .meta({ kind: 'bool' });
}

/** A span of time, in milliseconds. A bare number means seconds. Bounds and defaults are in milliseconds. */
export function duration({ min = 0, max = Infinity }: Bounds = {}) {
  return z
    .union([z.number(), z.string()], { error: EXPECTED_DURATION })
    .transform((value, ctx) => bounded(parseDuration(value), { min, max }, EXPECTED_DURATION, ctx, ' ms'))
    .meta({ kind: 'duration', unit: 'milliseconds', ...shown(min, max) });
}
const EXPECTED_DURATION = 'expected a duration such as 10s, 500ms or 1h30m (a bare number means seconds)';

/** An amount of bytes; k, m, g, t count in steps of 1024. */
export function size({ min = 0, max = Number.MAX_SAFE_INTEGER }: Bounds = {}) {
  return z
    .union([z.number(), z.string()], { error: EXPECTED_SIZE })
    .transform((value, ctx) => bounded(parseSize(value), { min, max }, EXPECTED_SIZE, ctx, ' bytes'))
    .meta({ kind: 'size', unit: 'bytes', ...shown(min, max) });
}
const EXPECTED_SIZE = 'expected a size such as 512k, 8m or 1g (a bare number means bytes)';

/** A TCP or UDP port; 0 lets the system choose. */
export function port() {
  return integer({ min: 0, max: 65_535 }).meta({ kind: 'port', min: 0, max: 65_535 });
}

/** A host name or IP address, as it is handed to the system. */
export function address() {
  return text()
    .refine((value) => value !== '' && !/[\s/]/.test(value), { error: 'expected a host name or IP address' })
    .meta({ kind: 'address' });
}

/** Exactly one of the given words. */
export function oneOf<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: `expected one of ${words.join(', ')}` }).meta({ kind: 'enum' });
}

/** A list: JSON, or text split at commas with blanks trimmed. `list(integer())` converts the items. */
export function list(): z.ZodType<string[]>;
export function list<S extends z.ZodType>(item: S): z.ZodType<z.output<S>[]>;
export function list(item: z.ZodType = text()): z.ZodType<unknown[]> {
  return z.preprocess(readList, z.array(item, { error: 'expected a list: a,b,c or ["a","b","c"]' })).meta({ kind: 'list' });
}

/** A map: JSON, or `key:value,key:value`. `hash(integer())` converts the values. */
export function hash(): z.ZodType<Record<string, unknown>>;
export function hash<S extends z.ZodType>(value: S): z.ZodType<Record<string, z.output<S>>>;
export function hash(value: z.ZodType = z.unknown()): z.ZodType<Record<string, unknown>> {
  return z
    .preprocess(readHash, z.record(z.string(), value, { error: 'expected a map: key:value,key:value or {"key":"value"}' }))
    .meta({ kind: 'hash' });
}

/** `/source/flags` in Ruby's syntax (flags `i`, and `m`: dot matches line feeds), or a source without slashes. */
export function regexp() {
  return z
    .string({ error: 'expected a regular expression such as /^GET /' })
    .transform((value, ctx): RegExp => {
      const result = parseRegexp(value);
      if (typeof result !== 'string') return result;
      ctx.addIssue(result);
      return z.NEVER;
    })
    .meta({ kind: 'regexp' });
}

type SectionOptions = {
  /** Key of the schema that takes the section's argument: `<buffer tag,time>`. */
  readonly arg?: string;
};

/** One sub-section. With `.prefault({})` an absent section takes the defaults of its schema. */
export function section<S extends z.ZodType>(schema: S, options: SectionOptions = {}) {
  return z.preprocess((value, ctx) => oneInput(value, schema, options, issueOf(ctx)), schema).meta({ kind: 'section' });
}

/** A sub-section that may be given several times; absent means none. */
export function sections<S extends z.ZodType>(schema: S, options: SectionOptions & { readonly min?: number } = {}) {
  const items = z.array(schema).min(options.min ?? 0, { error: `expected at least ${options.min ?? 0}` });
  return z
    .preprocess((value) => (Array.isArray(value) ? value : [value]).map((item: unknown) => inputOf(item, schema, options)), items)
    .prefault([])
    .meta({ kind: 'sections' });
}

/** One sub-section, untouched, for `ctx.parser` and `ctx.formatter`. */
export function rawSection() {
  return z
    .unknown()
    .transform((value, ctx): Section => {
      const one = onlyOne(value, ctx);
      if (isSection(one)) return one;
      if (isRecord(one)) return sectionFromData('', one);
      ctx.addIssue('expected a section');
      return z.NEVER;
    })
    .meta({ kind: 'rawSection' });
}

/** Every sub-section of that name, untouched: `<store>` of copy. */
export function rawSections() {
  return z
    .unknown()
    .transform((value, ctx): Section[] => {
      const all = Array.isArray(value) ? value : [value];
      const found = all.map((item: unknown) => (isRecord(item) && !isSection(item) ? sectionFromData('', item) : item));
      if (found.every(isSection)) return found;
      ctx.addIssue('expected a section');
      return z.NEVER;
    })
    .prefault([])
    .meta({ kind: 'rawSections' });
}

/** A sub-section whose names are the user's own: `<record>`, `<headers>`. Nested sections become nested objects. */
export function attributes() {
  return z
    .unknown()
    .transform((value, ctx): Record<string, unknown> => {
      const all = Array.isArray(value) ? value : [value];
      // Repeated <record> sections add up, as in Fluentd; the later one wins.
      const parts = all.map((item: unknown) => (isSection(item) ? sectionToData(item) : item));
      if (parts.every(isRecord)) return Object.fromEntries(parts.flatMap((part) => Object.entries(part)));
      ctx.addIssue('expected a section');
      return z.NEVER;
    })
    .meta({ kind: 'attributes' });
}

// ---- the readings as plain functions; undefined: not of that form ------------------------------

export function parseInteger(value: number | string): number | undefined {
  const digits = typeof value === 'number' ? value : value.trim();
  if (typeof digits === 'number') return Number.isSafeInteger(digits) ? digits : undefined;
  if (!/^[+-]?(?:\d+(?:_\d+)*|0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO][0-7]+)$/.test(digits)) return undefined;
  const plain = digits.replaceAll('_', '').replace(/^[+-]/, '');
  const number = digits.startsWith('-') ? -Number(plain) : Number(plain);
  return Number.isSafeInteger(number) ? number : undefined;
}

export function parseFloating(value: number | string): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  const trimmed = value.trim();
  if (!/^[+-]?(?:\d+(?:_\d+)*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(trimmed)) return undefined;
  const number = Number(trimmed.replaceAll('_', ''));
  return Number.isFinite(number) ? number : undefined;
}

/** @returns milliseconds */
export function parseDuration(value: number | string): number | undefined {
  const seconds = parseFloating(value);
  if (seconds !== undefined) return roundTo(seconds * 1000);
  const trimmed = String(value).trim();
  const sign = trimmed.startsWith('-') ? -1 : 1;
  const body = trimmed.replace(/^[+-]/, '');
  if (!/^(?:\d+(?:\.\d+)?\s*[a-z]+\s*)+$/.test(body)) return undefined;
  let total = 0;
  let previous = Infinity;
  for (const [, amount, unit] of body.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)/g)) {
    const ms = MS_PER_UNIT.get(unit ?? '');
    // Falling units only: `30m1h` and `1s1s` are typing errors rather than sums.
    if (ms === undefined || ms >= previous) return undefined;
    previous = ms;
    total += Number(amount) * ms;
  }
  return sign * roundTo(total);
}

const MS_PER_UNIT = new Map(
  Object.entries({
    1: 'ms',
    1000: 's sec secs second seconds',
    60_000: 'm min mins minute minutes',
    3_600_000: 'h hour hours',
    86_400_000: 'd day days',
    604_800_000: 'w week weeks',
  }).flatMap(([ms, names]) => names.split(' ').map((name): [string, number] => [name, Number(ms)])),
);

/** @returns bytes, rounded down */
export function parseSize(value: number | string): number | undefined {
  const plain = parseInteger(value);
  if (plain !== undefined) return plain;
  const found = /^([+-]?\d+(?:_\d+)*(?:\.\d+)?)\s*(?:([kmgt])(?:i?b)?|b)$/i.exec(String(value).trim());
  if (!found) return undefined;
  const power = found[2] === undefined ? 0 : 'kmgt'.indexOf(found[2].toLowerCase()) + 1;
  return Math.trunc(Number(found[1]?.replaceAll('_', '')) * 1024 ** power);
}

/** @returns the expression, or a text that says what is wrong with it */
export function parseRegexp(value: string): RegExp | string {
  if (!value.startsWith('/')) return translateRubyRegexp(value);
  const end = value.lastIndexOf('/');
  if (end === 0 && value !== '/') return 'expected a closing / at the end of the regular expression';
  const flags = value.slice(end + 1).trim();
  if (value !== '/' && !/^[imx]{0,3}$/.test(flags)) return `unknown flag in /${flags}; i and m are known`;
  return translateRubyRegexp(end === 0 ? '' : value.slice(1, end), flags);
}

// ---- helpers -----------------------------------------------------------------------------------

// Decimal fractions such as 0.3 s must not become 300.00000000000006 ms.
const roundTo = (ms: number): number => Math.round(ms * 1e6) / 1e6;

function bounded(value: number | undefined, { min, max }: Required<Bounds>, expected: string, ctx: Issue, unit = ''): number {
  if (value === undefined) ctx.addIssue(expected);
  else if (value < min) ctx.addIssue(`expected at least ${min}${unit}`);
  else if (value > max) ctx.addIssue(`expected at most ${max}${unit}`);
  else return value;
  return z.NEVER;
}

function shown(min: number, max: number): Bounds {
  return {
    ...(Number.isFinite(min) && min !== Number.MIN_SAFE_INTEGER && { min }),
    ...(Number.isFinite(max) && max !== Number.MAX_SAFE_INTEGER && { max }),
  };
}

function readList(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  if (trimmed === '') return [];
  if (trimmed.startsWith('[')) return parseJson(trimmed) ?? value;
  const items = trimmed.split(',').map((item) => item.trim());
  while (items.at(-1) === '') items.pop();
  return items;
}

function readHash(value: unknown): unknown {
  // A map in YAML arrives as a sub-section.
  if (Array.isArray(value) && value.length === 1 && isSection(value[0])) return sectionToData(value[0]);
  if (typeof value !== 'string') return value;
  const trimmed = value.trim();
  if (trimmed === '') return {};
  if (trimmed.startsWith('{')) return parseJson(trimmed) ?? value;
  return Object.fromEntries(
    trimmed.split(',').map((pair) => {
      const colon = pair.indexOf(':');
      return colon < 0 ? [pair.trim(), null] : [pair.slice(0, colon).trim(), pair.slice(colon + 1).trim()];
    }),
  );
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source) as unknown;
  } catch {
    // The schema behind says what was expected; the place is in the configuration, not in the JSON.
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const issueOf = (ctx: z.core.$RefinementCtx): Issue => ({ addIssue: (message) => ctx.addIssue(message) });

function onlyOne(value: unknown, ctx: Issue): unknown {
  if (!Array.isArray(value)) return value;
  if (value.length > 1) ctx.addIssue(`expected one section, found ${value.length}`);
  return value[0];
}

function oneInput(value: unknown, schema: z.ZodType, options: SectionOptions, ctx: Issue): unknown {
  return inputOf(onlyOne(value, ctx), schema, options);
}

function inputOf(value: unknown, schema: z.ZodType, { arg }: SectionOptions): unknown {
  if (!isSection(value)) return value;
  const input = sectionToInput(value, (name) => schema instanceof z.ZodObject && name in schema.shape);
  return arg === undefined || value.arg === '' ? input : { ...input, [arg]: value.arg };
}
