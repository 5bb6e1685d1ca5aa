import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import type { EntryWriter } from '../../engine/events/entry-writer.ts';
import { list, text } from '../../engine/units.ts';
import { findMark, splitText } from './split.ts';
import { FAILURE, checkRules, columnsOf, makeRules, ruleFields, textOf, writeBytes, type Column } from './rules.ts';

export const tsvParser = defineParser({
  name: 'tsv',
  summary: 'Reads a line of values between tabs; the last field takes the rest of the line.',
  config: z.object({
    ...ruleFields,
    keys: list(text())
      .describe('Names of the fields, in order')
      .meta({ examples: ['time,host,code'] }),
    delimiter: text().default('\t').describe('Text between the values'),
  }),
  examples: [{ title: 'Three columns', config: '<parse>\n  @type tsv\n  keys time,host,message\n  time_key time\n</parse>' }],
  check: (config) => [...checkRules(config), ...(config.delimiter === '' ? ['delimiter: must not be empty'] : [])],
  create(config) {
    const rules = makeRules(config);
    const columns = columnsOf(config.keys, rules);
    const mark = Buffer.from(config.delimiter, 'utf8');

    /** @returns false when the value should be a time and is none */
    const write = (into: EntryWriter, column: Column, b: Uint8Array, from: number, to: number): boolean => {
      if (column.isTime) {
        if (!rules.readTime(into, b, from, to)) return false;
        if (!rules.keepTimeKey) return true;
      }
      writeBytes(into, rules, column, b, from, to);
      return true;
    };

    return {
      parse(bytes, start, end, into) {
        let b = bytes;
        let [at, to] = [start, end];
        let separator: Uint8Array = mark;
        if (config.delimiter === ' ') {
          // Any run of white space; rare enough to make a line of it that has a sure separator.
          b = Buffer.from(splitText(textOf(bytes, start, end), ' ', columns.length).join('\0'), 'utf8');
          [at, to] = [0, b.length];
          separator = NUL;
        }
        into.begin();
        let n = 0;
        for (; n < columns.length && at <= to && !(n === 0 && at === to); n++) {
          const next = n === columns.length - 1 ? to : findMark(b, at, to, separator);
          if (!write(into, columns[n] as Column, b, at, next)) return fail(into);
          at = next < to || n === columns.length - 1 ? next + separator.length : to + 1;
        }
        for (; n < columns.length; n++) {
          const { isTime, key } = columns[n] as Column;
          if (isTime) return fail(into);
          into.key(key);
          into.nil();
        }
        into.commit();
        return undefined;
      },
    };
  },
});

const NUL = Uint8Array.of(0);

function fail(into: EntryWriter): string {
  into.abort();
  return FAILURE.time;
}
