/**
 * Regular expressions written for Ruby (Onigmo), run by JavaScript.
 *
 * What differs: `^` and `$` always mean lines, a dot excludes only line feeds, `\s` is ASCII, with named groups the plain
 * ones do not capture, `\A \z \Z \h \R`, POSIX brackets, `{,n}`, possessive and atomic groups, `(?i)` in the middle, `(?x)`.
 * Everything is rewritten for the flag `v`, whose classes know nesting and `&&` as Ruby's do.
 */
import { classSource, escapeOutsideClass, literal, Untranslatable, type EscapeResult } from './ruby-regexp-class.ts';

export interface RegexpOptions {
  /** The texts never hold a line feed: `^` and `$` become plain anchors, so that a text that cannot match is given up at once. */
  readonly singleLine?: boolean;
}

const MAX_SOURCE = 65_536;
const MAX_DEPTH = 100;

/**
 * Translates a regular expression written for Ruby. The result has no state (no flag `g` or `y`).
 *
 * @param flags  of Ruby: `i`, `m` for "dot matches line feeds", `x` for blanks and comments between
 * @returns a text that says what cannot be translated, never a throw
 */
export function translateRubyRegexp(source: string, flags = '', options: RegexpOptions = {}): RegExp | string {
  if (source.length > MAX_SOURCE) return `a regular expression of more than ${MAX_SOURCE} characters`;
  try {
    const tree = new Parser(source, options).parse({
      dotAll: flags.includes('m'),
      extended: flags.includes('x'),
      ignoreCase: flags.includes('i'),
    });
    return new RegExp(print(tree), flags.includes('i') ? 'iv' : 'v');
  } catch (error) {
    if (error instanceof Untranslatable) return error.message;
    if (error instanceof SyntaxError) return error.message.replace(/^Invalid regular expression: .*: /s, '');
    throw error;
  }
}

// ---- the tree ----------------------------------------------------------------------------------

type Node =
  | { readonly type: 'atom'; readonly source: string; readonly isAssertion?: boolean }
  | { readonly type: 'group'; readonly open: string; readonly body: Body }
  | { readonly type: 'atomic'; readonly body: Body; number: number }
  | { readonly type: 'capture'; readonly name: string | undefined; readonly body: Body; number: number }
  | { readonly type: 'reference'; readonly to: string | number; number: number }
  | { readonly type: 'repeat'; readonly item: Node; readonly how: string };
/** Alternatives, each a sequence. */
type Body = readonly (readonly Node[])[];

interface Tree {
  readonly body: Body;
  readonly hasNames: boolean;
}

interface Flags {
  readonly dotAll: boolean;
  readonly extended: boolean;
  readonly ignoreCase: boolean;
}

class Parser {
  readonly #source: string;
  readonly #singleLine: boolean;
  #at = 0;
  #hasNames = false;

  constructor(source: string, options: RegexpOptions) {
    this.#source = source;
    this.#singleLine = options.singleLine ?? false;
  }

