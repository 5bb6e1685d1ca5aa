/** Escapes and character classes of Ruby's regular expressions, rewritten for JavaScript's flag `v`. */

/** What Ruby knows and JavaScript cannot do, or what is no expression at all; the message is for the person who wrote it. */
export class Untranslatable extends Error {}

/** A character that stands for itself, outside of a class. */
export function literal(char: string): string {
  return /^[\\^$.*+?()[\]{}|/]$/.test(char) ? `\\${char}` : char;
}

export interface EscapeResult {
  readonly source: string;
  readonly end: number;
  readonly isAssertion?: boolean;
}

/** The escape that starts at `source[at]`, a backslash. */
export function escapeOutsideClass(source: string, at: number): EscapeResult {
  const char = source[at + 1];
  if (char === undefined) throw new Untranslatable('a backslash at the end');
  const end = at + 2;
  const assertion = ASSERTIONS.get(char);
  if (assertion !== undefined) return { source: assertion, end, isAssertion: true };
  const set = SETS.get(char);
  if (set !== undefined) return { source: set.startsWith('[') || set.startsWith('\\') ? set : `[${set}]`, end };
  if (char === 'R') return { source: '(?:\\r\\n|[\\n-\\r\\u0085\\u2028\\u2029])', end };
  if (char === 'X') return { source: '(?:\\r\\n|\\P{M}\\p{M}*)', end };
  if (char === 'p' || char === 'P') return property(source, at);
  if (char === 'G' || char === 'K' || char === 'g') throw new Untranslatable(`\\${char} cannot be translated`);
  const found = characterEscape(source, at);
  return { source: codeSource(found.codes, literal), end: found.end };
}

/** The class that starts at `source[at]`, an opening bracket. */
export function classSource(source: string, at: number, depth = 0): { readonly source: string; readonly end: number } {
  if (depth > 32) throw new Untranslatable('character classes nested deeper than 32');
  let i = at + 1;
  const negated = source[i] === '^';
  if (negated) i++;
  /** Operands of `&&`. */
  const operands: string[] = [];
  let items = '';
  // A bracket directly at the start stands for itself.
  if (source[i] === ']' && source.includes(']', i + 1)) {
    items = '\\]';
    i++;
  }
  for (;;) {
    const char = source[i];
    if (char === undefined) throw new Untranslatable('a character class without its closing ]');
    if (char === ']') break;
    if (source.startsWith('&&', i)) {
      operands.push(items);
      items = '';
      i += 2;
      continue;
    }
    const item = classItem(source, i, depth);
    i = item.end;
    items += item.source;
    if (item.code === undefined || source[i] !== '-' || source[i + 1] === ']' || source[i + 1] === undefined) continue;
    const last = classItem(source, i + 1, depth);
    // `[a-\d]`: no range, the dash stands for itself.
    if (last.code === undefined) items += `\\-${last.source}`;
    else if (last.code < item.code)
      throw new Untranslatable(`${source.slice(i - 1, last.end)}: a range whose end is before its start`);
    else items += `-${last.source}`;
    i = last.end;
  }
  if (items === '' && operands.length === 0) throw new Untranslatable('an empty character class');
  const body = operands.length === 0 ? items : [...operands, items].map((operand) => `[${operand}]`).join('&&');
  return { source: `[${negated ? '^' : ''}${body}]`, end: i + 1 };
}

interface ClassItem {
  readonly source: string;
  readonly end: number;
  /** Of a single character, which may begin or end a range. */
  readonly code?: number;
}

function classItem(source: string, at: number, depth: number): ClassItem {
  const posix = /^\[:(\^?)([a-z]+):\]/.exec(source.slice(at, at + 16));
  if (posix) {
    const set = POSIX.get(posix[2] ?? '');
    if (set === undefined) throw new Untranslatable(`${posix[0]} is not known`);
    return { source: `[${posix[1]}${set}]`, end: at + posix[0].length };
  }
  if (source[at] === '[') return classSource(source, at, depth + 1);
  if (source[at] !== '\\') {
    const code = source.codePointAt(at) ?? 0;
    return { source: codeSource([code], literalInClass), end: at + (code > 0xffff ? 2 : 1), code };
  }
  const char = source[at + 1] ?? '';
  const set = SETS.get(char);
  if (set !== undefined) return { source: set, end: at + 2 };
  if (char === 'b') return { source: '\\x08', end: at + 2, code: 8 };
  if (char === 'R') return { source: '\\n-\\r\\u0085\\u2028\\u2029', end: at + 2 };
  if (char === 'p' || char === 'P') return property(source, at);
  const found = characterEscape(source, at);
  const [code, more] = found.codes;
  return {
    source: codeSource(found.codes, literalInClass),
    end: found.end,
    ...(code !== undefined && more === undefined && { code }),
  };
}

