import { ForwardError, type ForwardRequest } from './forward.ts';
import { ByteWriter } from './byte-writer.ts';
import { EntryWriter } from './entry-writer.ts';
import { MAX_DEPTH } from './msgpack.ts';

/**
 * Cuts a stream of JSON documents apart by counting brackets outside strings. Each byte is looked at once and copied a
 * bounded number of times, whatever the size of the pieces: a document that comes byte by byte costs no more than one
 * that comes whole.
 */
export class JsonSplitter {
  // The document that has begun, without the piece at hand; its buffer grows by doubling.
  #kept: ByteWriter | undefined;
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #limitBytes: number;

  /** @param limitBytes  a document beyond this is refused */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Memory that a document which has begun takes. */
  get keptBytes(): number {
    return this.#kept?.bytes.length ?? 0;
  }

  /** @throws ForwardError when a document is too large, nested too deeply, or not one */
  push(data: Buffer): unknown[] {
    const documents: unknown[] = [];
    let start = 0;
    for (let at = 0; at < data.length; at++) {
      if (!this.#step(data[at] as number)) continue;
      documents.push(parse(this.#document(data, start, at + 1)));
      start = at + 1;
    }
    if (start < data.length) this.#keep(data, start, data.length);
    return documents;
  }

  #document(data: Buffer, start: number, end: number): string {
    if (this.#kept === undefined) {
      this.#check(end - start);
      return data.toString('utf8', start, end);
    }
    const { bytes, length } = this.#keep(data, start, end);
    this.#kept = undefined;
    return bytes.toString('utf8', 0, length);
  }

  #keep(data: Buffer, start: number, end: number): ByteWriter {
    this.#check((this.#kept?.length ?? 0) + end - start);
    this.#kept ??= new ByteWriter(end - start);
    this.#kept.raw(data, start, end);
    return this.#kept;
  }

  #check(size: number): void {
    if (size > this.#limitBytes) throw new ForwardError('a JSON document is larger than chunk_size_limit');
  }

  /** @returns whether a document ends with this byte */
  #step(byte: number): boolean {
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === 0x5c) this.#escaped = true;
      else if (byte === 0x22) this.#inString = false;
      return false;
    }
    if (byte === 0x22) this.#inString = true;
    else if (byte === 0x5b || byte === 0x7b) {
      if (++this.#depth > MAX_DEPTH) throw new ForwardError(`a JSON document is nested deeper than ${MAX_DEPTH}`);
    } else if ((byte === 0x5d || byte === 0x7d) && --this.#depth <= 0) {
      this.#depth = 0;
      return true;
    }
    return false;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ForwardError('not JSON', { cause: error });
  }
}

/** A request in JSON: Message and Forward modes, times as whole seconds. */
export function readJsonRequest(value: unknown, nowMs: number): ForwardRequest | 'nil' | 'not-an-array' {
  if (value === null) return 'nil';
  if (!Array.isArray(value)) return 'not-an-array';
  const [tag, second] = value as unknown[];
  const isForward = Array.isArray(second);
  const option = value[isForward ? 2 : 3] as unknown;
  const chunk =
    typeof option === 'object' && option !== null && 'chunk' in option
      ? Buffer.from(JSON.stringify({ ack: option.chunk }))
      : undefined;
  const into = new EntryWriter(1024);
  let skipped = 0;
  const entries: unknown[] = isForward ? second : [[second, value[2]]];
  if (typeof tag !== 'string') return { batch: undefined, skipped: 1, truncated: false, chunk };
  for (const entry of entries) {
    const [time, record] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (!Number.isInteger(time) || typeof record !== 'object' || record === null || Array.isArray(record)) {
      skipped++;
      continue;
    }
    into.defaultTimeMs(nowMs);
    into.begin();
    if (time !== 0) into.time(time as number, 0);
    into.record(record as Record<string, unknown>);
    into.commit();
  }
  return { batch: into.take(tag), skipped, truncated: false, chunk };
}
