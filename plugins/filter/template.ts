import { hostname } from 'node:os';
import type { EventView } from '../../engine/component.ts';
import { field, type Field } from '../../engine/events/field.ts';
import { rubyText } from '../../engine/ruby-values.ts';

/** A text with placeholders, or a map or list of such texts, taken apart once. */
export interface Template {
  readonly reads: readonly Field[];
  of(event: EventView, parts: TagParts): unknown;
}

type Get = (event: EventView, parts: TagParts) => unknown;

/** The tag of the current event at its dots; taken apart when the tag changes. */
export class TagParts {
  #tag: string | undefined;
  parts: readonly string[] = [];

  use(tag: string): void {
    if (tag === this.#tag) return;
    this.#tag = tag;
    this.parts = tag.split('.');
  }

  /** Index in the parts; undefined when there is none. Negative ones count from the end. */
  #index(wanted: number): number | undefined {
    const index = wanted < 0 ? wanted + this.parts.length : wanted;
    return index >= 0 && index < this.parts.length ? index : undefined;
  }
  part(wanted: number): string | undefined {
    const index = this.#index(wanted);
    return index === undefined ? undefined : this.parts[index];
  }
  prefix(wanted: number): string | undefined {
    const index = this.#index(wanted);
    return index === undefined ? undefined : this.parts.slice(0, index + 1).join('.');
  }
  suffix(wanted: number): string | undefined {
    const index = this.#index(wanted);
    return index === undefined ? undefined : this.parts.slice(index).join('.');
  }
}

interface Options {
  /** A text that is one placeholder gives the value itself instead of its text. */
  readonly keepsTypes: boolean;
  readonly unknown: (placeholder: string) => void;
}

/** @param value  texts are expanded, also inside of maps (keys too) and lists; everything else stays */
export function compileTemplate(value: unknown, options: Options): Template {
  const reads: Field[] = [];
  const get = compile(value, options, reads);
  return { reads, of: get };
}

function compile(value: unknown, options: Options, reads: Field[]): Get {
  if (typeof value === 'string') return compileText(value, options, reads);
  if (Array.isArray(value)) {
    const items = value.map((item) => compile(item, options, reads));
    return (event, parts) => items.map((item) => item(event, parts) ?? null);
  }
  if (typeof value !== 'object' || value === null) return () => value;
  const entries = Object.entries(value).map(([key, inner]) => ({
    key: compileText(key, { ...options, keepsTypes: false }, reads),
    inner: compile(inner, options, reads),
  }));
  return (event, parts) =>
    Object.fromEntries(entries.map(({ key, inner }) => [String(key(event, parts)), inner(event, parts) ?? null]));
}

const PLACEHOLDER = /(\$\{[^}]+\})/;

function compileText(source: string, options: Options, reads: Field[]): Get {
  const pieces = source.split(PLACEHOLDER).filter((piece) => piece !== '');
  const gets = pieces.map((piece): Get => (isPlaceholder(piece) ? compilePlaceholder(piece, options, reads) : () => piece));
  const [only] = gets;
  if (only === undefined) return () => '';
  if (gets.length === 1 && !isPlaceholder(pieces[0] as string)) return only;
  if (gets.length === 1 && options.keepsTypes) return (event, parts) => only(event, parts) ?? null;
  return (event, parts) => {
    let text = '';
    for (const get of gets) text += rubyText(get(event, parts));
    return text;
  };
}

const isPlaceholder = (piece: string): boolean => piece.length > 3 && piece.startsWith('${') && piece.endsWith('}');

const RECORD = /^record((?:\["[^"]*"\]|\[-?\d{1,9}\])+)$/;
const STEP = /\["([^"]*)"\]|\[(-?\d+)\]/g;
const TAG = /^tag_(parts|prefix|suffix)\[(-?\d{1,9})\]$/;

function compilePlaceholder(placeholder: string, { unknown }: Options, reads: Field[]): Get {
  const name = placeholder.slice(2, -1);
  const path = RECORD.exec(name)?.[1];
  if (path !== undefined && path.startsWith('["')) {
    const steps = Array.from(path.matchAll(STEP), ([, key, index]) => key ?? Number(index));
    const wanted = field(steps);
    reads.push(wanted);
    return (event) => event.value(wanted);
  }
  const tag = TAG.exec(name);
  if (tag !== null) {
    const [, kind, number] = tag;
    const index = Number(number);
    if (kind === 'parts') return (_, parts) => parts.part(index);
    return kind === 'prefix' ? (_, parts) => parts.prefix(index) : (_, parts) => parts.suffix(index);
  }
  switch (name) {
    case 'tag':
      return (event) => event.tag;
    case 'hostname': {
      const host = hostname();
      return () => host;
    }
    case 'time':
      return timeText();
    default:
      unknown(placeholder);
      return () => undefined;
  }
}

/** `2010-05-04 03:02:01 +0000` in the zone of this machine, as Ruby prints a Time. */
function timeText(): Get {
  let second = Number.NaN;
  let text = '';
  return ({ seconds }) => {
    if (seconds === second) return text;
    second = seconds;
    const date = new Date(seconds * 1000);
    const zone = -date.getTimezoneOffset();
    const two = (value: number): string => String(value).padStart(2, '0');
    const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
    const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
    const away = Math.abs(zone);
    text = `${day} ${clock} ${zone < 0 ? '-' : '+'}${two(Math.floor(away / 60))}${two(away % 60)}`;
    return text;
  };
}