/** Sets that an escape stands for; written so that they fit into a class. */
const SETS = new Map([
  ['d', '\\d'],
  ['D', '\\D'],
  ['w', '\\w'],
  ['W', '\\W'],
  // JavaScript's \s takes the ideographic blank and others, Ruby's does not.
  ['s', '[\\t-\\r ]'],
  ['S', '[^\\t-\\r ]'],
  ['h', '[0-9a-fA-F]'],
  ['H', '[^0-9a-fA-F]'],
]);

const ASSERTIONS = new Map([
  ['A', '^'],
  ['z', '$'],
  ['Z', '(?=\\n?$)'],
  ['b', '\\b'],
  ['B', '\\B'],
]);

const CONTROLS = new Map(Object.entries({ t: 9, n: 10, v: 11, f: 12, r: 13, a: 7, e: 27 }));

/** An escape that stands for one character, or for several with `\u{41 42}`. */
function characterEscape(source: string, at: number): { readonly codes: readonly number[]; readonly end: number } {
  const rest = source.slice(at, at + 64);
  const hex = /^\\(?:x\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F \t]+)\})/.exec(rest);
  if (hex) {
    const codes = (hex[1] ?? hex[2] ?? hex[3] ?? hex[4] ?? '')
      .trim()
      .split(/\s+/)
      .map((digits) => Number.parseInt(digits, 16));
    if (codes.some((code) => code > 0x10ffff)) throw new Untranslatable(`${hex[0]} is no character`);
    return { codes, end: at + hex[0].length };
  }
  if (/^\\[xu]/.test(rest)) throw new Untranslatable(`${rest.slice(0, 4)}: expected hexadecimal digits`);
  const octal = /^\\([0-7]{1,3})/.exec(rest);
  if (octal) return { codes: [Number.parseInt(octal[1] ?? '0', 8)], end: at + octal[0].length };
  const control = /^\\(?:c|C-)([a-zA-Z@[\]^_])/.exec(rest);
  if (control) return { codes: [(control[1] ?? '').toUpperCase().charCodeAt(0) & 31], end: at + control[0].length };
  const code = CONTROLS.get(rest[1] ?? '') ?? source.codePointAt(at + 1);
  if (code === undefined) throw new Untranslatable('a backslash at the end');
  return { codes: [code], end: at + (code > 0xffff ? 3 : 2) };
}

function codeSource(codes: readonly number[], asLiteral: (char: string) => string): string {
  // Control characters and what is invisible are printed as escapes, so that the result can be shown.
  return codes
    .map((code) =>
      code < 32 || (code >= 127 && code < 160) || code === 0x2028 || code === 0x2029 || (code >= 0xd800 && code < 0xe000)
        ? `\\u{${code.toString(16)}}`
        : asLiteral(String.fromCodePoint(code)),
    )
    .join('');
}

/** Inside a class of flag `v` every punctuation may, and some must, have a backslash. */
function literalInClass(char: string): string {
  return /^[&\-!#%,:;<=>@`~^$\\.*+?()[\]{}|/]$/.test(char) ? `\\${char}` : char;
}

function property(source: string, at: number): EscapeResult {
  const found = /^\\([pP])\{(\^?)([A-Za-z0-9_ -]+)\}/.exec(source.slice(at, at + 64));
  if (!found) throw new Untranslatable(`${source.slice(at, at + 8)}: expected \\p{Name}`);
  const [all, letter, caret, name = ''] = found;
  const negated = (letter === 'P') !== (caret === '^');
  const posix = POSIX.get(name.toLowerCase());
  const end = at + all.length;
  if (posix !== undefined) return { source: `[${negated ? '^' : ''}${posix}]`, end };
  for (const candidate of [name, `Script=${name}`]) {
    try {
      void new RegExp(`\\p{${candidate}}`, 'v');
      return { source: `\\${negated ? 'P' : 'p'}{${candidate}}`, end };
    } catch {
      // Not a property of that form; the next form is tried, and none of them is an error below.
    }
  }
  throw new Untranslatable(`\\p{${name}} is not known`);
}

const GRAPH_EXCEPT = '\\p{White_Space}\\p{Cc}\\p{Cs}\\p{Cn}';
const POSIX = new Map([
  ['alnum', '\\p{Alphabetic}\\p{Nd}'],
  ['alpha', '\\p{Alphabetic}'],
  ['ascii', '\\x00-\\x7f'],
  ['blank', '\\p{Zs}\\t'],
  ['cntrl', '\\p{Cc}'],
  ['digit', '\\p{Nd}'],
  ['graph', `[^${GRAPH_EXCEPT}]`],
  ['lower', '\\p{Lowercase}'],
  ['print', `[[^${GRAPH_EXCEPT}]\\p{Zs}]`],
  ['punct', '\\p{P}$+<=>\\^`\\|~'],
  ['space', '\\p{White_Space}'],
  ['upper', '\\p{Uppercase}'],
  ['xdigit', '0-9a-fA-F'],
  ['word', '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}'],
]);
