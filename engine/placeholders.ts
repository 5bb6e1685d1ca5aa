/**
 * Placeholders in paths, index names and topics of buffered outputs: `%Y%m%d`, `${tag}`, `${tag[1]}`, `${key}`, `${chunk_id}`.
 * What is filled in are the chunk keys that `<buffer KEYS>` names; without chunk keys nothing is.
 * @see https://docs.fluentd.org/configuration/buffer-section#placeholders
 */
import { parseAccessor } from './events/record-accessor.ts';
import { compileStrftime } from './time/strftime.ts';
import { isTimezone, zoneOf, type Zone, type ZoneOptions } from './time/zone.ts';

export interface ChunkKeys {
  readonly time: boolean;
  readonly tag: boolean;
  /** Names of fields, in order; `$.a.b` reaches into nested ones. */
  readonly fields: readonly string[];
}

/** What the events of one chunk have in common. */
export interface ChunkValues {
  /** Start of the slice of time, seconds since the epoch. */
  readonly timekey?: number | undefined;
  readonly tag?: string | undefined;
  readonly variables?: Readonly<Record<string, string>> | undefined;
}

export interface TimekeyOptions extends ZoneOptions {
  /** Width of a slice, seconds. */
  readonly width: number;
}

/** Fills a template in; an error when what is filled in would lead out of the directory that the template names. */
export type Expand = (values: ChunkValues, chunkId?: string) => string | { readonly error: string };

/** Reads the argument of `<buffer>`: `time, tag, host, $.source.ip`, or the same as a JSON list. */
export function parseChunkKeys(arg: string): ChunkKeys | { readonly error: string } {
  const names = namesOf(arg.trim());
  for (const name of names) {
    if (name.startsWith('$[')) return { error: `${name}: a chunk key is written in dot notation, $.a.b` };
    const isField = name.startsWith('$.') ? isAccessor(name) : /^[-\w.@]+$/.test(name);
    if (!isField) return { error: `${name === '' ? 'an empty name' : name} cannot be a chunk key` };
  }
  return {
    time: names.includes('time'),
    tag: names.includes('tag'),
    fields: names.filter((name) => name !== 'time' && name !== 'tag'),
  };
}

function namesOf(arg: string): string[] {
  if (arg === '') return [];
  if (arg.startsWith('[')) {
    try {
      const names = JSON.parse(arg) as unknown;
      if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names;
    } catch {
      // Then it is refused as the name that it is read as below.
    }
  }
  return arg.split(',').map((name) => name.trim());
}

function isAccessor(text: string): boolean {
  const accessor = parseAccessor(text);
  return typeof accessor === 'string' || !('error' in accessor);
}

/** Start of the slice that a time falls into, seconds; slices begin at midnight of the zone. */
export function timekeyOf(seconds: number, width: number, zone: Zone): number {
  const wall = seconds + zone.offsetAt(seconds);
  return seconds - (((wall % width) + width) % width);
}

/** Zone of `timekey_zone` and `timekey_use_utc`. */
export function timekeyZone(options: {
  readonly timekey_zone?: string | undefined;
  readonly timekey_use_utc?: boolean | undefined;
}): Zone | { readonly error: string } {
  const { timekey_zone: timezone, timekey_use_utc: utc } = options;
  if (timezone !== undefined && !isTimezone(timezone)) return { error: `timekey_zone: unknown zone ${timezone}` };
  return zoneOf({ timezone: utc === true ? undefined : timezone, utc, localtime: true });
}

/**
 * Compiles a template. Times come first and on the template alone, so a `%d` in a tag stays as it is.
 *
 * @param zone  of the printed times
 */
