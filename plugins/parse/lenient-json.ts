/**
 * JSON as Fluentd's usual library takes it: beside the standard also comments, NaN and Infinity; whole numbers beyond
 * 2^53 keep all their digits.
 */

/** Not JSON. A symbol, because every value is a possible answer. */
const BAD = Symbol('not JSON');
export type Bad = typeof BAD;
export const isBad = (value: unknown): value is Bad => value === BAD;

/** @returns what the text says, or a value for which `isBad` is true; never throws */
export function readJson(source: string): unknown {
  try {
    // The digits of long numbers are only at hand in the reviver, which costs three times as much.
    return LONG_NUMBER.test(source) ? JSON.parse(source, keepDigits) : JSON.parse(source);
  } catch {
    // Fluentd would take some of these: looked at again, slowly.
    return MAY_BE_LENIENT.test(source) ? readLenient(source) : BAD;
  }
}

const LONG_NUMBER = /\d{16}/;
const MAY_BE_LENIENT = /\/[*/]|NaN|Infinity/;

function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
  const digits = context?.source;
  return digits !== undefined && /^-?\d{1,20}$/.test(digits) ? BigInt(digits) : value;
}

/** Texts, comments and the words; all else is left as it stands. */
const TOKEN = /"(?:[^"\\]|\\.)*"|\/\*[^]*?\*\/|\/\/[^\n]*|-?(?:NaN|Infinity)(?![\w])/g;
const MARK = '\u0000';

function readLenient(source: string): unknown {
  const marked = source.replaceAll(TOKEN, (token) => {
    if (token.startsWith('"')) return token;
    if (token.startsWith('/')) return ' ';
    // A text of that very form would become the number, too; nobody writes one.
    return `"\\u0000${token}"`;
  });
  try {
    return JSON.parse(marked, (_key, value: unknown) =>
      typeof value === 'string' && value.startsWith(MARK) ? (WORDS.get(value.slice(1)) ?? value) : value,
    );
  } catch {
    return BAD;
  }
}

const WORDS = new Map([
  ['NaN', Number.NaN],
  ['-NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);
