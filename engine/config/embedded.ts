import type { Surroundings } from './files.ts';

/** What `#{...}` may stand for; `undefined` is use_default, `null` is use_nil. */
export type Embedded =
  | { readonly end: number; readonly value: string | null | undefined }
  | { readonly end: number; readonly error: string; readonly at: number };

export const EMBEDDED_GRAMMAR =
  "known are ENV['NAME'], ENV.fetch('NAME', 'default'), hostname, Socket.gethostname, worker_id, File.read('path'), 'text', use_default, use_nil, joined with ||, and .strip .chomp .to_i .to_s .upcase .downcase";

/**
 * Evaluates the expression behind `#{`. No Ruby is run: the grammar is closed, anything else is an error.
 *
 *     expression := term { "||" term }
 *     term       := primary { "." method }
 *     primary    := ENV[text] | ENV.fetch(text [, expression]) [{ expression }] | File.read(expression)
 *                 | text | integer | nil | true | false | hostname | worker_id | use_nil | use_default | "(" expression ")"
 *
 * @param at  index behind `#{` in `source`
 * @returns `end`: the index behind the closing brace, also after an error, so that reading can go on
 */
export function readEmbedded(source: string, at: number, surroundings: Surroundings, depth = 0): Embedded {
  const reader = new ExpressionReader(source, at, surroundings, depth);
  try {
    const value = reader.expression();
    reader.expect('}');
    if (value instanceof Failed) return { end: reader.at, error: value.message, at };
    return { end: reader.at, value: shown(value) };
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    const end = endOfExpression(source, at);
    const code = source.slice(at, end).replace(/\}$/, '').trim();
    return { end, error: `cannot evaluate #{${code.length > 60 ? `${code.slice(0, 60)}...` : code}}: ${EMBEDDED_GRAMMAR}`, at };
  }
}

class Unsupported extends Error {}

/** A failure that counts only when its branch is taken: `ENV['A'] || ENV.fetch('B')`. */
class Failed {
  readonly message: string;
  constructor(message: string) {
    this.message = message;
  }
}

const USE_NIL = Symbol('use_nil');
const USE_DEFAULT = Symbol('use_default');
type Value = string | number | boolean | null | typeof USE_NIL | typeof USE_DEFAULT | Failed;

function shown(value: Exclude<Value, Failed>): string | null | undefined {
  if (value === USE_NIL) return null;
  if (value === USE_DEFAULT) return undefined;
  return value === null ? '' : String(value);
}

class ExpressionReader {
  at: number;
  readonly #source: string;
  readonly #surroundings: Surroundings;
  readonly #depth: number;

  constructor(source: string, at: number, surroundings: Surroundings, depth: number) {
    if (depth > 16) throw new Unsupported();
    this.#source = source;
    this.at = at;
    this.#surroundings = surroundings;
    this.#depth = depth;
  }

  expression(nesting = 0): Value {
    if (nesting > 16) throw new Unsupported();
    let value = this.#term(nesting);
    while (this.#skip('||') || this.#skip('or ')) {
      const other = this.#term(nesting);
      if (value === null || value === false) value = other;
    }
    return value;
  }

