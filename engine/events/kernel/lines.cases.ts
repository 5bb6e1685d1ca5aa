/** The plain way to write lines, which the kernel is held against. */
import type { Batch, Place } from '../batch.ts';
import { ByteWriter } from '../byte-writer.ts';
import { IdWriter } from '../event-id.ts';
import { headerBytes, readNumber, skipValue } from '../msgpack.ts';
import { JsonWriter } from '../ndjson.ts';
import { writeLines, type LineSource, type Piece } from './lines.ts';

export const PLACE: Place = { incarnation: 0x3_3333_3333n, segment: 1_700_000_000_000, offset: 0x12_3456_7891, enteredMs: 0 };
export const piece = (text: string): Piece => ({ bytes: Buffer.from(text), length: Buffer.byteLength(text) });

export interface Options {
  readonly place?: Place | undefined;
  readonly timeKey?: string;
  readonly trail?: Piece | ((seconds: number) => Piece);
}

/** A source with the plain way to write an event, and a count of how often it was taken. */
export function sourceOf({
  place,
  timeKey = '@timestamp',
  trail = piece('}}\n'),
}: Options): LineSource & { readonly left: () => number } {
  const json = new JsonWriter();
  const ids = new IdWriter();
  const key = Buffer.from(timeKey);
  if (place !== undefined) ids.frame(place);
  const lead = piece(place === undefined ? '{"create":{' : `{"create":{"_id":"${ids.head.toString()}`);
  let left = 0;
  return {
    lead,
    low: place === undefined ? undefined : ids.low,
    trail,
    timeKey: key,
    left: () => left,
    line(into, batch, event, at) {
      left++;
      const b = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
      const timeAt = at + headerBytes(b, at);
      const recordAt = skipValue(b, timeAt, batch.end);
      const isTime = b[timeAt] === 0xd7 || b[timeAt] === 0xc7;
      const seconds = isTime ? b.readUInt32BE(recordAt - 8) : Number(readNumber(b, timeAt) ?? 0);
      into.raw(lead.bytes);
      if (place !== undefined) {
        ids.tail(into, batch.ids?.[event] ?? event << 8);
        into.u8(0x22);
      }
      into.raw(typeof trail === 'function' ? trail(seconds).bytes : trail.bytes);
      const next = json.record(into, b, recordAt, key, seconds, isTime ? b.readUInt32BE(recordAt - 4) : 0);
      into.u8(0x0a);
      return next;
    },
  };
}

/**
 * Gives the kernel bytes that nobody checked. Plain code would not come back from some of them, so what the kernel leaves is
 * stepped over byte by byte: it starts everywhere.
 *
 * @throws when something that it wrote is not JSON
 */
export function takeUnchecked(bytes: Uint8Array, start: number, end: number): void {
  const into = new ByteWriter(1024);
  const line = (_: ByteWriter, __: Batch, ___: number, at: number): number => at + 1;
  const batch = { tag: 't', bytes, start, end, count: end - start };
  writeLines(into, batch, { ...sourceOf({ place: PLACE }), line }, new Uint32Array(batch.count), 0);
  for (const text of into.copy().toString('utf8').split('\n')) if (text !== '') JSON.parse(text);
}
