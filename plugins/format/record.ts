/** The record of an event as bytes, for the formatters that write all of it. */
import type { EventView } from '../../engine/component.ts';
import type { ByteWriter } from '../../engine/events/byte-writer.ts';
import { headerBytes, skipValue } from '../../engine/events/msgpack.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';
import { EventCursor } from '../../engine/events/view.ts';

/** The event as MessagePack, from which JSON is written in one pass. @returns the offset of its record */
export function writeEntry(event: EventView, into: ByteWriter): number {
  if (!(event instanceof EventCursor)) {
    writeValue(into, event.toObject());
    return 0;
  }
  event.write(into);
  const timeAt = headerBytes(into.bytes, 0);
  return skipValue(into.bytes, timeAt, into.length);
}
