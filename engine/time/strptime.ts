/** Reads times by a format, as Ruby's strptime does: from bytes, without making an object. */
import { MONTHS, WEEKDAYS, civilOf, daysFromCivil } from './calendar.ts';
import { letterOffset, type Zone } from './zone.ts';

/** Where the result goes; reused by the caller. */
export interface TimeTarget {
  seconds: number;
  nanoseconds: number;
}

export interface ByteTimeParser {
  /**
   * Reads `bytes[start, end)` in UTF-8. What stands behind the time is ignored, as in Fluentd.
   *
   * @returns false when the text does not have the format; `into` is then untouched
   */
  parse(bytes: Uint8Array, start: number, end: number, into: TimeTarget): boolean;
}

/** @returns the parser, or a text that says what in the format is not known */
export function compileStrptime(format: string, zone: Zone, now: () => number = Date.now): ByteTimeParser | string {
  const steps = stepsOf(format);
  return typeof steps === 'string' ? steps : new StepParser(steps, zone, now);
}

/** A directive's letter, with a literal's bytes where it is one; a blank in a format matches one or more blanks. */
interface Step {
  readonly code: number;
  readonly literal: Uint8Array;
}

const LITERAL = 0;
const BLANKS = 32;
const NOTHING = new Uint8Array();

/** Directives that stand for several others. */
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
    v: '%e-%b-%Y',
    '+': '%a %b %e %H:%M:%S %Z %Y',
  }),
);
const SIMPLE = new Set('YCymBbhdejHkIlMSLNzZAaspPQ');

