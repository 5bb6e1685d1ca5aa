import * as z from 'zod';
import { defineFormatter, type EventView } from '../../engine/component.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { headerBytes, skipValue } from '../../engine/events/msgpack.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';
import { JsonWriter } from '../../engine/events/ndjson.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { bool, oneOf, text } from '../../engine/units.ts';

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

/** The event as MessagePack, from which JSON is written in one pass. @returns the offset of its record */
function writeEntry(event: EventView, into: ByteWriter): number {
  if (!(event instanceof EventCursor)) {
    writeValue(into, event.toObject());
    return 0;
  }
  event.write(into);
  const timeAt = headerBytes(into.bytes, 0);
  return skipValue(into.bytes, timeAt, into.length);
}
