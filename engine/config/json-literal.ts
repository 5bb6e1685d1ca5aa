/**
 * Reads a JSON array or map inside `fluent.conf`: comments between elements, `#{...}` inside strings, and
 * gives it back without blanks and with numbers as Fluentd prints them (`1e3` becomes `1000.0`).
 */
import { readEmbedded } from './embedded.ts';
import type { Surroundings } from './files.ts';

export type JsonLiteral = { readonly end: number; readonly text: string } | { readonly error: string; readonly at: number };

const MAX_DEPTH = 64;

export function readJsonLiteral(source: string, at: number, surroundings: Surroundings): JsonLiteral {
  const reader = new JsonReader(source, at, surroundings);
  try {
    const text = reader.value(0);
    return { end: reader.at, text };
  } catch (error) {
    if (error instanceof JsonFailure) return { error: error.message, at: error.at };
    throw error;
  }
}

class JsonFailure extends Error {
  readonly at: number;
  constructor(message: string, at: number) {
    super(message);
    this.at = at;
  }
}

class JsonReader {
  at: number;
  readonly #source: string;
  readonly #surroundings: Surroundings;

  constructor(source: string, at: number, surroundings: Surroundings) {
    this.#source = source;
    this.at = at;
    this.#surroundings = surroundings;
  }

  value(depth: number): string {
    if (depth > MAX_DEPTH) throw this.#failure(`JSON nested deeper than ${MAX_DEPTH}`);
    const char = this.#next();
    if (char === '[') return `[${this.#items(']', () => this.value(depth + 1)).join(',')}]`;
    if (char === '{') return this.#map(depth);
    if (char === '"') return JSON.stringify(this.#string());
    return this.#atom();
  }

  #map(depth: number): string {
    const members = new Map<string, string>();
    this.#items('}', () => {
      if (this.#next() !== '"') throw this.#failure('expected a name in double quotes');
      const name = this.#string();
      if (this.#next() !== ':') throw this.#failure('expected : after the name');
      this.at++;
      members.set(name, this.value(depth + 1));
      return '';
    });
    return `{${[...members].map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`;
  }

  #items(close: string, item: () => string): string[] {
    this.at++;
    const items: string[] = [];
    if (this.#next() === close) {
      this.at++;
      return items;
    }
    for (;;) {
      items.push(item());
      const char = this.#next();
      this.at++;
      if (char === close) return items;
      if (char !== ',') throw this.#failure(`expected , or ${close}`, this.at - 1);
      if (this.#next() === close) throw this.#failure('a comma before the closing bracket is not JSON');
    }
  }

  #string(): string {
    const source = this.#source;
    const start = this.at;
    let raw = '';
    for (this.at++; this.at < source.length;) {
      const char = source[this.at] ?? '';
      if (char === '"') {
        this.at++;
        return this.#unescape(raw, start);
      }
      if (char === '\\') {
        raw += source.slice(this.at, this.at + 2);
        this.at += 2;
      } else if (source.startsWith('#{', this.at)) {
        const inner = readEmbedded(source, this.at + 2, this.#surroundings);
        if ('error' in inner) throw this.#failure(inner.error, inner.at);
        // The value stands inside a JSON text here, so it is escaped like one.
        raw += JSON.stringify(inner.value ?? '').slice(1, -1);
        this.at = inner.end;
      } else if (char < ' ') {
        throw this.#failure('a line end or control character inside a JSON string', this.at);
      } else {
        raw += char;
        this.at++;
      }
    }
    throw this.#failure('a JSON string without its closing quote', start);
  }

  #unescape(raw: string, start: number): string {
    if (!raw.includes('\\')) return raw;
    try {
      return JSON.parse(`"${raw}"`) as string;
    } catch {
      throw this.#failure('an escape that JSON does not know', start);
    }
  }

  #atom(): string {
    const token = /^[^\s,\]}#:"[{]{1,400}/.exec(this.#source.slice(this.at, this.at + 400))?.[0] ?? '';
    if (token === 'true' || token === 'false' || token === 'null') {
      this.at += token.length;
      return token;
    }
    const number = /^(-?(?:0|[1-9]\d*))(\.\d+)?([eE][+-]?\d+)?$/.exec(token);
    if (!number) throw this.#failure(token === '' ? 'incomplete JSON' : `${token} is not JSON; put text in double quotes`);
    this.at += token.length;
    return number[2] === undefined && number[3] === undefined ? token : printFloat(Number(token));
  }

  /** The next character that is neither blank nor comment; '' at the end. */
  #next(): string {
    const source = this.#source;
    for (;;) {
      while (/[ \t\r\n]/.test(source[this.at] ?? '')) this.at++;
      if (source[this.at] !== '#') return source[this.at] ?? '';
      while (this.at < source.length && source[this.at] !== '\n') this.at++;
    }
  }

  #failure(message: string, at = this.at): JsonFailure {
    return new JsonFailure(message, at);
  }
}

/** A double as Ruby prints it: always with a fraction, exponents from 1e16 up and below 1e-4. */
export function printFloat(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-4 && size < 1e16)) {
    const plain = Object.is(value, -0) ? '-0' : String(value);
    return plain.includes('.') ? plain : `${plain}.0`;
  }
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  const digits = exponent.slice(1).padStart(2, '0');
  return `${mantissa.includes('.') ? mantissa : `${mantissa}.0`}e${exponent[0] ?? '+'}${digits}`;
}
