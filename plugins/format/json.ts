import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { JsonWriter } from '../../engine/events/ndjson.ts';
import { bool, oneOf, text } from '../../engine/units.ts';
import { writeEntry } from './record.ts';

export const jsonFormatter = defineFormatter({
  name: 'json',
  summary: 'Writes each record as a line of JSON.',
  config: z.object({
    add_newline: bool().default(true).describe('Whether a line end follows each record'),
    newline: oneOf(['lf', 'crlf']).default('lf').describe('Line end'),
    time_key: text()
      .optional()
      .describe("Field that takes the event's time as ISO 8601 in UTC, if the record has none of that name"),
    json_parser: oneOf(['oj', 'yajl', 'json']).default('oj').describe('Name of a Ruby library, accepted for compatibility'),
  }),
  examples: [{ title: 'With the time of the event', config: '<format>\n  @type json\n  time_key "@timestamp"\n</format>' }],
  create(config) {
    const timeKey = config.time_key === undefined ? undefined : Buffer.from(config.time_key, 'utf8');
    const end = config.add_newline ? (config.newline === 'crlf' ? '\r\n' : '\n') : '';
    const json = new JsonWriter();
    const entry = new ByteWriter(4096);
    return {
      format(event, into) {
        entry.reset();
        const recordAt = writeEntry(event, entry);
        json.record(into, entry.bytes, recordAt, timeKey, event.seconds, event.nanoseconds);
        into.latin1(end);
      },
    };
  },
});
