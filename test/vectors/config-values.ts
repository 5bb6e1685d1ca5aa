import type * as z from 'zod';
import { memoryFiles } from '../../engine/config/files.ts';
import { loadConfigText } from '../../engine/config/load.ts';
import * as units from '../../engine/units.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';

/**
 * Values are read as a person means them. Where Fluentd reads something else, or takes a typing error for a value,
 * an error or the plain meaning is the answer here; the pattern says which texts of a type are meant.
 */
const READ_OTHERWISE: Readonly<Record<string, ReadonlyArray<readonly [RegExp, string]>>> = {
  size: [
    [/[.]\d|^-|_/, 'fractions, signs and grouped digits mean what they say'],
    [/\d\s+[kmgt]$|b$/i, 'a blank before the unit does not matter, and b means bytes'],
    [/^\s|\s$/, 'blanks around a number do not matter'],
  ],
  time: [
    [/ms$|\d\.\d+[smhd]|[smhd]\d|^-|[A-Z]|\d\s+[smhd]/, 'fractions, milliseconds and sums mean what they say'],
    [/w$/, 'a week is a week'],
    [/^\s|\s$/, 'blanks around a number do not matter'],
  ],
  integer: [
    [/^\s|\s$/, 'blanks around a number do not matter'],
    [/^0[xXbBoO]/, 'a number with its base in front is one in both modes'],
    [/^[+-]?0\d/, 'a leading zero does not make a number octal'],
  ],
  float: [
    [/^\s|\s$/, 'blanks around a number do not matter'],
    [/^[+-]?(?:\d+\.|\.\d+)(?:e|$)/i, 'a point needs digits on one side only'],
    [/^0[xX]/, 'hexadecimal floating point is not known'],
  ],
  regexp: [[/^\/.*\/[^imx]/, 'an unknown flag is an error']],
};

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield item.group === 'literal' ? runLiteral(item) : runType(item);
  },
};

function runLiteral(item: Case): CaseResult {
  const { id } = item;
  const { root, problems } = loadConfigText('main.conf', `k ${item['input'] as string}\n`, {
    env: (item['env'] ?? {}) as Record<string, string>,
    hostname: 'testhost',
    files: memoryFiles({}),
  });
  const error = problems.find((problem) => problem.severity === 'error');
  if (error !== undefined) {
    // What needs Ruby, or variables that only the recording had, is to be refused.
    const isRuby = item['embedded'] === 'ruby' || item['embedded'] === 'needs-variables';
    return isRuby || expectsError(item.expected) ? { id } : { id, difference: error.message };
  }
  const value = root.params.get('k')?.value;
  if (expectsError(item.expected)) return { id, difference: `expected an error, got ${shown(value)}` };
  if (value === undefined) return compared(id, { special: 'use_default' }, item.expected);
  // A name without a value is the empty text in a whole file (config-parse has such cases); here the bare literal is nothing.
  return compared(id, { value: item['input'] === '' && value === '' ? null : value }, item.expected);
}

function runType(item: Case): CaseResult {
  const { id } = item;
  const type = item['type'] as string;
  const raw = item['raw'] as string;
  const result = readAs(type, raw, (item['options'] ?? {}) as Options);
  const isStrict = item['strict'] === true;
  const matches =
    result === undefined
      ? expectsError(item.expected)
      : !expectsError(item.expected) && compared(id, { value: result.value }, item.expected).difference === undefined;
  if (matches) return { id };
  const otherwise = READ_OTHERWISE[type]?.find(([pattern]) => pattern.test(raw));
  if (otherwise !== undefined) return { id, skipped: otherwise[1] };
  if (result === undefined && !isStrict) return { id, skipped: 'a typing error is an error, also without strict_config_value' };
  if (result === undefined && EASY_IN_STRICT.has(type))
    return { id, skipped: 'a typing error is an error, where Fluentd takes the part that fits' };
  return {
    id,
    difference: `${type} ${JSON.stringify(raw)}: expected ${shown(item.expected)}, got ${result === undefined ? 'an error' : shown(result)}`,
  };
}

/** Types whose reading does not become strict with strict_config_value. */
const EASY_IN_STRICT = new Set(['size', 'time', 'hash', 'array']);

interface Options {
  readonly list?: readonly [string, ...string[]];
  readonly value_type?: string;
}

function readAs(type: string, raw: string, { list = [''], value_type: inner }: Options): { readonly value: unknown } | undefined {
  if (type === 'symbol') return { value: raw === '' ? null : raw.replace(/^:/, '') };
  if (type === 'regexp') return readRegexp(raw);
  const item = inner === undefined ? undefined : schemaOf(inner);
  const schema =
    type === 'array'
      ? item
        ? units.list(item)
        : units.list()
      : type === 'hash'
        ? item
          ? units.hash(item)
          : units.hash()
        : type === 'enum'
          ? units.oneOf(list)
          : schemaOf(type);
  const result = schema.safeParse(raw);
  if (!result.success) return undefined;
  const { data } = result;
  if (type === 'time' && typeof data === 'number') return { value: data / 1000 };
  if (type === 'hash' && inner === 'time')
    return { value: Object.fromEntries(Object.entries(data as Record<string, number>).map(([key, ms]) => [key, ms / 1000])) };
  // The list of numbers of a JSON text stays one without a type for its items.
  if (type === 'array' && inner === undefined && raw.trim().startsWith('[')) return { value: JSON.parse(raw) as unknown };
  return { value: data };
}

function schemaOf(type: string): z.ZodType {
  const schemas: Readonly<Record<string, () => z.ZodType>> = {
    integer: units.integer,
    float: units.float,
    // Values below zero are refused by default; parameters that know them say so.
    size: () => units.size({ min: -Number.MAX_SAFE_INTEGER }),
    time: () => units.duration({ min: -Infinity }),
    bool: units.bool,
    string: units.text,
  };
  return (schemas[type] ?? units.text)();
}

/** Compares what the expression means by its source: what was written, with the flags found. */
function readRegexp(raw: string): { readonly value: unknown } | undefined {
  const regexp = units.parseRegexp(raw);
  if (typeof regexp === 'string') return undefined;
  const slashed = raw.startsWith('/');
  const end = raw.lastIndexOf('/');
  const flags = slashed && end > 0 ? raw.slice(end + 1) : '';
  return {
    value: {
      source: slashed ? raw.slice(1, Math.max(end, 1)) : raw,
      ignorecase: regexp.ignoreCase,
      multiline_dotall: flags.includes('m'),
    },
  };
}
