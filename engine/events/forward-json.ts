import { ForwardError, type ForwardRequest } from './forward.ts';
import { EntryWriter } from './entry-writer.ts';

/** Cuts a stream of JSON documents apart by counting brackets outside strings. */
export class JsonSplitter {
  #text = Buffer.alloc(0);
  #at = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  readonly #limitBytes: number;

  /** @param limitBytes  a document beyond this is refused */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  /** Bytes of a document that has begun. */
  get keptBytes(): number {
    return this.#text.length;
  }

  /** @throws ForwardError when a document is too large or not one */
  push(data: Uint8Array): unknown[] {
    this.#text = this.#text.length === 0 ? Buffer.from(data) : Buffer.concat([this.#text, data]);
    const documents: unknown[] = [];
    let start = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      if (!this.#step(this.#text[this.#at] as number)) continue;
      documents.push(parse(this.#text.toString('utf8', start, this.#at + 1)));
      start = this.#at + 1;
    }
    this.#text = this.#text.subarray(start);
    this.#at -= start;
    if (this.#text.length > this.#limitBytes) throw new ForwardError('a JSON document is larger than chunk_size_limit');
    return documents;
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
    else if (byte === 0x5b || byte === 0x7b) this.#depth++;
    else if ((byte === 0x5d || byte === 0x7d) && --this.#depth <= 0) {
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
