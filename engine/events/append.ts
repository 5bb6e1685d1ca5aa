import type { Batch } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';
import type { Fragment } from './field.ts';
import { EventCursor } from './view.ts';

/** The batch with a group of fields added to every event; places and ids are kept. */
export function appendToAll(batch: Batch, group: Fragment): Batch {
  const cursor = new EventCursor();
  const into = new ByteWriter(batch.end - batch.start + 64 * batch.count);
  cursor.open(batch);
  for (let n = 0; n < batch.count; n++) {
    cursor.next(n);
    cursor.append(group);
    cursor.write(into);
  }
  return { ...batch, bytes: into.bytes, start: 0, end: into.length };
}
