import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { writeValue } from '../../engine/events/msgpack-write.ts';

/** A small value as MessagePack. */
export function encode(value: unknown): Buffer {
  const into = new ByteWriter(64);
  writeValue(into, value);
  return into.copy();
}
