import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { JsonWriter } from '../../engine/events/ndjson.ts';
import { timeFormatter } from '../../engine/time-format.ts';
import { bool, oneOf, text } from '../../engine/units.ts';
import { END, checkZone, namedDelimiter, timeFields, timeOptions } from './common.ts';
import { writeEntry } from './record.ts';

export const outFileFormatter = defineFormatter({
  name: 'out_file',
  summary: "Writes time, tag and record as JSON in a line: what Fluentd's files look like.",
  config: z.object({
    output_time: bool().default(true).describe('Whether the time stands in front'),
    output_tag: bool().default(true).describe('Whether the tag stands behind the time'),
    delimiter: text().default('\t').describe('Text between them; TAB, SPACE and COMMA are understood'),
    newline: oneOf(['lf', 'crlf']).default('lf').describe('Line end'),
    ...timeFields,
  }),
  examples: [
    { title: 'As Fluentd writes files', config: '<format>\n  @type out_file\n</format>' },
    {
      title: 'Time of Shanghai and record',
      config: '<format>\n  @type out_file\n  output_tag false\n  timezone +08:00\n  time_format %F %T.%3N\n</format>',
    },
  ],
  check: checkZone,
  create(config) {
    const print = timeFormatter(timeOptions(config));
    const delimiter = namedDelimiter(config.delimiter, '\t');
    const end = END[config.newline];
    const json = new JsonWriter();
    const entry = new ByteWriter(4096);
    return {
      format(event, into) {
        entry.reset();
        const recordAt = writeEntry(event, entry);
        if (config.output_time) into.utf8(print(event.seconds, event.nanoseconds) + delimiter);
        if (config.output_tag) into.utf8(event.tag + delimiter);
        json.record(into, entry.bytes, recordAt, undefined, event.seconds, event.nanoseconds);
        into.latin1(end);
      },
    };
  },
});
