import type { EventView } from '../engine/component.ts';
import { field as fieldOf, type Field } from '../engine/events/field.ts';
import type { Comparison, Where } from './where.ts';

/** The fields of one event as conditions and groups read them. */
export interface FieldReader {
  /** The field as text: scalars printed; undefined when absent, null, a list or a map. */
  str(field: Field): string | undefined;
  /** The field as a number, numeric text converted. */
  num(field: Field): number | undefined;
  /** Its scalars when the field is a list (a condition holds when it holds for one of them). */
  list(field: Field): readonly unknown[] | undefined;
  /** True when the field is there and not null. */
  has(field: Field): boolean;
}

export type Predicate = (event: FieldReader) => boolean;

/** Makes a condition executable; its fields are prepared once, here. */
export function compileWhere(where: Where): Predicate {
  if (where.op === 'all') return () => true;
  if (where.op === 'not') {
    const of = compileWhere(where.of);
    return (event) => !of(event);
  }
  if (where.op === 'and' || where.op === 'or') {
    const of = where.of.map(compileWhere);
    return where.op === 'and' ? (event) => of.every((holds) => holds(event)) : (event) => of.some((holds) => holds(event));
  }
  const field = fieldOf(where.field);
  if (where.op === 'exists') return (event) => event.has(field);
  if (where.op === 'compare') {
    const holds = COMPARISONS[where.by](where.number);
    return (event) => {
      const number = event.num(field);
      return number === undefined ? someOf(event.list(field), (item) => holds(toNumber(item))) : holds(number);
    };
  }
  const holds = where.op === 'is' ? isEqual(where.text, where.number) : isLike(where.parts);
  return (event) => {
    const text = event.str(field);
    return text === undefined ? someOf(event.list(field), (item) => holds(String(item))) : holds(text);
  };
}

const someOf = (list: readonly unknown[] | undefined, holds: (item: unknown) => boolean): boolean =>
  list !== undefined && list.some(holds);
const toNumber = (item: unknown): number =>
  typeof item === 'number' ? item : typeof item === 'string' && item.trim() !== '' ? Number(item) : Number.NaN;

function isEqual(text: string, number: number | undefined): (value: string) => boolean {
  if (number === undefined) return (value) => value === text;
  // 500 and "500.0" are the same number; anything else is compared as text.
  return (value) => value === text || (value.trim() !== '' && Number(value) === number);
}

/** Matches texts in order, each at the first place it fits: linear, whatever the pattern. */
function isLike(parts: readonly string[]): (value: string) => boolean {
  const first = parts[0] ?? '';
  const last = parts.at(-1) ?? '';
  const middle = parts.slice(1, -1);
  return (value) => {
    if (value.length < first.length + last.length || !value.startsWith(first) || !value.endsWith(last)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = value.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= value.length - last.length;
  };
}

const COMPARISONS: Readonly<Record<Comparison, (limit: number) => (value: number) => boolean>> = {
  '>': (limit) => (value) => value > limit,
  '>=': (limit) => (value) => value >= limit,
  '<': (limit) => (value) => value < limit,
  '<=': (limit) => (value) => value <= limit,
};

/** Reads fields of a plain record: the key of that very name if there is one, else the path along its dots. */
export class RecordReader implements FieldReader {
  #record: Readonly<Record<string, unknown>> = {};

  /** Points at another record; valid until the next call. */
  read(record: Readonly<Record<string, unknown>>): this {
    this.#record = record;
    return this;
  }

  str(field: Field): string | undefined {
    return scalarText(this.#find(field));
  }

  num(field: Field): number | undefined {
    const value = this.#find(field);
    if (typeof value === 'number') return value;
    if (typeof value === 'bigint') return Number(value);
    if (typeof value !== 'string' || value.trim() === '') return undefined;
    const number = Number(value);
    return Number.isNaN(number) ? undefined : number;
  }

  list(field: Field): readonly unknown[] | undefined {
    const value = this.#find(field);
    return Array.isArray(value) ? value.filter((item) => scalarText(item) !== undefined) : undefined;
  }

  has(field: Field): boolean {
    const value = this.#find(field);
    return value !== undefined && value !== null;
  }

  #find(field: Field): unknown {
    if (Object.hasOwn(this.#record, field.text)) return this.#record[field.text];
    let value: unknown = this.#record;
    for (const step of field.path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined;
      value = (value as Record<string | number, unknown>)[step];
    }
    return value;
  }
}

/** Reads fields of the event that the engine is at. */
export class ViewReader implements FieldReader {
  #event: EventView | undefined;

  /** Points at another event; valid inside the callback that it was handed to. */
  read(event: EventView): this {
    this.#event = event;
    return this;
  }

  str(field: Field): string | undefined {
    return this.#event?.str(field);
  }

  num(field: Field): number | undefined {
    return this.#event?.num(field);
  }

  list(field: Field): readonly unknown[] | undefined {
    // Decoding makes objects; a scalar has been read by `str` before and does not come here.
    if (this.#event?.has(field) !== true) return undefined;
    const value = this.#event.value(field);
    return Array.isArray(value) ? value.filter((item) => scalarText(item) !== undefined) : undefined;
  }

  has(field: Field): boolean {
    const event = this.#event;
    if (event?.has(field) !== true) return false;
    return event.str(field) !== undefined || (event.value(field) ?? null) !== null;
  }
}

function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' ? String(value) : undefined;
}
