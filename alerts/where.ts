/**
 * The conditions of rules: the part of KQL that a rule needs, so that a query pasted from Kibana works.
 *
 *   status >= 500                          compare numbers: > >= < <=
 *   method: POST                           equal (a number in the text equals the same number in the field)
 *   path: /api/*   path: "/a b"            * stands for any characters; quotes take everything as it is
 *   level: (error or fatal)                one of several
 *   user.id: *     *                       the field is there; every event
 *   not a: 1 and (b: 2 or c: 3)            not binds before and, and before or
 */
export type Where =
  | { readonly op: 'all' }
  | { readonly op: 'and'; readonly of: readonly Where[] }
  | { readonly op: 'or'; readonly of: readonly Where[] }
  | { readonly op: 'not'; readonly of: Where }
  | { readonly op: 'exists'; readonly field: string }
  | { readonly op: 'is'; readonly field: string; readonly text: string; readonly number: number | undefined }
  /** `parts` are the texts between the asterisks; the first and the last may be empty. */
  | { readonly op: 'like'; readonly field: string; readonly parts: readonly string[] }
  | { readonly op: 'compare'; readonly field: string; readonly by: Comparison; readonly number: number };

export type Comparison = '>' | '>=' | '<' | '<=';

/** What is wrong with a condition and where, as an offset in UTF-16 units from 0. */
export interface WhereError {
  readonly error: string;
  readonly offset: number;
}

export const WHERE_LENGTH_MAX = 4096;
/** Depth of parentheses and `not`; deeper is refused, so that nothing that reads the tree can overflow. */
const DEPTH_MAX = 64;

/** Reads a condition; never throws. */
export function parseWhere(text: string): Where | WhereError {
  if (text.length > WHERE_LENGTH_MAX)
    return { error: `a condition has at most ${WHERE_LENGTH_MAX} characters`, offset: WHERE_LENGTH_MAX };
  const tokens = tokenize(text);
  if ('error' in tokens) return tokens;
  return new WhereParser(tokens, text.length).parse();
}

/** The condition with a caret below the place, for a terminal. Wide characters take two columns there. */
export function renderWhereError(text: string, { error, offset }: WhereError): string {
  const before = Array.from(text.slice(0, offset));
  const width = before.reduce(
    (sum, character) =>
      sum + (/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60]/.test(character) ? 2 : 1),
    0,
  );
  return `${error}\n  ${text.replaceAll(/[\r\n\t]/g, ' ')}\n  ${' '.repeat(width)}^`;
}

/** The fields that a condition reads, each once, in order of appearance. */
export function fieldsOf(where: Where, into: Set<string> = new Set()): Set<string> {
  if (where.op === 'and' || where.op === 'or') for (const part of where.of) fieldsOf(part, into);
  else if (where.op === 'not') fieldsOf(where.of, into);
  else if (where.op !== 'all') into.add(where.field);
  return into;
}

// ---- tokens ------------------------------------------------------------------------------------

type Token = { readonly kind: 'word' | 'quoted' | '(' | ')' | ':' | Comparison; readonly text: string; readonly offset: number };

function tokenize(text: string): Token[] | WhereError {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    const character = text.charAt(at);
    if (/\s/.test(character)) {
      at++;
    } else if (character === '"') {
      const quoted = readQuoted(text, at);
      if ('error' in quoted) return quoted;
      tokens.push({ kind: 'quoted', text: quoted.text, offset: at });
      at = quoted.end;
    } else if (character === '>' || character === '<') {
      const kind = text.charAt(at + 1) === '=' ? (`${character}=` as const) : character;
      tokens.push({ kind, text: kind, offset: at });
      at += kind.length;
    } else if (character === '(' || character === ')' || character === ':') {
      tokens.push({ kind: character, text: character, offset: at });
      at++;
    } else if (character === '=' || character === '!') {
      return { error: 'write `field: value` for equal and `not field: value` for unequal', offset: at };
    } else if (character === '{' || character === '}') {
      return { error: 'nested groups { } are not known here', offset: at };
    } else {
      const word = readWord(text, at);
      tokens.push({ kind: 'word', text: word.text, offset: at });
      at = word.end;
    }
  }
  return tokens;
}

function readQuoted(text: string, start: number): { text: string; end: number } | WhereError {
  let value = '';
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '"') return { text: value, end: at + 1 };
    if (character === '\\' && at + 1 < text.length) at++;
    value += text.charAt(at);
  }
  return { error: 'the quotation mark is not closed', offset: start };
}

