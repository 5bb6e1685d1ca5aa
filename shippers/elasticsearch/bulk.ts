/** Request bodies for `_bulk`. Pure: batches in, bytes out. */
import { isUtf8 } from 'node:buffer';
import type { Batch } from '../../engine/events/batch.ts';
import { ByteWriter, viewOf } from '../../engine/events/byte-writer.ts';
import { IdWriter } from '../../engine/events/event-id.ts';
import type { Field } from '../../engine/events/field.ts';
import { headerBytes, readNumber, skipValue } from '../../engine/events/msgpack.ts';
import { writeLines, type LineSource } from '../../engine/events/kernel/lines.ts';
import { JsonWriter } from '../../engine/events/ndjson.ts';
import { EventCursor } from '../../engine/events/view.ts';
import type { Operation } from './decide.ts';

export interface BulkOptions {
  readonly operation: Operation;
  /** Index of an event, for the action line; undefined when the URL names it. */
  readonly indexOf: ((tag: string, seconds: number) => string) | undefined;
  /** Field whose text becomes the id; undefined: the id of the event's place. */
  readonly idKey: Field | undefined;
  /** Key that receives the time of events that have none. */
  readonly timeKey: string;
}

const MAX_ID_BYTES = 512;
const SPARE_BYTES_MAX = 32 << 20;

export interface BulkBody {
  readonly bytes: Buffer;
  /** Offset after each event's lines: where a body can be cut. */
  readonly ends: Uint32Array;
}

/** Bytes of a line that are the same for many events, with a view of them for copying. */
class Lead {
  readonly #into = new ByteWriter(128);
  bytes = this.#into.bytes;
  view = this.#into.view;
  length = 0;

  /** Any number of texts, one after the other. */
  set(...parts: readonly Buffer[]): void {
    this.#into.reset();
    for (const part of parts) this.#into.raw(part);
    ({ bytes: this.bytes, view: this.view, length: this.length } = this.#into);
  }

  write(into: ByteWriter): void {
    into.span(this.bytes, this.view, 0, this.length);
  }
}

const ID = Buffer.from('"_id":"');
const NO_BYTES = Buffer.alloc(0);
const LINE_END = Buffer.from('}}\n');

/** Writes bodies event by event, without an object or a string for each. */
export class BulkWriter {
  readonly #o: BulkOptions;
  readonly #json = new JsonWriter();
  readonly #ids = new IdWriter();
  readonly #cursor = new EventCursor();
  readonly #timeKey: Buffer;
  readonly #action: Buffer;
  // The action line up to the last characters of the id, for the events of one frame.
  readonly #lead = new Lead();
  // What follows: the index of one second of one tag, which events that follow each other mostly share.
  readonly #trail = new Lead();
  #indexTag = '';
  #indexSecond = Number.NaN;
  #indexFollows = false;
  readonly #lent = new WeakMap<Buffer, ByteWriter>();
  #spare: ByteWriter | undefined;
  // The batch whose events are written one by one.
  #taken: Uint8Array = NO_BYTES;
  #b: Buffer = NO_BYTES;
  #view = viewOf(NO_BYTES);

  constructor(options: BulkOptions) {
    this.#o = options;
    this.#timeKey = Buffer.from(options.timeKey);
    this.#action = Buffer.from(`{"${options.operation}":{`);
    this.#trail.set(LINE_END);
  }

  write(batches: readonly Batch[]): BulkBody {
    let size = 256;
    let count = 0;
    for (const batch of batches) {
      size += (batch.end - batch.start) * 1.5 + batch.count * 128;
      count += batch.count;
    }
    const into = this.#spare ?? new ByteWriter(Math.ceil(size));
    this.#spare = undefined;
    into.reset();
    into.ensure(Math.ceil(size));
    const ends = new Uint32Array(count);
    let n = 0;
    for (const batch of batches) n = this.#batch(into, batch, ends, n);
    const bytes = into.bytes.subarray(0, into.length);
    if (!isUtf8(bytes)) return repair(bytes, ends);
    this.#lent.set(bytes, into);
    return { bytes, ends };
  }

  /**
   * Nobody reads the body any more: the next one is written over it. New memory of this size for each body would let the
   * collector of garbage run all the time. One is kept, of at most 32 MiB; a body that is not given back is left alone.
   */
  reuse({ bytes }: BulkBody): void {
    const into = this.#lent.get(bytes);
    if (into !== undefined && into.bytes.length <= SPARE_BYTES_MAX) this.#spare = into;
  }