export function compilePlaceholders(template: string, keys: ChunkKeys, zone: Zone): Expand {
  const hasKeys = keys.time || keys.tag || keys.fields.length > 0;
  const print = keys.time ? compileStrftime(template, zone) : undefined;
  const ownClimbs = climbs(template);
  return (values, chunkId) => {
    let text = print !== undefined && values.timekey !== undefined ? print(values.timekey, 0) : template;
    let unsafe: string | undefined;
    const put = (value: string, checked = value): string => {
      if (isUnsafe(checked)) unsafe ??= checked;
      return value;
    };
    const { tag } = values;
    if (keys.tag && tag !== undefined) {
      const parts = tag.split('.');
      text = text.replaceAll(TAG, (_all, index: string | undefined) =>
        put(index === undefined ? tag : partAt(parts, index), tag),
      );
    }
    if (chunkId !== undefined && (hasKeys || text.includes('${chunk_id}'))) text = text.replace('${chunk_id}', () => chunkId);
    if (keys.fields.length > 0) {
      text = text.replaceAll(FIELD, (all, name: string) => {
        if (name === 'tag' || name === 'chunk_id') return all;
        return put(keys.fields.includes(name) ? (values.variables?.[name] ?? '') : '');
      });
    }
    // Single values may be harmless and still make up a `..` together.
    if (unsafe !== undefined || climbs(text) > ownClimbs)
      return { error: `${unsafe ?? text} would lead out of the directory of ${template}` };
    return text;
  };
}

/** `01` is no index, as in Fluentd, which looks the text up. */
const partAt = (parts: readonly string[], index: string): string => (/^-?0\d/.test(index) ? '' : (parts.at(Number(index)) ?? ''));

const TAG = /\$\{tag(?:\[(-?\d+)\])?\}/g;
const FIELD = /\$\{([-\w.@$]+)\}/g;

const climbs = (text: string): number => text.split(/[/\\]/).filter((part) => part === '..').length;
const isUnsafe = (value: string): boolean => /^[/\\]/.test(value) || climbs(value) > 0;

/** What is wrong with a template for these chunk keys: keys that it does not use would mix events, others stay empty. */
export function placeholderProblems(name: string, template: string, keys: ChunkKeys, timekey?: number): string[] {
  const problems: string[] = [];
  const width = finestWidth(template);
  if (keys.time && timekey !== undefined && (width === undefined || width > timekey))
    problems.push(`${name}: the chunk key time needs a placeholder as fine as its timekey of ${timekey} s, such as %Y%m%d%H%M`);
  if (!keys.time && width !== undefined && /%[YmdHMS]/.test(template))
    problems.push(`${name}: ${template} has placeholders of time, but time is no chunk key`);
  const usesTag = TAG_USED.test(template);
  if (keys.tag && !usesTag) problems.push(`${name}: the chunk key tag needs \${tag} in ${template}`);
  if (!keys.tag && usesTag) problems.push(`${name}: \${tag} needs the chunk key tag: <buffer tag>`);
  const used = [...template.matchAll(FIELD)]
    .map((found) => found[1] ?? '')
    .filter((field) => field !== 'tag' && field !== 'chunk_id');
  for (const field of keys.fields)
    if (!used.includes(field)) problems.push(`${name}: the chunk key ${field} needs \${${field}} in ${template}`);
  for (const field of used)
    if (!keys.fields.includes(field)) problems.push(`${name}: \${${field}} needs the chunk key ${field}: <buffer ${field}>`);
  return problems;
}

const TAG_USED = /\$\{tag(?:\[-?\d+\])?\}/;

/** Seconds that the finest directive of a template tells apart; undefined without any. */
function finestWidth(template: string): number | undefined {
  const widths: ReadonlyArray<readonly [RegExp, number]> = [
    [/%[STXcs+r]/, 1],
    [/%[MR]/, 60],
    [/%[HIkl]/, 3600],
    [/%[dejFDxuwaAv]/, 86_400],
    [/%[mbBh]/, 2_678_400],
    [/%[YyCG]/, 31_622_400],
  ];
  return widths.find(([pattern]) => pattern.test(template))?.[1];
}
