/**
 * Values as Ruby turns them into text and numbers, because that is what Fluentd's filters and parsers do with them.
 * @see https://docs.ruby-lang.org/en/3.1/String.html#method-i-to_i
 */

/** Ruby's `to_s`: nil is empty, numbers and booleans are printed, maps and lists appear in the form of `inspect`. */
export function rubyText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === null || value === undefined) return '';
  return inspect(value);
}

function inspect(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return inspectString(value);
    case 'number':
      return inspectNumber(value);
    case 'object':
      break;
    default:
      return value === undefined ? 'nil' : String(value as boolean | bigint);
  }
  if (value === null) return 'nil';
  if (Array.isArray(value)) return `[${value.map(inspect).join(', ')}]`;
  if (value instanceof Uint8Array) return inspectString(Buffer.from(value).toString('utf8'));
  // EventTime prints as its seconds.
  if ('seconds' in value && 'nanoseconds' in value && typeof value.seconds === 'number') return String(value.seconds);
  return `{${Object.entries(value)
    .map(([key, inner]) => `${inspectString(key)}=>${inspect(inner)}`)
    .join(', ')}}`;
}

function inspectNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  const magnitude = Math.abs(value);
  if (magnitude === Infinity) return value < 0 ? '-Infinity' : 'Infinity';
  if (value === 0 || (magnitude >= 1e-4 && magnitude < 1e16)) return String(value);
  if (Number.isSafeInteger(value)) return String(value);
  // 1e-7 is 1.0e-07 in Ruby.
  const [digits = '', power = ''] = value.toExponential().split('e');
  const sign = power.startsWith('-') ? '-' : '+';
  return `${digits.includes('.') ? digits : `${digits}.0`}e${sign}${power.slice(1).padStart(2, '0')}`;
}

const ESCAPED = new Map<string, string>(
  Object.entries({ '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t', '\f': '\\f', '\v': '\\v', '\b': '\\b' }),
);
ESCAPED.set('\u0007', '\\a');
ESCAPED.set('\u001B', '\\e');

function inspectString(text: string): string {
  const escaped = text.replaceAll(/["\\\u0000-\u001F\u007F]|#(?=[{$@])/g, (found) => {
    if (found === '#') return '\\#';
    const known = ESCAPED.get(found);
    if (known !== undefined) return known;
    const code = found.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0');
    return `\\x${code}`;
  });
  return `"${escaped}"`;
}

/** Ruby's `to_i`: the whole number that the text begins with, 0 when it begins with none. Never fails. */
export function rubyInteger(value: unknown): number | bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? Math.trunc(value) : 0;
  const found = /^\s*([+-]?\d+(?:_\d+)*)/.exec(rubyText(value));
  if (found === null) return 0;
  const digits = (found[1] as string).replaceAll('_', '');
  const number = Number(digits);
  // A number of more than 2^64 cannot be carried; its text keeps more than a rounded double would, but a field keeps its type.
  if (Number.isSafeInteger(number)) return number;
  return digits.length <= 20 ? BigInt(digits) : number;
}

/** Ruby's `to_f`: the number that the text begins with, 0 when it begins with none. Never fails. */
export function rubyFloat(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(value);
  const found = /^\s*([+-]?\d+(?:_\d+)*(?:\.\d+(?:_\d+)*)?(?:[eE][+-]?\d+)?)/.exec(rubyText(value));
  if (found !== null) return Number((found[1] as string).replaceAll('_', ''));
  const fraction = /^\s*([+-]?\.\d+(?:[eE][+-]?\d+)?)/.exec(rubyText(value));
  return fraction === null ? 0 : Number(fraction[1]);
}

/** Ruby's `split(delimiter)`: empty pieces at the end are dropped; a single blank means any run of white space. */
export function rubySplit(text: string, delimiter: string): string[] {
  if (text === '') return [];
  const pieces = delimiter === ' ' ? text.trimStart().split(/[ \t\r\n\f\v]+/) : text.split(delimiter);
  while (pieces.at(-1) === '') pieces.pop();
  return pieces;
}