/** A backslash takes the next character as it is; an escaped asterisk is kept escaped for `like`. */
function readWord(text: string, start: number): { text: string; end: number } {
  let at = start;
  let value = '';
  while (at < text.length && !/[\s():"<>{}]/.test(text.charAt(at))) {
    if (text.charAt(at) === '\\' && at + 1 < text.length) {
      at++;
      if (text.charAt(at) === '*' || text.charAt(at) === '\\') value += '\\';
    } else if (text.charAt(at) === '\\') {
      value += '\\';
    }
    value += text.charAt(at);
    at++;
  }
  return { text: value, end: at };
}

// ---- the tree ----------------------------------------------------------------------------------

class WhereParser {
  readonly #tokens: readonly Token[];
  readonly #end: number;
  #at = 0;

  constructor(tokens: readonly Token[], end: number) {
    this.#tokens = tokens;
    this.#end = end;
  }

  parse(): Where | WhereError {
    if (this.#tokens.length === 0)
      return { error: 'expected a condition such as `status >= 500`; `*` takes every event', offset: 0 };
    const where = this.#or(0);
    const rest = this.#tokens[this.#at];
    if ('error' in where || rest === undefined) return where;
    return { error: `expected \`and\`, \`or\` or the end, not \`${rest.text}\``, offset: rest.offset };
  }

  #or(depth: number): Where | WhereError {
    return this.#list('or', () => this.#list('and', () => this.#not(depth)));
  }

  #list(op: 'and' | 'or', next: () => Where | WhereError): Where | WhereError {
    const of: Where[] = [];
    do {
      const part = next();
      if ('error' in part) return part;
      of.push(part);
    } while (this.#takeWord(op));
    return of.length === 1 && of[0] !== undefined ? of[0] : { op, of };
  }

  #not(depth: number): Where | WhereError {
    if (depth > DEPTH_MAX) return this.#fail(`conditions nest at most ${DEPTH_MAX} deep`);
    // A field may be called not: `not: 5`.
    if (this.#tokens[this.#at + 1]?.kind !== ':' && this.#takeWord('not')) {
      const of = this.#not(depth + 1);
      return 'error' in of ? of : { op: 'not', of };
    }
    if (this.#take('(') === undefined) return this.#comparison();
    const inner = this.#or(depth + 1);
    if ('error' in inner) return inner;
    return this.#take(')') === undefined ? this.#fail('expected `)`') : inner;
  }

  #comparison(): Where | WhereError {
    const token = this.#tokens[this.#at];
    const name = token?.kind === 'word' || token?.kind === 'quoted' ? token : undefined;
    if (name === undefined) return this.#fail('expected a field');
    this.#at++;
    const operator = this.#tokens[this.#at];
    if (operator === undefined || !OPERATORS.has(operator.kind)) {
      if (name.kind === 'word' && name.text === '*') return { op: 'all' };
      return this.#fail(`expected : > >= < <= after \`${name.text}\``);
    }
    this.#at++;
    const field = name.kind === 'word' ? unescape(name.text) : name.text;
    if (name.kind === 'word' && hasWildcard(name.text))
      return { error: 'a field name with * is not known here', offset: name.offset };
    return operator.kind === ':' ? this.#values(field) : this.#number(field, operator.kind as Comparison);
  }

  #number(field: string, by: Comparison): Where | WhereError {
    const token = this.#tokens[this.#at];
    const number = token?.kind === 'word' || token?.kind === 'quoted' ? numberOf(token.text) : undefined;
    if (number === undefined) return this.#fail(`expected a number after \`${by}\``);
    this.#at++;
    return { op: 'compare', field, by, number };
  }

  #values(field: string): Where | WhereError {
    if (this.#take('(') === undefined) return this.#value(field);
    const inner = this.#list('or', () => this.#list('and', () => this.#value(field)));
    if ('error' in inner) return inner;
    return this.#take(')') === undefined ? this.#fail('expected `or` or `)`') : inner;
  }

  #value(field: string): Where | WhereError {
    const token = this.#tokens[this.#at];
    if (token?.kind === 'quoted') {
      this.#at++;
      return { op: 'is', field, text: token.text, number: numberOf(token.text) };
    }
    if (token?.kind !== 'word') return this.#fail('expected a value');
    this.#at++;
    if (token.text === '*') return { op: 'exists', field };
    if (hasWildcard(token.text)) return { op: 'like', field, parts: splitWildcards(token.text) };
    const text = unescape(token.text);
    return { op: 'is', field, text, number: numberOf(text) };
  }

  #take(kind: Token['kind']): Token | undefined {
    const token = this.#tokens[this.#at];
    if (token?.kind !== kind) return undefined;
    this.#at++;
    return token;
  }

  #takeWord(word: string): boolean {
    const token = this.#tokens[this.#at];
    if (token?.kind !== 'word' || token.text.toLowerCase() !== word) return false;
    this.#at++;
    return true;
  }

  #fail(error: string): WhereError {
    return { error, offset: this.#tokens[this.#at]?.offset ?? this.#end };
  }
}

const OPERATORS: ReadonlySet<string> = new Set([':', '>', '>=', '<', '<=']);
const ESCAPED = /\\([*\\])/g;

const unescape = (text: string): string => text.replaceAll(ESCAPED, '$1');
const hasWildcard = (text: string): boolean => text.replaceAll(ESCAPED, '').includes('*');

function splitWildcards(text: string): string[] {
  const parts = [''];
  for (const piece of text.matchAll(/\\[*\\]|\*+|[^*\\]+|\\/g)) {
    if (piece[0].startsWith('*')) parts.push('');
    else parts[parts.length - 1] += unescape(piece[0]);
  }
  return parts;
}

function numberOf(text: string): number | undefined {
  return /^[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?$/i.test(text) ? Number(text) : undefined;
}
