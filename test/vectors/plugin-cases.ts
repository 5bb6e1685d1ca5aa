/** What the vectors of parsers, filters and in_tail have in common: their sections, and components made from them. */
import type { Context, Definition, Formatter, Parser } from '../../engine/component.ts';
import { loadConfigText } from '../../engine/config/load.ts';
import type { Section } from '../../engine/config/model.ts';
import { paramText, sectionFromData, sectionToInput } from '../../engine/config/section.ts';
import { MillraceError } from '../../engine/errors.ts';
import { EventTimeValue } from '../../engine/events/msgpack.ts';
import { testContext, type TestContextOptions } from '../../engine/testing/driver.ts';
import { apacheParser } from '../../plugins/parse/apache.ts';
import { apache2Parser } from '../../plugins/parse/apache2.ts';
import { apacheErrorParser } from '../../plugins/parse/apache-error.ts';
import { csvParser } from '../../plugins/parse/csv.ts';
import { jsonParser } from '../../plugins/parse/json.ts';
import { ltsvParser } from '../../plugins/parse/ltsv.ts';
import { msgpackParser } from '../../plugins/parse/msgpack.ts';
import { multilineParser } from '../../plugins/parse/multiline.ts';
import { nginxParser } from '../../plugins/parse/nginx.ts';
import { noneParser } from '../../plugins/parse/none.ts';
import { regexpParser } from '../../plugins/parse/regexp.ts';
import { syslogParser } from '../../plugins/parse/syslog.ts';
import { tsvParser } from '../../plugins/parse/tsv.ts';

export const PARSERS: ReadonlyMap<string, Definition> = new Map(
  [
    apacheParser,
    apache2Parser,
    apacheErrorParser,
    csvParser,
    jsonParser,
    ltsvParser,
    msgpackParser,
    multilineParser,
    nginxParser,
    noneParser,
    regexpParser,
    syslogParser,
    tsvParser,
  ].map((one) => [one.name, one as unknown as Definition]),
);

/** 2026-11-22T12:20:00Z, the present of the vectors. */
export const NOW_MS = 1_795_350_000_000;

type Tree = { readonly name?: string; readonly arg?: string; readonly attrs?: object; readonly elements?: readonly Tree[] };

/** A configuration as text, or already taken apart, as one section. */
export function sectionOf(config: unknown): Section {
  if (typeof config === 'string') {
    const { root, problems } = loadConfigText('vector.conf', `<case>\n${config}\n</case>\n`, { env: {}, hostname: 'testhost' });
    const [problem] = problems.filter(({ severity }) => severity === 'error');
    if (problem !== undefined) throw new MillraceError('MR_CONFIG', problem.message);
    return root.sections[0] as Section;
  }
  const { params = {}, sections = [] } = (config ?? {}) as { params?: object; sections?: readonly Tree[] };
  return treeSection({ name: 'case', attrs: params, elements: sections });
}

function treeSection({ name = '', arg = '', attrs = {}, elements = [] }: Tree): Section {
  const section = sectionFromData(name, attrs as Record<string, unknown>, arg);
  return { ...section, sections: elements.map(treeSection) };
}

/** @throws when the configuration is refused, by its schema, `check` or `create` */
export function makeFrom<T>(
  definition: Definition,
  section: Section,
  options: TestContextOptions = {},
): { made: T; ctx: Context } {
  const parsed = definition.config.safeParse(sectionToInput(section));
  if (!parsed.success) throw new MillraceError('MR_CONFIG', parsed.error.message);
  const [problem] = definition.check?.(parsed.data) ?? [];
  if (problem !== undefined) throw new MillraceError('MR_CONFIG', problem);
  const ctx = testContext(definition, {
    parser: (parse, type) => parserOf(parse, type, options.clock === undefined ? {} : { clock: options.clock }),
    formatter: noFormatter,
    ...options,
  });
  return { made: definition.create(parsed.data, ctx as never) as T, ctx };
}

export function parserOf(section: Section | undefined, fallbackType = '', options: TestContextOptions = {}): Parser {
  const type = (section && paramText(section, '@type')) ?? fallbackType;
  const definition = PARSERS.get(type);
  if (definition === undefined) throw new Pending(type);
  return makeFrom<Parser>(definition, section ?? sectionFromData('parse', {}), options).made;
}

/** A parser that is still to come. */
export class Pending extends Error {}

const noFormatter = (): Formatter => {
  throw new Pending('formatter');
};

/** Decoded values in the spelling of the vectors. */
export function spelled(value: unknown): unknown {
  if (value instanceof EventTimeValue) return { sec: value.seconds, nsec: value.nanoseconds };
  if (typeof value === 'number' && !Number.isFinite(value)) return { $float: Number.isNaN(value) ? 'NaN' : String(value) };
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return { $bin_hex: Buffer.from(value).toString('hex') };
  if (Array.isArray(value)) return value.map(spelled);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, spelled(inner)]));
}

/** Values of a vector as an event holds them: `$bin_hex` as bytes. */
export function bytesOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(bytesOf);
  if (typeof value !== 'object' || value === null) return value;
  if ('$bin_hex' in value) return Buffer.from(String(value.$bin_hex), 'hex');
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, bytesOf(inner)]));
}