  #batch(into: ByteWriter, batch: Batch, ends: Uint32Array, n: number): number {
    if (batch.place === undefined) this.#lead.set(this.#action);
    else {
      this.#ids.frame(batch.place);
      this.#lead.set(this.#action, ID, this.#ids.head);
    }
    if (this.#o.idKey === undefined) return writeLines(into, batch, this.#source(batch), ends, n);
    this.#cursor.open(batch);
    let at = batch.start;
    for (let event = 0; event < batch.count; event++) {
      at = this.#line(into, batch, event, at);
      ends[n++] = into.length;
    }
    return n;
  }

  #source({ tag, place }: Batch): LineSource {
    const hasId = place !== undefined;
    return {
      lead: this.#lead,
      low: hasId ? this.#ids.low : undefined,
      trail: this.#o.indexOf === undefined ? this.#trail : (seconds) => this.#trailOf(tag, seconds, hasId),
      timeKey: this.#timeKey,
      line: this.#line,
    };
  }

  /** Writes the lines of the event at `at`. @returns the offset after it */
  readonly #line = (into: ByteWriter, batch: Batch, event: number, at: number): number => {
    if (batch.bytes !== this.#taken) {
      this.#taken = batch.bytes;
      this.#b = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
      this.#view = viewOf(this.#b);
    }
    const b = this.#b;
    const timeAt = at + headerBytes(b, at);
    const head = b[timeAt] as number;
    let seconds: number;
    let nanoseconds = 0;
    let recordAt: number;
    if (head === 0xd7 || head === 0xc7) {
      recordAt = timeAt + (head === 0xd7 ? 10 : 11);
      seconds = this.#view.getUint32(recordAt - 8);
      nanoseconds = this.#view.getUint32(recordAt - 4);
    } else {
      recordAt = skipValue(b, timeAt, batch.end);
      seconds = Number(readNumber(b, timeAt) ?? 0);
    }
    this.#actionLine(into, batch, event, seconds);
    const next = this.#json.record(into, b, recordAt, this.#timeKey, seconds, nanoseconds);
    into.u8(0x0a);
    return next;
  };

  #actionLine(into: ByteWriter, batch: Batch, event: number, seconds: number): void {
    const { idKey } = this.#o;
    let hasId = true;
    if (idKey === undefined || !this.#ownId(into, idKey, event)) {
      this.#lead.write(into);
      hasId = batch.place !== undefined;
      if (hasId) {
        this.#ids.tail(into, batch.ids === undefined ? event << 8 : (batch.ids[event] as number));
        into.u8(0x22);
      }
    }
    this.#trailOf(batch.tag, seconds, hasId).write(into);
  }

  #trailOf(tag: string, seconds: number, hasId: boolean): Lead {
    const { indexOf } = this.#o;
    if (indexOf !== undefined && (seconds !== this.#indexSecond || tag !== this.#indexTag || hasId !== this.#indexFollows)) {
      this.#trail.set(Buffer.from(`${hasId ? ',' : ''}"_index":${JSON.stringify(indexOf(tag, seconds))}`), LINE_END);
      this.#indexSecond = seconds;
      this.#indexTag = tag;
      this.#indexFollows = hasId;
    }
    return this.#trail;
  }

  /** Begins the action line with the id that stands in the event. @returns false when there is none */
  #ownId(into: ByteWriter, idKey: Field, event: number): boolean {
    this.#cursor.next(event);
    const own = this.#cursor.str(idKey);
    const text = own === undefined ? undefined : Buffer.from(own);
    // A longer id would have the server refuse the whole request.
    if (text === undefined || text.length === 0 || text.length > MAX_ID_BYTES) return false;
    into.raw(this.#action);
    into.latin1('"_id":');
    this.#json.text(into, text, 0, text.length);
    return true;
  }
}

/** Bytes that are not UTF-8 become U+FFFD, event by event, so that the cuts stay right. */
function repair(bytes: Buffer, ends: Uint32Array): BulkBody {
  const parts: Buffer[] = [];
  const moved = new Uint32Array(ends.length);
  let start = 0;
  let length = 0;
  for (const [n, end] of ends.entries()) {
    const part = bytes.subarray(start, end);
    const sound = isUtf8(part) ? part : Buffer.from(part.toString('utf8'));
    parts.push(sound);
    length += sound.length;
    moved[n] = length;
    start = end;
  }
  return { bytes: Buffer.concat(parts), ends: moved };
}