  expect(text: string): void {
    if (!this.#skip(text)) throw new Unsupported();
  }

  #term(nesting: number): Value {
    let value = this.#primary(nesting);
    while (this.#skip('.')) value = callMethod(value, this.#word());
    return value;
  }

  #primary(nesting: number): Value {
    if (this.#skip('(')) {
      const value = this.expression(nesting + 1);
      this.expect(')');
      return value;
    }
    const next = this.#peek();
    if (next === "'" || next === '"') return this.#text();
    if (next !== undefined && /[0-9]/.test(next)) return this.#integer();
    const word = this.#word();
    switch (word) {
      case 'ENV':
        return this.#env(nesting);
      case 'File':
      case 'IO':
        return this.#fileRead(nesting);
      case 'Socket':
        this.expect('.');
        if (this.#word() !== 'gethostname') throw new Unsupported();
        return this.#surroundings.hostname;
      case 'hostname':
        return this.#surroundings.hostname;
      case 'worker_id':
        return this.#surroundings.workerId === undefined ? '' : String(this.#surroundings.workerId);
      case 'use_nil':
        return USE_NIL;
      case 'use_default':
        return USE_DEFAULT;
      case 'nil':
        return null;
      case 'true':
        return true;
      case 'false':
        return false;
      default:
        throw new Unsupported();
    }
  }

  #env(nesting: number): Value {
    if (this.#skip('[')) {
      const name = this.#name(nesting);
      this.expect(']');
      return this.#variable(name) ?? null;
    }
    this.expect('.');
    if (this.#word() !== 'fetch') throw new Unsupported();
    this.expect('(');
    const name = this.#name(nesting);
    let fallback: Value = new Failed(`environment variable ${name} is not set`);
    if (this.#skip(',')) fallback = this.expression(nesting + 1);
    this.expect(')');
    if (this.#skip('{')) {
      fallback = this.expression(nesting + 1);
      this.expect('}');
    }
    return this.#variable(name) ?? fallback;
  }

  #variable(name: string): string | undefined {
    return Object.hasOwn(this.#surroundings.env, name) ? this.#surroundings.env[name] : undefined;
  }

  #name(nesting: number): string {
    const name = this.expression(nesting + 1);
    if (typeof name !== 'string') throw new Unsupported();
    return name;
  }

  #fileRead(nesting: number): Value {
    this.expect('.');
    if (this.#word() !== 'read') throw new Unsupported();
    this.expect('(');
    const path = this.expression(nesting + 1);
    this.expect(')');
    if (path instanceof Failed) return path;
    if (typeof path !== 'string') throw new Unsupported();
    const text = this.#surroundings.files.read(path);
    return typeof text === 'string' ? text : new Failed(text.error);
  }

  #text(): Value {
    const source = this.#source;
    const quote = source[this.at];
    let text = '';
    for (this.at++; this.at < source.length;) {
      const char = source[this.at] ?? '';
      if (char === quote) {
        this.at++;
        return text;
      }
      if (char === '\\') {
        const next = source[this.at + 1] ?? '';
        if (quote === "'") text += next === "'" || next === '\\' ? next : `\\${next}`;
        else text += ESCAPES.get(next) ?? next;
        this.at += 2;
      } else if (quote === '"' && source.startsWith('#{', this.at)) {
        const inner = readEmbedded(source, this.at + 2, this.#surroundings, this.#depth + 1);
        if ('error' in inner) throw new Unsupported();
        text += inner.value ?? '';
        this.at = inner.end;
      } else {
        text += char;
        this.at++;
      }
    }
    throw new Unsupported();
  }

  #integer(): number {
    this.#peek();
    const digits = /^\d{1,15}(?![\w.])/.exec(this.#source.slice(this.at, this.at + 17))?.[0];
    if (digits === undefined) throw new Unsupported();
    this.at += digits.length;
    return Number(digits);
  }

  #word(): string {
    this.#peek();
    const word = /^[A-Za-z_]\w*/.exec(this.#source.slice(this.at, this.at + 64))?.[0];
    if (word === undefined) throw new Unsupported();
    this.at += word.length;
    return word;
  }

  #peek(): string | undefined {
    while (/[ \t\r\n]/.test(this.#source[this.at] ?? '')) this.at++;
    return this.#source[this.at];
  }

  #skip(text: string): boolean {
    this.#peek();
    if (!this.#source.startsWith(text, this.at)) return false;
    this.at += text.length;
    return true;
  }
}

const ESCAPES = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['0', '\0'],
]);

function callMethod(value: Value, method: string): Value {
  if (typeof value === 'symbol' || value instanceof Failed) return value;
  const text = value === null ? '' : String(value);
  if (method === 'to_s') return text;
  if (method === 'to_i') return Number(/^\s*[+-]?\d{1,15}/.exec(text)?.[0] ?? 0);
  const change = METHODS.get(method);
  if (change === undefined) throw new Unsupported();
  return typeof value === 'string' ? change(value) : new Failed(`${text === '' ? 'nothing' : text} has no method ${method}`);
}

const METHODS = new Map<string, (text: string) => string>([
  ['strip', (text) => text.trim()],
  ['chomp', (text) => text.replace(/(?:\r\n|\n|\r)$/, '')],
  ['upcase', (text) => text.toUpperCase()],
  ['downcase', (text) => text.toLowerCase()],
]);

/** Index behind the brace that closes an expression of any content; quotes and inner braces are skipped. */
function endOfExpression(source: string, at: number): number {
  let depth = 1;
  let quote = '';
  for (let i = at; i < source.length; i++) {
    const char = source[i] ?? '';
    if (char === '\n') return i;
    if (char === '\\') i++;
    else if (quote !== '') quote = char === quote ? '' : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === '{') depth++;
    else if (char === '}' && --depth === 0) return i + 1;
  }
  return source.length;
}
