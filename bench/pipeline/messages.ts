/** Other shapes of the corpus: messages of one event, and access logs. */
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { readRequest } from '../../engine/events/forward.ts';
import { skipValue } from '../../engine/events/msgpack.ts';
import { writeArrayHeader, writeString } from '../../engine/events/msgpack-write.ts';
import { makeCorpus } from '../events/corpus.ts';
import { readPlain } from './objects.ts';

const LIMITS = { decompressedBytes: 64 << 20 };

/** The events of PackedForward requests as Message requests `[tag, time, record]`, which ask for no answer. */
export function singleMessages(frames: readonly Buffer[]): Buffer[] {
  const messages: Buffer[] = [];
  for (const frame of frames) {
    const request = readRequest(frame, 0, frame.length, LIMITS, 0);
    if (typeof request === 'string' || request.batch === undefined) throw new Error('the corpus cannot be read');
    const { bytes, start, end, tag } = request.batch;
    for (let at = start; at < end;) {
      const next = skipValue(bytes, at, end);
      const into = new ByteWriter(next - at + 32);
      writeArrayHeader(into, 3);
      writeString(into, tag);
      // Behind the header of the entry stand time and record.
      into.raw(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), at + 1, next);
      messages.push(into.copy());
      at = next;
    }
  }
  return messages;
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const two = (value: number): string => String(value).padStart(2, '0');

/** The same requests as lines of Apache's combined format. */
export function accessLog(events: number): Buffer {
  const lines: string[] = [];
  for (const frame of makeCorpus(Math.ceil(events / 2000)).frames)
    for (const { time, record } of readPlain(frame).events) {
      if (lines.length === events) break;
      const at = new Date(time.seconds * 1000);
      const stamp = `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}:${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())} +0000`;
      const { remote, user, method, path, code, size, referer, agent } = record as Record<string, string | number>;
      // A server writes quotes and control characters of the client escaped.
      const safeAgent = String(agent).replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\t', '\\t');
      lines.push(`${remote} - ${user} [${stamp}] "${method} ${path} HTTP/1.1" ${code} ${size} "${referer}" "${safeAgent}"\n`);
    }
  return Buffer.from(lines.join(''));
}
