import { mkdirSync, openSync, statSync, writeSync, closeSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import { EventCursor } from '../events/view.ts';
import type { DeadLetter } from './output-runner.ts';

/** A graveyard beyond this size takes nothing more; what comes then is logged and counted only. */
const MAX_BYTES = 256 << 20;

/**
 * Sets events aside that will never be delivered: one JSON line each in `<data>/dead-letters/<output>.ndjson`, with the
 * reason, the tag, the time and the record as it was.
 *
 * @param directory  undefined when nothing may be kept on disk: the events are then logged
 */
export function deadLetters(directory: string | undefined, output: string, log: Log): (letters: readonly DeadLetter[]) => void {
  const cursor = new EventCursor();
  const path = directory === undefined ? undefined : join(directory, 'dead-letters', `${encodeURIComponent(output)}.ndjson`);
  return (letters) => {
    const lines: string[] = [];
    for (const { batch, reason } of letters) {
      cursor.open(batch);
      for (let n = 0; n < batch.count; n++) {
        cursor.next(n);
        const time = new Date(cursor.seconds * 1000 + Math.floor(cursor.nanoseconds / 1e6));
        const text = Number.isNaN(time.getTime()) ? String(cursor.seconds) : time.toISOString();
        lines.push(JSON.stringify({ output, reason, tag: batch.tag, time: text, record: cursor.toObject() }, printable));
      }
    }
    if (path === undefined || directory === undefined) {
      for (const line of lines.slice(0, 10))
        log.error({ letter: line.slice(0, 2000) }, 'dead letter; no data directory to keep it in');
      return;
    }
    try {
      append(directory, path, `${lines.join('\n')}\n`);
    } catch (error) {
      log.error({ path, reason: messageOf(error), events: lines.length }, 'dead letters could not be written');
    }
  };
}

function append(directory: string, path: string, text: string): void {
  mkdirSync(join(directory, 'dead-letters'), { recursive: true });
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size + text.length > MAX_BYTES) throw new Error(`the file has reached ${MAX_BYTES} bytes; move it away`);
  const file = openSync(path, 'a', 0o640);
  try {
    writeSync(file, text);
  } finally {
    closeSync(file);
  }
}

const printable = (_key: string, value: unknown): unknown => {
  if (typeof value === 'bigint') return value.toString();
  // A Buffer reaches the replacer as what its toJSON gives; binary values of a record are plain Uint8Arrays.
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : value;
};