function stepsOf(format: string): Step[] | string {
  const steps: Step[] = [];
  // Flags and widths change only how a directive is printed.
  for (const [part, letter] of expanded(format).matchAll(/%[-_0^#]?\d*:{0,3}([A-Za-z%+])|[ \t\r\n]+|%|[^% \t\r\n]+/g)) {
    if (part === '%') return 'a % without a directive in the time format (%% stands for a percent sign)';
    if (letter === undefined)
      steps.push(/^[ \t\r\n]/.test(part) ? { code: BLANKS, literal: NOTHING } : { code: LITERAL, literal: Buffer.from(part) });
    else if (letter === '%') steps.push({ code: LITERAL, literal: Buffer.from('%') });
    else if (letter === 'n' || letter === 't') steps.push({ code: BLANKS, literal: NOTHING });
    else if (SIMPLE.has(letter)) steps.push({ code: letter.charCodeAt(0), literal: NOTHING });
    else return `unknown directive ${part} in the time format`;
  }
  return steps;
}

const expanded = (format: string): string =>
  format.replaceAll(/%%|%([FTXRDxrcv+])/g, (all: string, letter: string | undefined) =>
    letter === undefined ? all : (COMPOSITES.get(letter) ?? all),
  );

const LONGEST_CACHED = 48;

class StepParser implements ByteTimeParser {
  readonly #steps: readonly Step[];
  readonly #zone: Zone;
  readonly #now: () => number;
  // What has been read, and where reading is.
  #at = 0;
  #year = NaN;
  #month = NaN;
  #day = NaN;
  #yearDay = NaN;
  #hour = 0;
  #minute = 0;
  #second = 0;
  #nanoseconds = 0;
  #isAfternoon = -1;
  #offset = NaN;
  #epoch = NaN;
  // Lines of one second carry the same text: the last text and its result.
  readonly #lastText = new Uint8Array(LONGEST_CACHED);
  #lastLength = -1;
  #lastSeconds = 0;
  #lastNanoseconds = 0;

  constructor(steps: readonly Step[], zone: Zone, now: () => number) {
    this.#steps = steps;
    this.#zone = zone;
    this.#now = now;
  }

  parse(bytes: Uint8Array, start: number, end: number, into: TimeTarget): boolean {
    const length = end - start;
    if (length === this.#lastLength && this.#isLastText(bytes, start, length)) {
      into.seconds = this.#lastSeconds;
      into.nanoseconds = this.#lastNanoseconds;
      return true;
    }
    if (!this.#read(bytes, start, end)) return false;
    const seconds = this.#instant();
    into.seconds = seconds;
    into.nanoseconds = this.#nanoseconds;
    // A text without a year means another time next year.
    if (length <= LONGEST_CACHED && !Number.isNaN(this.#year)) {
      for (let i = 0; i < length; i++) this.#lastText[i] = bytes[start + i] ?? 0;
      this.#lastLength = length;
      this.#lastSeconds = seconds;
      this.#lastNanoseconds = this.#nanoseconds;
    }
    return true;
  }

  #isLastText(bytes: Uint8Array, start: number, length: number): boolean {
    const last = this.#lastText;
    // From the end, where the seconds are.
    for (let i = length - 1; i >= 0; i--) if (last[i] !== bytes[start + i]) return false;
    return true;
  }

  #read(bytes: Uint8Array, start: number, end: number): boolean {
    this.#at = start;
    this.#year = this.#month = this.#day = this.#yearDay = this.#offset = this.#epoch = NaN;
    this.#hour = this.#minute = this.#second = this.#nanoseconds = 0;
    this.#isAfternoon = -1;
    for (const step of this.#steps) {
      const isRead = step.code === LITERAL ? this.#literal(step.literal, bytes, end) : this.#directive(step.code, bytes, end);
      if (!isRead) return false;
    }
    return true;
  }

  #literal(literal: Uint8Array, bytes: Uint8Array, end: number): boolean {
    const at = this.#at;
    if (at + literal.length > end) return false;
    for (let i = 0; i < literal.length; i++) if (bytes[at + i] !== literal[i]) return false;
    this.#at = at + literal.length;
    return true;
  }

  #directive(code: number, bytes: Uint8Array, end: number): boolean {
    switch (code) {
      case BLANKS:
        return this.#blanks(bytes, end, 1);
      case 0x59: // Y
        return !Number.isNaN((this.#year = this.#number(bytes, end, 4, 0, 9999)));
      case 0x43: // C
        return !Number.isNaN((this.#year = this.#number(bytes, end, 2, 0, 99) * 100));
      case 0x79: {
        // y
        const short = this.#number(bytes, end, 2, 0, 99);
        this.#year = short + (short < 69 ? 2000 : 1900);
        return !Number.isNaN(short);
      }
      case 0x6d: // m
        return !Number.isNaN((this.#month = this.#number(bytes, end, 2, 1, 12)));
      case 0x42: // B
      case 0x62: // b
      case 0x68: // h
        return !Number.isNaN((this.#month = this.#name(MONTH_NAMES, bytes, end) + 1));
      case 0x41: // A
      case 0x61: // a
        return !Number.isNaN(this.#name(WEEKDAY_NAMES, bytes, end));
      case 0x64: // d
        return !Number.isNaN((this.#day = this.#number(bytes, end, 2, 1, 31)));
      case 0x65: // e
        this.#blanks(bytes, end, 0);
        return !Number.isNaN((this.#day = this.#number(bytes, end, 2, 1, 31)));
      case 0x6a: // j
        return !Number.isNaN((this.#yearDay = this.#number(bytes, end, 3, 1, 366)));
      case 0x48: // H
        return !Number.isNaN((this.#hour = this.#number(bytes, end, 2, 0, 24)));
      case 0x6b: // k
        this.#blanks(bytes, end, 0);
        return !Number.isNaN((this.#hour = this.#number(bytes, end, 2, 0, 24)));
      case 0x49: // I
        return !Number.isNaN((this.#hour = this.#number(bytes, end, 2, 1, 12)));
      case 0x6c: // l
        this.#blanks(bytes, end, 0);
        return !Number.isNaN((this.#hour = this.#number(bytes, end, 2, 1, 12)));
      case 0x4d: // M
        return !Number.isNaN((this.#minute = this.#number(bytes, end, 2, 0, 59)));
      case 0x53: // S
        return !Number.isNaN((this.#second = this.#number(bytes, end, 2, 0, 60)));
      case 0x4c: // L
      case 0x4e: // N
        return this.#fraction(bytes, end);
      case 0x70: // p
      case 0x50: // P
        return this.#half(bytes, end);
      case 0x7a: // z
      case 0x5a: // Z
        return this.#readZone(bytes, end);
      case 0x73: // s
        return this.#epochOf(bytes, end, 1);
      default: // Q
        return this.#epochOf(bytes, end, 1000);
    }
  }

  #blanks(bytes: Uint8Array, end: number, least: number): boolean {
    const start = this.#at;
    while (this.#at < end && isBlank(bytes[this.#at] ?? 0)) this.#at++;
    return this.#at - start >= least;
  }

  #number(bytes: Uint8Array, end: number, digits: number, min: number, max: number): number {
    const start = this.#at;
    const stop = Math.min(end, start + digits);
    let at = start;
    let value = 0;
    for (; at < stop; at++) {
      const digit = (bytes[at] ?? 0) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    this.#at = at;
    return at === start || value < min || value > max ? NaN : value;
  }

  #fraction(bytes: Uint8Array, end: number): boolean {
    const start = this.#at;
    let scale = 100_000_000;
    let at = start;
    let value = 0;
    for (; at < end; at++) {
      const digit = (bytes[at] ?? 0) - 48;
      if (digit < 0 || digit > 9) break;
      // Behind the ninth digit the scale is below one: such digits are read and dropped.
      if (scale >= 1) value += digit * scale;
      scale /= 10;
    }
    this.#nanoseconds = value;
    this.#at = at;
    return at > start;
  }

  /** The long name or its first three letters, in any case. */
  #name(names: readonly Uint8Array[], bytes: Uint8Array, end: number): number {
    for (let index = 0; index < names.length; index++) {
      const name = names[index] ?? NOTHING;
      let length = 0;
      while (length < name.length && this.#at + length < end && ((bytes[this.#at + length] ?? 0) | 32) === name[length]) length++;
      if (length < 3) continue;
      this.#at += length === name.length ? length : 3;
      return index;
    }
    return NaN;
  }

  #half(bytes: Uint8Array, end: number): boolean {
    const letter = (bytes[this.#at] ?? 0) | 32;
    if (this.#at + 2 > end || (letter !== 0x61 && letter !== 0x70) || ((bytes[this.#at + 1] ?? 0) | 32) !== 0x6d) return false;
    this.#isAfternoon = letter === 0x70 ? 1 : 0;
    this.#at += 2;
    return true;
  }

  #readZone(bytes: Uint8Array, end: number): boolean {
    const sign = bytes[this.#at];
    if (this.#at >= end) return false;
    if (sign !== 0x2b && sign !== 0x2d) return this.#zoneName(bytes, end);
    this.#at++;
    const start = this.#at;
    const hours = this.#number(bytes, end, 2, 0, 99);
    if (Number.isNaN(hours) || this.#at - start !== 2) return false;
    const isColon = bytes[this.#at] === 0x3a && this.#at + 2 < end;
    if (isColon) this.#at++;
    const before = this.#at;
    const minutes = this.#number(bytes, end, 2, 0, 59);
    const seconds = hours * 3600 + (Number.isNaN(minutes) ? 0 : minutes * 60);
    this.#offset = sign === 0x2d ? -seconds : seconds;
    return !isColon || this.#at > before;
  }

  #zoneName(bytes: Uint8Array, end: number): boolean {
    const start = this.#at;
    while (this.#at < end && isLetter(bytes[this.#at] ?? 0)) this.#at++;
    const length = this.#at - start;
    if (length === 0) return false;
    if (length === 1 && ((bytes[start] ?? 0) | 32) === 0x7a) this.#offset = 0;
    // Letters that nobody knows are read, and the configured zone holds.
    else if (length <= 4) this.#offset = letterOffset(String.fromCharCode(...bytes.subarray(start, this.#at))) ?? NaN;
    return true;
  }

  #epochOf(bytes: Uint8Array, end: number, unit: number): boolean {
    const isNegative = bytes[this.#at] === 0x2d;
    if (isNegative) this.#at++;
    const value = this.#number(bytes, end, 15, 0, Number.MAX_SAFE_INTEGER);
    if (Number.isNaN(value)) return false;
    const signed = isNegative ? -value : value;
    this.#epoch = Math.floor(signed / unit);
    if (unit > 1) this.#nanoseconds = (signed - this.#epoch * unit) * 1_000_000;
    this.#year = 0;
    return true;
  }

  #instant(): number {
    if (!Number.isNaN(this.#epoch)) return this.#epoch;
    const today = Number.isNaN(this.#year) ? this.#today() : undefined;
    const year = today === undefined ? this.#year : today.year;
    // The parts that are missing up to the first one given are those of today, the others the first of their kind.
    const month = Number.isNaN(this.#month)
      ? today !== undefined && Number.isNaN(this.#yearDay)
        ? today.month
        : 1
      : this.#month;
    const day = Number.isNaN(this.#day) ? (today !== undefined && Number.isNaN(this.#month) ? today.day : 1) : this.#day;
    const days =
      Number.isNaN(this.#yearDay) || !Number.isNaN(this.#month)
        ? daysFromCivil(year, month, day)
        : daysFromCivil(year, 1, 1) + this.#yearDay - 1;
    const hour = this.#isAfternoon < 0 ? this.#hour : (this.#hour % 12) + 12 * this.#isAfternoon;
    const wall = days * 86_400 + hour * 3600 + this.#minute * 60 + this.#second;
    return Number.isNaN(this.#offset) ? this.#zone.instantOf(wall) : wall - this.#offset;
  }

  #today(): { readonly year: number; readonly month: number; readonly day: number } {
    const seconds = Math.floor(this.#now() / 1000);
    return civilOf(seconds + this.#zone.offsetAt(seconds));
  }
}

const lowerNames = (names: readonly string[]): Uint8Array[] => names.map((name) => Buffer.from(name.toLowerCase()));
const MONTH_NAMES = lowerNames(MONTHS);
const WEEKDAY_NAMES = lowerNames(WEEKDAYS);

const isBlank = (byte: number): boolean => byte === 32 || (byte >= 9 && byte <= 13);
const isLetter = (byte: number): boolean => (byte | 32) >= 0x61 && (byte | 32) <= 0x7a;
