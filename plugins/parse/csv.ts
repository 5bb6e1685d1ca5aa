import * as z from 'zod';
import { defineParser, type Parser } from '../../engine/component.ts';
import type { EntryWriter } from '../../engine/events/entry-writer.ts';
import { list, oneOf, text } from '../../engine/units.ts';
import { splitText } from './split.ts';
import { FAILURE, checkRules, columnsOf, makeRules, ruleFields, textOf, writeBytes, type Column, type Rules } from './rules.ts';

const QUOTE = 0x22;
const LINE_FEED = 10;
const RETURN = 13;
const MALFORMED = 'malformed CSV';
const EMPTY = 'empty line';

export const csvParser = defineParser({
  name: 'csv',
  summary: 'Reads a line of values between commas, in quotes where they need them (RFC 4180).',
  config: z.object({
    ...ruleFields,
    keys: list(text())
      .describe('Names of the fields, in order')
      .meta({ examples: ['time,host,code'] }),
    delimiter: text().default(',').describe('Text between the values'),
    parser_engine: oneOf(['normal', 'fast'])
      .optional()
      .describe('Strictness: normal refuses quotes in wrong places, fast takes such lines as well as it can'),
    parser_type: oneOf(['normal', 'fast']).optional().describe('Older name of parser_engine'),
  }),
  examples: [
    {
      title: 'Three columns',
      config: '<parse>\n  @type csv\n  keys time,host,code\n  time_key time\n  types code:integer\n</parse>',
    },
  ],
  check: (config) => [...checkRules(config), ...checkDelimiter(config.delimiter)],
  create(config) {
    const rules = makeRules(config);
    const columns = columnsOf(config.keys, rules);
    const isFast = (config.parser_engine ?? config.parser_type) === 'fast';
    return isFast ? fastParser(columns, config.delimiter, rules) : strictParser(columns, config.delimiter, rules);
  },
});

const checkDelimiter = (delimiter: string): string[] =>
  delimiter === '' || /["\r\n]/.test(delimiter) ? ['delimiter: must be a text without quotes and line ends'] : [];

/**
 * Value by value over the bytes:
 *
 *     a,"b ""c""",,""      a   b "c"   nothing   empty
 */
function strictParser(columns: readonly Column[], delimiter: string, rules: Rules): Parser {
  const mark = Buffer.from(delimiter, 'utf8');
  const first = mark[0] as number;
  let unquoted: Buffer | undefined;

  /** Offset of the closing quote, -1 without one; `unquoted` is set when there are doubled quotes inside. */
  const closing = (b: Uint8Array, at: number, end: number): number => {
    unquoted = undefined;
    let isDoubled = false;
    const from = at;
    for (; at < end; at++) {
      if (b[at] !== QUOTE) continue;
      if (b[at + 1] !== QUOTE || at + 1 >= end) break;
      isDoubled = true;
      at++;
    }
    if (at >= end) return -1;
    if (isDoubled) unquoted = Buffer.from(textOf(b, from, at).replaceAll('""', '"'), 'utf8');
    return at;
  };
  const isMark = (b: Uint8Array, at: number, end: number): boolean => {
    if (b[at] !== first || at + mark.length > end) return false;
    for (let n = 1; n < mark.length; n++) if (b[at + n] !== mark[n]) return false;
    return true;
  };
  const isEnd = (b: Uint8Array, at: number, end: number): boolean => at >= end || b[at] === LINE_FEED || b[at] === RETURN;

  return {
    parse(bytes, start, end, into) {
      if (isEnd(bytes, start, end)) return EMPTY;
      into.begin();
      let at = start;
      for (let n = 0; ; n++) {
        const column = columns[n];
        let isTimeBad = false;
        if (bytes[at] === QUOTE && at < end) {
          const close = closing(bytes, at + 1, end);
          if (close < 0 || !(isEnd(bytes, close + 1, end) || isMark(bytes, close + 1, end))) return fail(into, MALFORMED);
          if (column === undefined) isTimeBad = false;
          else if (unquoted !== undefined) isTimeBad = !writeValue(into, rules, column, unquoted, 0, unquoted.length);
          else isTimeBad = !writeValue(into, rules, column, bytes, at + 1, close);
          at = close + 1;
        } else {
          const from = at;
          while (!isEnd(bytes, at, end) && !isMark(bytes, at, end)) if (bytes[at++] === QUOTE) return fail(into, MALFORMED);
          if (column !== undefined) {
            if (at > from) isTimeBad = !writeValue(into, rules, column, bytes, from, at);
            else isTimeBad = !writeNothing(into, column);
          }
        }
        if (isTimeBad) return fail(into, FAILURE.time);
        if (isEnd(bytes, at, end)) {
          for (n++; n < columns.length; n++) if (!writeNothing(into, columns[n] as Column)) return fail(into, FAILURE.time);
          into.commit();
          return undefined;
        }
        at += mark.length;
      }
    },
  };
}

function fail(into: EntryWriter, reason: string): string {
  into.abort();
  return reason;
}

/** @returns false when the value should be a time and is none */
function writeValue(into: EntryWriter, rules: Rules, column: Column, b: Uint8Array, from: number, to: number): boolean {
  if (column.isTime) {
    if (!rules.readTime(into, b, from, to)) return false;
    if (!rules.keepTimeKey) return true;
  }
  writeBytes(into, rules, column, b, from, to);
  return true;
}

function writeNothing(into: EntryWriter, column: Column): boolean {
  if (column.isTime) return false;
  into.key(column.key);
  into.nil();
  return true;
}

/**
 * Fluentd's fast engine: the line is cut at the delimiters, and pieces are joined again while a quote is open. Columns
 * that are missing are left out, and so are those beyond the keys (Fluentd gives them to a key that is nil).
 */
function fastParser(columns: readonly Column[], delimiter: string, rules: Rules): Parser {
  return {
    parse(bytes, start, end, into) {
      const line = textOf(bytes, start, end).replace(/\r?\n$|\r$/, '');
      const values = line === '' ? [] : fastValues(splitText(line, delimiter), delimiter);
      into.begin();
      for (let n = 0; n < values.length && n < columns.length; n++) {
        const { name, isTime } = columns[n] as Column;
        const value = values[n] as string | null;
        if (isTime) {
          const time = rules.time(value);
          if (time === undefined) return fail(into, FAILURE.time);
          into.time(time.seconds, time.nanoseconds);
          if (!rules.keepTimeKey) continue;
        }
        rules.write(into, name, value);
      }
      into.commit();
      return undefined;
    },
  };
}

function fastValues(pieces: readonly string[], delimiter: string): (string | null)[] {
  const values: (string | null)[] = [];
  for (let n = 0; n < pieces.length; n++) {
    const piece = pieces[n] as string;
    const quotes = piece.split('"').length - 1;
    const isQuoted = piece.startsWith('"') && piece.endsWith('"');
    if (quotes === 0) values.push(piece === '' ? null : piece);
    else if (quotes === 1 && piece.startsWith('"')) {
      const joined = [piece];
      while (++n < pieces.length) {
        joined.push(pieces[n] as string);
        if ((pieces[n] as string).endsWith('"')) break;
      }
      values.push(joined.join(delimiter).slice(1, -1));
    } else if (quotes <= 2) values.push(isQuoted ? piece.slice(1, -1) : piece);
    else values.push((isQuoted ? piece.slice(1, -1) : piece).replaceAll('""', '"'));
  }
  return values;
}
