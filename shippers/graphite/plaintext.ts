/**
 * Graphite's plaintext protocol.
 *
 *     path [ ";" tag "=" value ]* SP value SP seconds LF
 *
 * A blank or a line feed in a name would make another line of it, so nothing is written that was not cleaned here.
 *
 * @see https://graphite.readthedocs.io/en/latest/feeding-carbon.html
 * @see https://graphite.readthedocs.io/en/latest/tags.html
 */
import type { ByteWriter } from '../../engine/events/byte-writer.ts';
import { cleanPath, UNPRINTABLE } from '../../engine/metrics/name.ts';

/** carbon closes the connection at a line longer than this many bytes, and what follows is lost. */
export const MAX_LINE = 16_384;

type Tags = Readonly<Record<string, unknown>>;

/**
 * Appends one line.
 *
 * @param path  may hold tags in Graphite's form, `cpu;host=a`
 * @param tags  added to those of the path; of two with the same name the last one counts
 * @param value  a finite number, or the text of one
 * @returns the reason when it is refused; nothing was written then
 */
export function writeLine(
  into: ByteWriter,
  path: string,
  tags: Tags | undefined,
  value: unknown,
  seconds: number,
): string | undefined {
  const number = numberText(value);
  if (number === undefined) return `the value is no finite number: ${shown(value)}`;
  const series = seriesName(path, tags);
  if (series === undefined) return `the name is empty: ${shown(path)}`;
  const start = into.length;
  into.utf8(series);
  into.latin1(` ${number} ${Math.max(0, Math.trunc(seconds))}\n`);
  if (into.length - start <= MAX_LINE) return undefined;
  into.length = start;
  return `the line is longer than ${MAX_LINE} bytes`;
}

/**
 * The cleaned path with its tags, in the order in which they were given.
 *
 * @returns undefined when nothing is left of the path
 */
export function seriesName(path: string, tags: Tags | undefined): string | undefined {
  const tagsAt = path.indexOf(';');
  const base = cleanPath(tagsAt < 0 ? path : path.slice(0, tagsAt));
  if (/^\.*$/.test(base)) return undefined;
  if (tagsAt < 0 && tags === undefined) return base;
  const pairs = new Map<string, string>();
  const put = (name: string, value: string): void => {
    const cleanName = cleanTagName(name);
    const cleanValue = cleanTagValue(value);
    if (cleanName === '' || cleanValue === '') return;
    pairs.delete(cleanName);
    pairs.set(cleanName, cleanValue);
  };
  if (tagsAt >= 0)
    for (const pair of path.slice(tagsAt + 1).split(';')) {
      const equals = pair.indexOf('=');
      if (equals > 0) put(pair.slice(0, equals), pair.slice(equals + 1));
    }
  for (const [name, value] of Object.entries(tags ?? {})) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint')
      put(name, String(value));
  }
  let series = base;
  for (const [name, value] of pairs) series += `;${name}=${value}`;
  return series;
}

/** carbon's rule: at least one character and none of `;!^=`; `name` is the path itself. */
function cleanTagName(name: string): string {
  const clean = name
    .trim()
    .replace(UNPRINTABLE, '_')
    .replace(/[;!^=~]/g, '_');
  return clean === 'name' ? 'name_' : clean;
}

/** carbon's rule: at least one character, no `;`, and no `~` at the start. */
function cleanTagValue(value: string): string {
  return value.trim().replace(UNPRINTABLE, '_').replaceAll(';', '_').replace(/^~/, '_');
}

function numberText(value: unknown): string | undefined {
  if (typeof value === 'bigint') return String(value);
  if (typeof value === 'string' && /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)) return numberText(Number(value));
  // -0 prints as 0.
  return typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined;
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? JSON.stringify(value) : typeof value;
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
