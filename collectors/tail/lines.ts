/** From whole lines of a file to entries: encoding, parser, path. */
import { isUtf8 } from 'node:buffer';
import type { Parser } from '../../engine/component.ts';
import { encodeKey, EntryWriter } from '../../engine/events/entry-writer.ts';
import { headerBytes, mapCount, skipValue } from '../../engine/events/msgpack.ts';

const LINE_FEED = 10;
const RETURN = 13;
/** Bytes of an entry before its first pair: see `EntryWriter`. */
const HEAD_BYTES = 14;
const COUNT_AT = 12;

export interface LineOptions {
  readonly parser: Parser;
  /** Longer lines are left out. */
  readonly maxLine: number;
  /** Encoding of the file when it is not UTF-8; a label of the WHATWG standard. */
  readonly encoding: string | undefined;
  readonly pathKey: string | undefined;
  readonly keepsUnmatched: boolean;
  /** Entries after which `onFull` is called, so that it takes them. */
  readonly maxEntries: number;
  onFull(): void;
  onUnmatched(reason: string, line: Buffer): void;
  onTooLong(): void;
  /** Bytes that are no UTF-8 were replaced, in a file that should hold UTF-8. */
  onRepaired(): void;
}

export class Lines {
  readonly writer = new EntryWriter();
  readonly #o: LineOptions;
  readonly #decoder: InstanceType<typeof TextDecoder> | undefined;
  readonly #pathKey: { readonly name: Uint8Array; readonly encoded: Uint8Array } | undefined;
  readonly #unmatchedKey = encodeKey('unmatched_line');

  constructor(options: LineOptions) {
    this.#o = options;
    this.#decoder = options.encoding === undefined ? undefined : new TextDecoder(options.encoding);
    const { pathKey } = options;
    this.#pathKey = pathKey === undefined ? undefined : { name: Buffer.from(pathKey, 'utf8'), encoded: encodeKey(pathKey) };
  }

  /**
   * Parses lines, each with its line feed, into `writer`.
   *
   * @param isHead  the lines begin the file: a byte order mark is no part of them
   */
  take(bytes: Buffer, from: number, to: number, isHead: boolean, path: string): void {
    let b = bytes;
    let at = from;
    let end = to;
    if (isHead && b[at] === 0xef && b[at + 1] === 0xbb && b[at + 2] === 0xbf) at += 3;
    if (this.#decoder !== undefined || !isUtf8(b.subarray(at, end))) {
      b = this.#convert(b.subarray(at, end));
      at = 0;
      end = b.length;
    }
    const pathText = this.#pathText(path);
    while (at < end) {
      let lineEnd = b.indexOf(LINE_FEED, at);
      if (lineEnd < 0) lineEnd = end;
      const next = lineEnd + 1;
      if (lineEnd - at > this.#o.maxLine) this.#o.onTooLong();
      else {
        if (lineEnd > at && b[lineEnd - 1] === RETURN) lineEnd--;
        this.#line(b, at, lineEnd, pathText);
        if (this.writer.count >= this.#o.maxEntries && next < end) this.#o.onFull();
      }
      at = next;
    }
  }

  /** The text of a line, for a look at how it begins. */
  textOf(bytes: Buffer, from: number, to: number): string {
    return this.#decoder === undefined ? bytes.toString('utf8', from, to) : this.#decoder.decode(bytes.subarray(from, to));
  }

  /** Parses several lines as one text. */
  takeWhole(bytes: Buffer, from: number, to: number, path: string): void {
    const text = this.#whole(bytes, from, to);
    this.#line(text, 0, text.length, this.#pathText(path));
    if (this.writer.count >= this.#o.maxEntries) this.#o.onFull();
  }

  /** The same, if the parser takes it. */
  tryWhole(bytes: Buffer, from: number, to: number, path: string): boolean {
    const text = this.#whole(bytes, from, to);
    const entryAt = this.writer.out.length;
    if (this.#o.parser.parse(text, 0, text.length, this.writer) !== undefined) return false;
    const pathText = this.#pathText(path);
    if (pathText !== undefined) this.#addPath(entryAt, pathText);
    return true;
  }

  /** In UTF-8, without the last line end. */
  #whole(bytes: Buffer, from: number, to: number): Buffer {
    const part = bytes.subarray(from, to);
    const text = this.#decoder !== undefined || !isUtf8(part) ? this.#convert(part) : part;
    let end = text.length;
    if (end > 0 && text[end - 1] === LINE_FEED) end--;
    if (end > 0 && text[end - 1] === RETURN) end--;
    return text.subarray(0, end);
  }

  #pathText(path: string): Uint8Array | undefined {
    return this.#pathKey === undefined ? undefined : encodeKey(path);
  }

  #convert(bytes: Buffer): Buffer {
    if (this.#decoder !== undefined) return Buffer.from(this.#decoder.decode(bytes), 'utf8');
    this.#o.onRepaired();
    return Buffer.from(bytes.toString('utf8'), 'utf8');
  }

  #line(b: Buffer, from: number, to: number, pathText: Uint8Array | undefined): void {
    const { writer } = this;
    const entryAt = writer.out.length;
    const failure = this.#o.parser.parse(b, from, to, writer);
    if (failure !== undefined) {
      this.#o.onUnmatched(failure, b.subarray(from, to));
      if (!this.#o.keepsUnmatched) return;
      writer.begin();
      writer.key(this.#unmatchedKey);
      writer.utf8(b, from, to);
      writer.commit();
    }
    if (pathText !== undefined) this.#addPath(entryAt, pathText);
  }

  /** Adds the path to the entries from `entryAt` on that lack the key. */
  #addPath(entryAt: number, pathText: Uint8Array): void {
    const { out } = this.writer;
    const { name, encoded } = this.#pathKey as { name: Uint8Array; encoded: Uint8Array };
    const firstEnd = skipValue(out.bytes, entryAt, out.length);
    if (firstEnd === out.length) {
      // The usual case, one entry at the end: appended in place.
      if (hasKey(out.bytes, entryAt, out.length, name)) return;
      out.raw(encoded);
      out.raw(pathText);
      addToCount(out.bytes, entryAt);
      return;
    }
    const before = Buffer.from(out.bytes.subarray(entryAt, out.length));
    out.length = entryAt;
    for (let at = 0; at < before.length;) {
      const end = skipValue(before, at, before.length);
      const newAt = out.length;
      out.raw(before, at, end);
      if (!hasKey(before, at, end, name)) {
        out.raw(encoded);
        out.raw(pathText);
        addToCount(out.bytes, newAt);
      }
      at = end;
    }
  }
}

function addToCount(bytes: Buffer, entryAt: number): void {
  bytes.writeUInt16BE(bytes.readUInt16BE(entryAt + COUNT_AT) + 1, entryAt + COUNT_AT);
}

function hasKey(bytes: Buffer, entryAt: number, end: number, name: Uint8Array): boolean {
  const mapAt = entryAt + HEAD_BYTES - 3;
  let at = mapAt + headerBytes(bytes, mapAt);
  for (let left = mapCount(bytes, mapAt, end); left > 0; left--) {
    const valueAt = skipValue(bytes, at, end);
    if (bytes.subarray(valueAt - name.length, valueAt).equals(name) && keyLength(bytes, at, valueAt) === name.length) return true;
    at = skipValue(bytes, valueAt, end);
  }
  return false;
}

function keyLength(bytes: Buffer, at: number, end: number): number {
  const head = bytes[at] as number;
  return end - at - (head < 0xc0 ? 1 : head === 0xd9 ? 2 : head === 0xda ? 3 : 5);
}
