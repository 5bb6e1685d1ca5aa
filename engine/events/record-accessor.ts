import type { Fields } from './batch.ts';

/** A key of the record itself, or a path into nested maps and lists. */
export type Accessor = string | readonly (string | number)[];

/**
 * Reads Fluentd's record accessor syntax.
 *
 * `host` is one literal key, also with dots in it; `$.a.b[0]` is a path in dot notation (names without blanks);
 * `$['a.b']["c"][0]` is a path in bracket notation.
 *
 * @returns a text that says what is wrong
 * @see https://docs.fluentd.org/plugin-helper-overview/api-plugin-helper-record_accessor
 */
export function parseAccessor(text: string): Accessor | { readonly error: string } {
  if (text.startsWith('$.')) return parseDots(text);
  if (text.startsWith('$[')) return parseBrackets(text);
  return text;
}

/** The value found; undefined when a part of the path is missing. Negative indices count from the end of a list. */
export function getAt(record: Fields, accessor: Accessor): unknown {
  if (typeof accessor === 'string') return Object.hasOwn(record, accessor) ? record[accessor] : undefined;
  let value: unknown = record;
  for (const step of accessor) value = childOf(value, step);
  return value;
}

/** Sets the value where its parent exists; parents are not made. */
export function setAt(record: Fields, accessor: Accessor, value: unknown): void {
  const [parent, key] = parentOf(record, accessor);
  if (Array.isArray(parent) && typeof key === 'number') {
    const index = key < 0 ? parent.length + key : key;
    // A far index would make a huge list of holes.
    if (index >= 0 && index <= parent.length) parent[index] = value;
  } else if (isMap(parent) && typeof key === 'string') {
    // defineProperty, since an assignment to __proto__ would change the prototype instead of adding a key.
    Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
  }
}

/** Removes the value, and an index from its list; nothing happens when it is not there. */
export function deleteAt(record: Fields, accessor: Accessor): void {
  const [parent, key] = parentOf(record, accessor);
  if (Array.isArray(parent) && typeof key === 'number') {
    const index = key < 0 ? parent.length + key : key;
    if (index >= 0) parent.splice(index, 1);
  } else if (isMap(parent) && typeof key === 'string') delete parent[key];
}

function parentOf(record: Fields, accessor: Accessor): [unknown, string | number | undefined] {
  if (typeof accessor === 'string') return [record, accessor];
  return [getAt(record, accessor.slice(0, -1)), accessor.at(-1)];
}

function childOf(value: unknown, step: string | number): unknown {
  if (Array.isArray(value)) return typeof step === 'number' ? (value.at(step) as unknown) : undefined;
  return isMap(value) && typeof step === 'string' && Object.hasOwn(value, step) ? value[step] : undefined;
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseDots(text: string): Accessor | { readonly error: string } {
  const path: (string | number)[] = [];
  for (const part of trimEmptyEnd(text.slice(2).split('.'))) {
    const found = /^([^[\]]*)((?:\[[+-]?\d{1,9}\])*)$/.exec(part);
    if (!found) return { error: `${text}: expected name[index] between the dots; use $['...'] for other names` };
    const [, name = '', indices = ''] = found;
    if (/\s/.test(name)) return { error: `${text}: a name with blanks needs the form $['...']` };
    if (name !== '' || indices === '') path.push(name);
    for (const [, index] of indices.matchAll(/\[([+-]?\d+)\]/g)) path.push(Number(index));
  }
  return path.length === 0 ? { error: `${text}: names no field` } : path;
}

/** Empty names between dots count, at the end they do not. */
function trimEmptyEnd(parts: string[]): string[] {
  while (parts.at(-1) === '') parts.pop();
  return parts;
}

function parseBrackets(text: string): Accessor | { readonly error: string } {
  const path: (string | number)[] = [];
  for (let at = 1; at < text.length;) {
    const found = BRACKET.exec(text.slice(at));
    if (!found) return { error: `${text}: expected ['name'], ["name"] or [index] at character ${at + 1}` };
    const [all, single, double, index] = found;
    path.push(single ?? double ?? Number(index));
    at += all.length;
  }
  return path;
}

const BRACKET = /^\[(?:'((?:(?!['"]\]).)*)'|"((?:(?!['"]\]).)*)"|([+-]?\d{1,9}))\]/s;
