import * as z from 'zod';
import { defineParser, type Parser } from '../../engine/component.ts';
import type { EntryWriter } from '../../engine/events/entry-writer.ts';
import { regexp, text } from '../../engine/units.ts';
import { findMark, splitText } from './split.ts';
import { FAILURE, checkRules, makeRules, ruleFields, textOf, type Rules } from './rules.ts';

/** More labels than this are read the slow way, which keeps a map of them. */
const MAX_LABELS = 64;

export const ltsvParser = defineParser({
  name: 'ltsv',
  summary: 'Reads pairs of label and value between tabs: host:web1<tab>code:200.',
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Label of the time; it is taken out of the record'),
    delimiter: text().default('\t').describe('Text between the pairs'),
    delimiter_pattern: regexp()
      .optional()
      .describe('Regular expression for what stands between the pairs, in place of delimiter')
      .meta({ examples: ['/\\s+/'] }),
    label_delimiter: text().default(':').describe('Text between label and value'),
  }),
  examples: [
    { title: 'Labelled values', config: '<parse>\n  @type ltsv\n  types code:integer\n</parse>' },
    { title: 'key=value words', config: '<parse>\n  @type ltsv\n  delimiter_pattern /\\s+/\n  label_delimiter =\n</parse>' },
  ],
  check: (config) => [
    ...checkRules(config),
    ...(config.delimiter === '' ? ['delimiter: must not be empty'] : []),
    ...(config.label_delimiter === '' ? ['label_delimiter: must not be empty'] : []),
  ],
  create(config) {
    const rules = makeRules(config);
    const pattern = config.delimiter_pattern;
    const split = (line: string): string[] => (pattern === undefined ? splitText(line, config.delimiter) : line.split(pattern));
    const slow = slowParser(split, config.label_delimiter, rules);
    if (pattern !== undefined || config.delimiter === ' ' || rules.hasConversions) return slow;
    return fastParser(Buffer.from(config.delimiter, 'utf8'), Buffer.from(config.label_delimiter, 'utf8'), rules, slow);
  },
});

/** A label that comes again replaces the first one, which takes a map of them. */
function slowParser(split: (line: string) => string[], labelEnd: string, rules: Rules): Parser {
  return {
    parse(bytes, start, end, into) {
      const pairs = new Map<string, string>();
      for (const piece of split(textOf(bytes, start, end))) {
        const at = piece.indexOf(labelEnd);
        if (at >= 0) pairs.set(piece.slice(0, at), piece.slice(at + labelEnd.length));
      }
      into.begin();
      for (const [label, value] of pairs) {
        if (label === rules.timeKey) {
          const time = rules.time(value);
          if (time === undefined) return fail(into);
          into.time(time.seconds, time.nanoseconds);
          if (!rules.keepTimeKey) continue;
        }
        rules.write(into, label, value);
      }
      into.commit();
      return undefined;
    },
  };
}

function fastParser(mark: Uint8Array, labelMark: Uint8Array, rules: Rules, slow: Parser): Parser {
  const timeKey = rules.timeKey === undefined ? undefined : Buffer.from(rules.timeKey, 'utf8');
  // Where the labels of the line stand, to notice one that comes again.
  const from = new Int32Array(MAX_LABELS);
  const to = new Int32Array(MAX_LABELS);
  const isKnown = (b: Uint8Array, count: number, start: number, end: number): boolean => {
    for (let n = 0; n < count; n++)
      if ((to[n] as number) - (from[n] as number) === end - start && isSame(b, from[n] as number, start, end)) return true;
    return false;
  };
  return {
    parse(bytes, start, end, into) {
      into.begin();
      let labels = 0;
      for (let at = start; at < end;) {
        const pairEnd = findMark(bytes, at, end, mark);
        const labelEnd = findMark(bytes, at, pairEnd, labelMark);
        const valueAt = labelEnd + labelMark.length;
        if (labelEnd < pairEnd) {
          if (labels === MAX_LABELS || isKnown(bytes, labels, at, labelEnd)) {
            into.abort();
            return slow.parse(bytes, start, end, into);
          }
          from[labels] = at;
          to[labels++] = labelEnd;
          const isTime = timeKey !== undefined && labelEnd - at === timeKey.length && isText(bytes, at, timeKey);
          if (isTime && !rules.readTime(into, bytes, valueAt, pairEnd)) return fail(into);
          if (!isTime || rules.keepTimeKey) {
            into.keyBytes(bytes, at, labelEnd);
            into.utf8(bytes, valueAt, pairEnd);
          }
        }
        at = pairEnd + mark.length;
      }
      into.commit();
      return undefined;
    },
  };
}

function isSame(b: Uint8Array, at: number, start: number, end: number): boolean {
  for (let n = start; n < end; n++, at++) if (b[n] !== b[at]) return false;
  return true;
}

function isText(b: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let n = 0; n < text.length; n++) if (b[at + n] !== text[n]) return false;
  return true;
}

function fail(into: EntryWriter): string {
  into.abort();
  return FAILURE.time;
}
