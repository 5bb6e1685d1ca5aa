/** Request bodies for `_bulk` and what its answers mean. Pure: bytes in, bytes and verdicts out. */
import { isUtf8 } from 'node:buffer';
import type { Batch } from '../../engine/events/batch.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { IdWriter } from '../../engine/events/event-id.ts';
import type { Field } from '../../engine/events/field.ts';
import { headerBytes, readNumber, skipValue } from '../../engine/events/msgpack.ts';
import { JsonWriter, writeJsonString } from '../../engine/events/ndjson.ts';
import { EventCursor } from '../../engine/events/view.ts';

export interface BulkOptions {
  readonly operation: 'create' | 'index';
  /** Index of an event, for the action line; undefined when the URL names it. */
  readonly indexOf: ((tag: string, seconds: number) => string) | undefined;
  /** Field whose text becomes the id; undefined: the id of the event's place. */
  readonly idKey: Field | undefined;
  /** Key that receives the time of events that have none. */
  readonly timeKey: string;
}

const MAX_ID_BYTES = 512;

export interface BulkBody {
  readonly bytes: Buffer;
  /** Offset after each event's lines: where a body can be cut. */
  readonly ends: Uint32Array;
}

/** Writes bodies event by event, without an object or a string for each. */
export class BulkWriter {
  readonly #o: BulkOptions;
  readonly #json = new JsonWriter();
  readonly #ids = new IdWriter();
  readonly #cursor = new EventCursor();
  readonly #timeKey: Buffer;
  // The index of one second of one tag, encoded once: events that follow each other mostly share it.
  #indexTag = '';
  #indexSecond = Number.NaN;
  #indexPart = Buffer.alloc(0);

  constructor(options: BulkOptions) {
    this.#o = options;
    this.#timeKey = Buffer.from(options.timeKey);
  }

  write(batches: readonly Batch[]): BulkBody {
    const size = batches.reduce((sum, batch) => sum + (batch.end - batch.start) * 1.5 + batch.count * 128, 256);
    const into = new ByteWriter(Math.ceil(size));
    const ends = new Uint32Array(batches.reduce((sum, batch) => sum + batch.count, 0));
    let n = 0;
    for (const batch of batches) n = this.#batch(into, batch, ends, n);
    const bytes = into.bytes.subarray(0, into.length);
    return isUtf8(bytes) ? { bytes, ends } : repair(bytes, ends);
  }

  #batch(into: ByteWriter, batch: Batch, ends: Uint32Array, n: number): number {
    const b = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
    if (batch.place !== undefined) this.#ids.frame(batch.place);
    if (this.#o.idKey !== undefined) this.#cursor.open(batch);
    let at = batch.start;
    for (let event = 0; event < batch.count; event++) {
      const timeAt = at + headerBytes(b, at);
      const recordAt = skipValue(b, timeAt, batch.end);
      const head = b[timeAt] as number;
      const hasNanoseconds = head === 0xd7 || head === 0xc7;
      const seconds = hasNanoseconds ? b.readUInt32BE(recordAt - 8) : Number(readNumber(b, timeAt) ?? 0);
      const nanoseconds = hasNanoseconds ? b.readUInt32BE(recordAt - 4) : 0;
      this.#action(into, batch, event, seconds);
      at = this.#json.record(into, b, recordAt, this.#timeKey, seconds, nanoseconds);
      into.u8(0x0a);
      ends[n++] = into.length;
    }
    return n;
  }

  #action(into: ByteWriter, batch: Batch, event: number, seconds: number): void {
    into.latin1(this.#o.operation === 'create' ? '{"create":{' : '{"index":{');
    const hasId = this.#id(into, batch, event);
    if (this.#o.indexOf !== undefined) {
      if (hasId) into.u8(0x2c);
      this.#index(into, this.#o.indexOf, batch.tag, seconds);
    }
    into.latin1('}}\n');
  }

