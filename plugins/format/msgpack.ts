import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { headerBytes, mapCount } from '../../engine/events/msgpack.ts';
import { writeMapHeader } from '../../engine/events/msgpack-write.ts';
import { writeEntry } from './record.ts';

export const msgpackFormatter = defineFormatter({
  name: 'msgpack',
  summary: 'Writes each record as MessagePack, one after another.',
  config: z.object({}),
  examples: [{ title: 'MessagePack', config: '<format>\n  @type msgpack\n</format>' }],
  create() {
    const entry = new ByteWriter(4096);
    return {
      format(event, into) {
        entry.reset();
        const recordAt = writeEntry(event, entry);
        // The shortest header: entries here count their fields in three bytes.
        writeMapHeader(into, mapCount(entry.bytes, recordAt, entry.length));
        into.raw(entry.bytes, recordAt + headerBytes(entry.bytes, recordAt), entry.length);
      },
    };
  },
});
