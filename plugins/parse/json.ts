import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import type { EntryWriter } from '../../engine/events/entry-writer.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { TIME_TYPES, timeParser, type TimeParser } from '../../engine/time-format.ts';
import { oneOf, size, text } from '../../engine/units.ts';
import { readJson, isBad } from './lenient-json.ts';
import { FAILURE, checkRules, makeRules, ruleFields, type Rules } from './rules.ts';

export const jsonParser = defineParser({
  name: 'json',
  summary: 'Reads each line as a JSON map, or as a list of maps that become one event each.',
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Field that holds the time; it is taken out of the record'),
    time_type: oneOf(TIME_TYPES)
      .optional()
      .describe('Kind of the time; without it a number is seconds and text is read in the usual forms'),
    json_parser: oneOf(['oj', 'yajl', 'json']).default('oj').describe('Name of a Ruby library, accepted for compatibility'),
    stream_buffer_size: size().default(8192).describe('Buffer of a Ruby library, accepted for compatibility'),
  }),
  examples: [
    {
      title: 'Lines of JSON with the time as text',
      config: '<parse>\n  @type json\n  time_format %Y-%m-%dT%H:%M:%S.%N%z\n</parse>',
    },
  ],
  check: (config) => checkRules({ ...config, time_type: config.time_type ?? 'float' }),
  create(config) {
    const type = config.time_type ?? (config.time_format === undefined ? 'float' : 'string');
    const rules = makeRules({ ...config, time_type: type });
    const { localtime, utc, timezone } = config;
    const asText = timeParser({ type: 'string', localtime, utc, timezone });
    const timeOf: TimeParser = type === 'float' ? numberOrText(rules, asText) : (value) => rules.time(value);
    const write = (record: unknown, into: EntryWriter): string | undefined => writeRecord(record, into, rules, timeOf);
    return {
      parse(bytes, start, end, into) {
        const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end);
        const parsed = readJson(line);
        if (isBad(parsed)) return FAILURE.json;
        if (!Array.isArray(parsed)) return write(parsed, into);
        // Fluentd goes on after an item that is no map; a line without any map has failed.
        let failure: string | undefined = parsed.length === 0 ? FAILURE.record : undefined;
        let written = 0;
        for (const item of parsed) {
          const problem = write(item, into);
          if (problem === undefined) written++;
          else failure ??= problem;
        }
        return written > 0 ? undefined : failure;
      },
    };
  },
});

/**
 * A time that is no number is read as text. Fluentd reads the year of `2023-11-14T...` as seconds there, which dates
 * every line of Docker to 1970.
 */
function numberOrText(numbers: Rules, asText: TimeParser): TimeParser {
  return (value) =>
    typeof value === 'string' && !/^\s*[+-]?[\d_]*\.?[\d_]*(?:[eE][+-]?\d+)?\s*$/.test(value)
      ? (asText(value) ?? numbers.time(value))
      : numbers.time(value);
}

function writeRecord(record: unknown, into: EntryWriter, rules: Rules, timeOf: TimeParser): string | undefined {
  if (typeof record !== 'object' || record === null || Array.isArray(record)) return FAILURE.record;
  const fields = record as Fields;
  into.begin();
  const { timeKey } = rules;
  const hasTime = timeKey !== undefined && Object.hasOwn(fields, timeKey);
  if (hasTime) {
    const time = timeOf(fields[timeKey]);
    if (time === undefined) {
      into.abort();
      return FAILURE.time;
    }
    into.time(time.seconds, time.nanoseconds);
  }
  if (!rules.hasConversions && (!hasTime || rules.keepTimeKey)) into.record(fields);
  else {
    for (const key of Object.keys(fields)) {
      if (hasTime && key === timeKey && !rules.keepTimeKey) continue;
      rules.write(into, key, fields[key]);
    }
  }
  into.commit();
  return undefined;
}
