/** Prints times by a format, as Ruby's strftime does. */
import { MONTHS, WEEKDAYS, civilOf, daysFromCivil, type Civil } from './calendar.ts';
import type { Zone } from './zone.ts';

export type TimePrinter = (seconds: number, nanoseconds: number) => string;

/** Directives that are not known are printed as they stand, as in Ruby. */
export function compileStrftime(format: string, zone: Zone): TimePrinter {
  const parts = partsOf(format);
  // Events of one second differ in the fraction at most: the texts between the fractions are kept.
  let lastSeconds = NaN;
  let texts: string[] = [];
  return (seconds, nanoseconds) => {
    if (seconds !== lastSeconds) {
      const offset = zone.offsetAt(seconds);
      const civil = civilOf(seconds + offset);
      texts = parts.map((part) =>
        typeof part === 'string' ? part : part.fraction > 0 ? '' : directive(part, civil, seconds, offset, zone),
      );
      lastSeconds = seconds;
    }
    let text = '';
    for (let i = 0; i < parts.length; i++) {
      const part = parts[i];
      text += typeof part === 'object' && part.fraction > 0 ? fractionText(nanoseconds, part.fraction) : (texts[i] ?? '');
    }
    return text;
  };
}

interface Directive {
  readonly letter: string;
  readonly text: string;
  readonly flags: string;
  readonly width: number;
  readonly colons: number;
  /** Digits of the fraction of a second; 0 for every other directive. */
  readonly fraction: number;
}

const COMPOSITES = new Map(
  Object.entries({
    F: '%Y-%m-%d',
    T: '%H:%M:%S',
    X: '%H:%M:%S',
    R: '%H:%M',
    D: '%m/%d/%y',
    x: '%m/%d/%y',
    r: '%I:%M:%S %p',
    c: '%a %b %e %H:%M:%S %Y',
    v: '%e-%^b-%Y',
    '+': '%a %b %e %H:%M:%S %Z %Y',
  }),
);

function partsOf(format: string): (string | Directive)[] {
  const expanded = format.replaceAll(/%%|%([FTXRDxrcv+])/g, (all: string, letter: string | undefined) =>
    letter === undefined ? all : (COMPOSITES.get(letter) ?? all),
  );
  return [...expanded.matchAll(/%([-_0^#]*)(\d{0,3})(:{0,3})([A-Za-z%])|%|[^%]+/g)].map(
    ([text, flags = '', width = '', colons = '', letter]) => {
      if (letter === undefined) return text;
      if (letter === '%') return '%';
      if (letter === 'n') return '\n';
      if (letter === 't') return '\t';
      const fraction = letter === 'N' ? Math.max(1, Number(width || 9)) : letter === 'L' ? Math.max(1, Number(width || 3)) : 0;
      return { letter, text, flags, width: Number(width), colons: colons.length, fraction };
    },
  );
}

function fractionText(nanoseconds: number, digits: number): string {
  const nine = String(nanoseconds).padStart(9, '0');
  return digits <= 9 ? nine.slice(0, digits) : nine.padEnd(digits, '0');
}

function directive(part: Directive, civil: Civil, seconds: number, offset: number, zone: Zone): string {
  const number = numberOf(part.letter, civil, seconds);
  if (number !== undefined) return padded(number[0], number[1], part, number[2] ?? '0');
  switch (part.letter) {
    case 'B':
      return cased(MONTHS[civil.month - 1] ?? '', part);
    case 'b':
    case 'h':
      return cased((MONTHS[civil.month - 1] ?? '').slice(0, 3), part);
    case 'A':
      return cased(WEEKDAYS[civil.weekDay] ?? '', part);
    case 'a':
      return cased((WEEKDAYS[civil.weekDay] ?? '').slice(0, 3), part);
    case 'p':
      return part.flags.includes('#') ? half(civil).toLowerCase() : half(civil);
    case 'P':
      return half(civil).toLowerCase();
    case 'z':
      return offsetText(offset, part.colons);
    case 'Z':
      return zone.nameAt(seconds);
    default:
      return part.text;
  }
}

/** Value, width, and what it is filled with. */
function numberOf(letter: string, civil: Civil, seconds: number): readonly [number, number, string?] | undefined {
  const hour12 = civil.hour % 12 === 0 ? 12 : civil.hour % 12;
  switch (letter) {
    case 'Y':
      return [civil.year, 4];
    case 'C':
      return [Math.floor(civil.year / 100), 2];
    case 'y':
      return [((civil.year % 100) + 100) % 100, 2];
    case 'm':
      return [civil.month, 2];
    case 'd':
      return [civil.day, 2];
    case 'e':
      return [civil.day, 2, ' '];
    case 'j':
      return [civil.yearDay, 3];
    case 'H':
      return [civil.hour, 2];
    case 'k':
      return [civil.hour, 2, ' '];
    case 'I':
      return [hour12, 2];
    case 'l':
      return [hour12, 2, ' '];
    case 'M':
      return [civil.minute, 2];
    case 'S':
      return [civil.second, 2];
    case 's':
      return [seconds, 1];
    case 'u':
      return [civil.weekDay === 0 ? 7 : civil.weekDay, 1];
    case 'w':
      return [civil.weekDay, 1];
    case 'U':
      return [Math.floor((civil.yearDay + 6 - civil.weekDay) / 7), 2];
    case 'W':
      return [Math.floor((civil.yearDay + 6 - ((civil.weekDay + 6) % 7)) / 7), 2];
    case 'G':
      return [isoWeek(civil).year, 4];
    case 'g':
      return [isoWeek(civil).year % 100, 2];
    case 'V':
      return [isoWeek(civil).week, 2];
    default:
      return undefined;
  }
}

/** Weeks begin on Monday; the first one holds 4 January. */
function isoWeek(civil: Civil): { readonly year: number; readonly week: number } {
  const thursday = daysFromCivil(civil.year, civil.month, civil.day) + 3 - ((civil.weekDay + 6) % 7);
  const { year, yearDay } = civilOf(thursday * 86_400);
  return { year, week: Math.floor((yearDay - 1) / 7) + 1 };
}

function padded(value: number, width: number, { flags, width: asked }: Directive, fill: string): string {
  const digits = String(Math.abs(value));
  const sign = value < 0 ? '-' : '';
  if (flags.includes('-')) return sign + digits;
  const filler = flags.includes('_') ? ' ' : flags.includes('0') ? '0' : fill;
  return sign + digits.padStart((asked || width) - sign.length, filler);
}

function cased(text: string, { flags, width }: Directive): string {
  const shown = /[\^#]/.test(flags) ? text.toUpperCase() : text;
  return shown.padStart(width, flags.includes('0') ? '0' : ' ');
}

const half = (civil: Civil): string => (civil.hour < 12 ? 'AM' : 'PM');

/** @param colons  0 `+0900`, 1 `+09:00`, 2 `+09:00:00` */
export function offsetText(offset: number, colons: number): string {
  const size = Math.abs(offset);
  const two = (value: number): string => String(Math.floor(value)).padStart(2, '0');
  const parts = [two(size / 3600), two((size % 3600) / 60), ...(colons >= 2 ? [two(size % 60)] : [])];
  return (offset < 0 ? '-' : '+') + parts.join(colons > 0 ? ':' : '');
}