  /** @returns whether there is an id: the one of the event's key, else the one of its place */
  #id(into: ByteWriter, batch: Batch, event: number): boolean {
    const { idKey } = this.#o;
    if (idKey !== undefined) {
      this.#cursor.next(event);
      const own = this.#cursor.str(idKey);
      const text = own === undefined ? undefined : Buffer.from(own);
      // A longer id would have the server refuse the whole request.
      if (text !== undefined && text.length > 0 && text.length <= MAX_ID_BYTES) {
        into.latin1('"_id":');
        writeJsonString(into, text, 0, text.length);
        return true;
      }
    }
    if (batch.place === undefined) return false;
    into.latin1('"_id":"');
    this.#ids.write(into, batch.ids?.[event] ?? event << 8);
    into.u8(0x22);
    return true;
  }

  #index(into: ByteWriter, indexOf: (tag: string, seconds: number) => string, tag: string, seconds: number): void {
    if (seconds !== this.#indexSecond || tag !== this.#indexTag) {
      this.#indexPart = Buffer.from(`"_index":${JSON.stringify(indexOf(tag, seconds))}`);
      this.#indexSecond = seconds;
      this.#indexTag = tag;
    }
    into.raw(this.#indexPart);
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

// ---- answers ----------------------------------------------------------------------------------

/** stored: done; duplicate: it was there already; again: may succeed later; refused: never will. */
export type ItemVerdict = 'stored' | 'duplicate' | 'again' | 'refused';

/** 400s that are the server's or the configuration's fault: the same document may be welcome later. */
const NOT_THE_DOCUMENT = new Set([
  'validation_exception',
  'index_closed_exception',
  'invalid_index_name_exception',
  'cluster_block_exception',
  'index_not_found_exception',
  'process_cluster_event_timeout_exception',
]);

/**
 * What an item's answer means for its event. Decided by the status; the type only tells apart the 400s.
 *
 * @param operation  409 means "there already" for a create, and a conflict for anything else
 */
export function judgeItem(status: number, type: string, reason: string, operation: 'create' | 'index'): ItemVerdict {
  if (status >= 200 && status < 300) return 'stored';
  if (status === 409) return operation === 'create' ? 'duplicate' : 'again';
  if (status !== 400 && status !== 413) return 'again';
  if (NOT_THE_DOCUMENT.has(type)) return 'again';
  if (type === 'illegal_argument_exception' && /pipeline with id|only write ops with an op_type of create/.test(reason))
    return 'again';
  return 'refused';
}

/** No errors, and as many items as were sent: told without making an object of each. */
function isAllStored(text: string, count: number): boolean {
  if (!text.slice(0, 60).includes('"errors":false')) return false;
  let items = 0;
  for (let at = text.indexOf(STATUS); at >= 0; at = text.indexOf(STATUS, at + STATUS.length)) items++;
  return items === count;
}
const STATUS = '"status":20';

interface ItemError {
  readonly type?: unknown;
  readonly reason?: unknown;
  readonly caused_by?: ItemError;
}

export interface BulkOutcome {
  readonly stored: number;
  readonly duplicates: number;
  readonly again: readonly number[];
  readonly refused: readonly { readonly index: number; readonly reason: string }[];
  /** Why something has to be tried again. */
  readonly reason: string | undefined;
  /** An item was answered with 429: less at a time. */
  readonly isOverloaded: boolean;
}

/**
 * Reads the answer to a bulk request of `count` items, by position.
 *
 * @returns undefined when the answer does not fit the request: nobody knows what was stored, so all of it is sent again
 *   under the same ids
 */
export function readBulkAnswer(text: string, count: number, operation: 'create' | 'index'): BulkOutcome | undefined {
  if (isAllStored(text, count))
    return { stored: count, duplicates: 0, again: [], refused: [], reason: undefined, isOverloaded: false };
  let answer: { readonly items?: unknown } | null;
  try {
    answer = JSON.parse(text) as typeof answer;
  } catch {
    // A proxy's page, or cut off: told to the caller by undefined.
    return undefined;
  }
  const items = answer?.items;
  if (!Array.isArray(items) || items.length !== count) return undefined;
  const outcome = {
    stored: 0,
    duplicates: 0,
    again: [] as number[],
    refused: [] as { index: number; reason: string }[],
    reason: undefined as string | undefined,
    isOverloaded: false,
  };
  for (const [index, item] of (items as readonly unknown[]).entries()) {
    const [result] = Object.values((item ?? {}) as Record<string, { status?: unknown; error?: unknown }>);
    const status = Number(result?.status ?? 0);
    const { type, reason } = explain(result?.error);
    switch (judgeItem(status, type, reason, operation)) {
      case 'stored':
        outcome.stored++;
        break;
      case 'duplicate':
        outcome.duplicates++;
        break;
      case 'refused':
        outcome.refused.push({ index, reason: `${status} ${type}: ${reason}` });
        break;
      case 'again':
        outcome.again.push(index);
        outcome.reason ??= `${status} ${type}: ${reason.slice(0, 300)}`;
        if (status === 429) outcome.isOverloaded = true;
        break;
    }
  }
  return outcome;
}

/** Servers quote whole values, even whole documents, in their reasons. */
const MAX_REASON = 300;

/**
 * Type and text of an error. The outer text often only says that parsing failed, the innermost one that all parsers
 * did: the chain is kept, each level cut.
 */
function explain(error: unknown): { readonly type: string; readonly reason: string } {
  if (typeof error === 'string') return { type: 'error', reason: error.slice(0, MAX_REASON) };
  const reasons: string[] = [];
  let level = error as ItemError | undefined;
  for (let depth = 0; level !== undefined && level !== null && depth < 10; depth++) {
    if (typeof level.reason === 'string' && !reasons.includes(level.reason)) reasons.push(level.reason);
    level = level.caused_by;
  }
  const type = (error as ItemError | undefined)?.type;
  return {
    type: typeof type === 'string' ? type : 'unknown',
    reason: reasons.map((reason) => reason.slice(0, MAX_REASON)).join('; '),
  };
}