  parse(flags: Flags): Tree {
    const body = this.#body(flags, 0);
    if (this.#at < this.#source.length) throw new Untranslatable('a ) that closes nothing');
    return { body, hasNames: this.#hasNames };
  }

  #body(flags: Flags, depth: number): Body {
    if (depth > MAX_DEPTH) throw new Untranslatable(`groups nested deeper than ${MAX_DEPTH}`);
    const alternatives: Node[][] = [[]];
    while (this.#at < this.#source.length) {
      const char = this.#source[this.#at] ?? '';
      if (char === ')') break;
      if (char === '|') {
        this.#at++;
        alternatives.push([]);
        continue;
      }
      if (flags.extended && this.#skip(/[ \t\r\n\f\v]+|#[^\n]*/y) !== undefined) continue;
      if (this.#skip(/\(\?#(?:\\.|[^\\)])*\)/sy) !== undefined) continue;
      const sequence = alternatives.at(-1) ?? [];
      const change = this.#match(/\(\?([imx]*)(?:-([imx]*))?\)/y);
      if (change) {
        // Flags hold to the end of the group that they stand in, over all alternatives that follow.
        const inner = changed(flags, change[1] ?? '', change[2] ?? '');
        sequence.push({ type: 'group', open: flagGroup(flags, inner), body: this.#body(inner, depth + 1) });
        break;
      }
      sequence.push(this.#quantified(this.#atom(char, flags, depth)));
    }
    return alternatives;
  }

  #atom(char: string, flags: Flags, depth: number): Node {
    switch (char) {
      case '(':
        return this.#group(flags, depth);
      case '[': {
        const { source, end } = classSource(this.#source, this.#at);
        this.#at = end;
        return { type: 'atom', source };
      }
      case '\\':
        return this.#escape();
      case '.':
        this.#at++;
        return { type: 'atom', source: flags.dotAll ? '[^]' : '[^\\n]' };
      case '^':
        this.#at++;
        return { type: 'atom', source: this.#singleLine ? '^' : '(?<![^\\n])', isAssertion: true };
      case '$':
        this.#at++;
        return { type: 'atom', source: this.#singleLine ? '$' : '(?![^\\n])', isAssertion: true };
      case '*':
      case '+':
      case '?':
        throw new Untranslatable(`${char} with nothing before it to repeat`);
      default: {
        const point = String.fromCodePoint(this.#source.codePointAt(this.#at) ?? 0);
        this.#at += point.length;
        return { type: 'atom', source: literal(point) };
      }
    }
  }

  #quantified(first: Node): Node {
    let node = first;
    for (;;) {
      const found = this.#match(
        /([*+?])([?+]?)|\{(\d*)(,?)(\d*)\}(\??)/y,
        (match) => match[1] !== undefined || match[3] !== '' || match[5] !== '',
      );
      if (!found) return node;
      const [, sign, suffix, from = '', comma, to = '', lazy] = found;
      const counted =
        sign === undefined ? `{${from === '' ? '0' : from}${comma}${to}}${lazy}` : sign + (suffix === '?' ? '?' : '');
      node = { type: 'repeat', item: node, how: counted };
      if (suffix === '+') node = { type: 'atomic', body: [[node]], number: 0 };
    }
  }

  #group(flags: Flags, depth: number): Node {
    const open = this.#match(/\(\?(?:(<?[=!]|:|>)|<([^>]*)>|'([^']*)'|([imx]*)(?:-([imx]*))?:)|\((?!\?)/y);
    if (!open) throw new Untranslatable(`a group that JavaScript does not know: ${this.#source.slice(this.#at, this.#at + 6)}`);
    const [, kind, angled, quoted, on, off] = open;
    const name = angled ?? quoted;
    if (name !== undefined) {
      if (!/^[\p{L}_][\p{L}\p{M}\p{N}_]*$/u.test(name)) throw new Untranslatable(`${name} is not a name for a group`);
      this.#hasNames = true;
    }
    const inner = changed(flags, on ?? '', off ?? '');
    const body = this.#body(inner, depth + 1);
    if (this.#source[this.#at] !== ')') throw new Untranslatable('a group without its closing )');
    this.#at++;
    if (kind === '>') return { type: 'atomic', body, number: 0 };
    if (kind !== undefined) return { type: 'group', open: `(?${kind}`, body };
    if (on !== undefined) return { type: 'group', open: flagGroup(flags, inner), body };
    return { type: 'capture', name, body, number: 0 };
  }

  #escape(): Node {
    const reference = this.#match(/\\k(?:<([^>]+)>|'([^']+)')|\\([1-9]\d?)/y);
    if (reference) {
      const name = reference[1] ?? reference[2] ?? reference[3] ?? '';
      return { type: 'reference', to: /^\d+$/.test(name) ? Number(name) : name, number: 0 };
    }
    const found: EscapeResult = escapeOutsideClass(this.#source, this.#at);
    this.#at = found.end;
    return { type: 'atom', source: found.source, ...(found.isAssertion && { isAssertion: true }) };
  }

  #match(pattern: RegExp, accept: (match: RegExpExecArray) => boolean = () => true): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#source);
    if (!found || !accept(found)) return undefined;
    this.#at += found[0].length;
    return found;
  }

  #skip(pattern: RegExp): string | undefined {
    return this.#match(pattern)?.[0];
  }
}

function flagGroup(before: Flags, after: Flags): string {
  if (after.ignoreCase === before.ignoreCase) return '(?:';
  return after.ignoreCase ? '(?i:' : '(?-i:';
}

function changed(flags: Flags, on: string, off: string): Flags {
  const now = (letter: string, before: boolean): boolean => (off.includes(letter) ? false : on.includes(letter) || before);
  return { dotAll: now('m', flags.dotAll), extended: now('x', flags.extended), ignoreCase: now('i', flags.ignoreCase) };
}

// ---- printing ----------------------------------------------------------------------------------

/**
 * JavaScript has no atomic groups: `(?>x)` is printed as `(?=(x))\n`, since a look-ahead is never entered again.
 * That adds captures, so all captures are numbered anew before anything is printed.
 */
function print({ body, hasNames }: Tree): string {
  let count = 0;
  const captures: { name: string | undefined; number: number }[] = [];
  const references: Extract<Node, { type: 'reference' }>[] = [];
  const walk = (nodes: Body): void => nodes.forEach((sequence) => sequence.forEach(visit));
  const visit = (node: Node): void => {
    if (node.type === 'atomic') node.number = ++count;
    else if (node.type === 'reference') references.push(node);
    else if (node.type === 'capture' && (node.name !== undefined || !hasNames)) {
      node.number = ++count;
      captures.push({ name: node.name, number: count });
    }
    if (node.type === 'repeat') visit(node.item);
    else if ('body' in node) walk(node.body);
  };
  walk(body);
  for (const node of references) {
    const { to } = node;
    if (typeof to === 'number' && hasNames) throw new Untranslatable(`\\${to}: with named groups, refer to them by name`);
    const target = typeof to === 'number' ? captures[to - 1] : captures.findLast((capture) => capture.name === to);
    if (target === undefined) throw new Untranslatable(`\\${typeof to === 'number' ? to : `k<${to}>`} refers to no group`);
    node.number = target.number;
  }
  return printBody(body);
}

function printBody(body: Body): string {
  return body.map((sequence) => sequence.map(printNode).join('')).join('|');
}

function printNode(node: Node): string {
  if (node.type === 'atom') return node.source;
  if (node.type === 'group') return `${node.open}${printBody(node.body)})`;
  if (node.type === 'atomic') return `(?:(?=(${printBody(node.body)}))\\${node.number})`;
  if (node.type === 'reference') return `(?:\\${node.number})`;
  if (node.type === 'capture') {
    if (node.number === 0) return `(?:${printBody(node.body)})`;
    return `(${node.name === undefined ? '' : `?<${node.name}>`}${printBody(node.body)})`;
  }
  const { item } = node;
  const isPlain =
    item.type === 'atom' ? !item.isAssertion : item.type === 'capture' || (item.type === 'group' && item.open === '(?:');
  return (isPlain ? printNode(item) : `(?:${printNode(item)})`) + node.how;
}
