import { viewOf, type ByteWriter } from './byte-writer.ts';
import { PIECE, QUOTE, copyText, escapeText } from './json-text.ts';
import { MsgpackReader, arrayCount, headerBytes, mapCount, skipValue, stringStart } from './msgpack.ts';

const COLON = 0x3a;
const COMMA = 0x2c;
/** More than a key and a value of the kinds that `#pairs` copies itself. */
const PAIR_ROOM = 320;
/** More than any number, literal or time takes, its comma included. */
const SCALAR_ROOM = 48;
/** Powers of ten by their exponent. */
const SCALES = Float64Array.of(1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6);
/** From here on digits are left to JavaScript's own printing. */
const MAX_DIGITS = 1e15;

/**
 * Turns MessagePack into JSON in one pass over the bytes: no object, and a string only for numbers of more than 15 digits.
 *
 * Binary data is written as text, an EventTime as ISO 8601 text, NaN and infinities as null, other extensions as null.
 * Bytes that are not UTF-8 are copied: whoever sends the text on repairs it. Input was checked at the entrance; reading
 * beyond the buffer throws.
 */
export class JsonWriter {
  // What is read: the buffer, a view of it, and the offset of the next value.
  #b: Buffer = Buffer.alloc(0);
  #in: DataView = viewOf(this.#b);
  #at = 0;
  // What is written: the writer, its buffer and view as long as it does not grow, and how far it is written.
  #into: ByteWriter | undefined;
  #bytes: Buffer = this.#b;
  #out: DataView = this.#in;
  #to = 0;
  // The 20 bytes `"YYYY-MM-DDTHH:MM:SS` of the second that was written last.
  readonly #prefix = Buffer.alloc(20);
  readonly #prefixView = viewOf(this.#prefix);
  #prefixSecond = Number.NaN;

  /**
   * Writes the record at `at` as a JSON object.
   *
   * @param timeKey  when given and not a key of the record itself: a last member with the event's time
   * @returns the offset after the record
   */
  record(into: ByteWriter, b: Buffer, at: number, timeKey: Buffer | undefined, seconds: number, nanoseconds: number): number {
    this.#open(into, b, at);
    const count = this.#openMap();
    const hasTime = this.#pairs(count, timeKey) || timeKey === undefined;
    if (!hasTime) {
      this.#slowString(timeKey as Buffer, 0, (timeKey as Buffer).length, COLON);
      this.#need(SCALAR_ROOM);
      this.#time(seconds, nanoseconds);
    }
    this.#close(count > 0 || !hasTime, 0x7d);
    into.length = this.#to - 1;
    return this.#at;
  }

  /** Writes bytes of UTF-8 text as a JSON string. */
  text(into: ByteWriter, b: Uint8Array, start: number, end: number): void {
    this.#open(into, this.#b, 0);
    this.#slowString(b, start, end, COMMA);
    into.length = this.#to - 1;
  }

  #open(into: ByteWriter, b: Buffer, at: number): void {
    if (b !== this.#b) {
      this.#b = b;
      this.#in = viewOf(b);
    }
    this.#at = at;
    this.#into = into;
    this.#bytes = into.bytes;
    this.#out = into.view;
    this.#to = into.length;
  }

  #need(more: number): void {
    if (this.#to + more > this.#bytes.length) this.#grow(more);
  }

  #grow(more: number): void {
    const into = this.#into as ByteWriter;
    into.length = this.#to;
    into.ensure(more);
    this.#bytes = into.bytes;
    this.#out = into.view;
  }

  /** Writes the next value and a comma. */
  #value(): void {
    const b = this.#b;
    const at = this.#at;
    const head = b[at] as number;
    if (head >= 0xa0 && head < 0xc0) this.#string(at + 1, at + 1 + (head & 31), COMMA);
    else if (head === 0xd9) this.#string(at + 2, at + 2 + (b[at + 1] as number), COMMA);
    else if (head < 0x80) this.#integer(head, at + 1);
    else if (head >= 0xe0) this.#integer(head - 256, at + 1);
    else if (head >= 0xca && head < 0xd4) this.#number(head, at + 1);
    else if (head < 0x90 || head >= 0xde) this.#map();
    else if (head < 0xa0 || head >= 0xdc) this.#array();
    else this.#rare(head);
  }

  #map(): void {
    const count = this.#openMap();
    this.#pairs(count, undefined);
    this.#close(count > 0, 0x7d);
  }

  #openMap(): number {
    const count = mapCount(this.#b, this.#at, this.#b.length);
    this.#at += headerBytes(this.#b, this.#at);
    this.#need(1);
    this.#bytes[this.#to++] = 0x7b;
    return count;
  }

  /**
   * Writes pairs, each with a comma after it. Short texts, most of what there is, are copied here, where all that is
   * needed stands in local variables; the rest is left to `#key` and `#value`.
   *
   * @returns whether one of the keys is `wanted`
   */
  #pairs(count: number, wanted: Buffer | undefined): boolean {
    const b = this.#b;
    const input = this.#in;
    let hasWanted = false;
    for (let n = 0; n < count; n++) {
      this.#need(PAIR_ROOM);
      const output = this.#out;
      let at = this.#at;
      let to = this.#to;
      if (wanted !== undefined && !hasWanted) hasWanted = isKey(b, at, wanted);
      let head = b[at] as number;
      let end = at + 1 + (head & 31);
      if (head >= 0xa0 && head < 0xc0 && (to = copyText(input, output, at + 1, end, to, COLON)) > 0) {
        this.#to = to;
        this.#at = end;
      } else {
        this.#key();
        this.#need(PAIR_ROOM);
      }
      at = this.#at;
      head = b[at] as number;
      if (head >= 0xa0 && head < 0xc0) end = at + 1 + (head & 31);
      else if (head === 0xd9) end = ++at + 1 + (b[at] as number);
      else {
        this.#value();
        continue;
      }
      to = copyText(input, this.#out, at + 1, end, this.#to, COMMA);
      if (to > 0) {
        this.#to = to;
        this.#at = end;
      } else this.#value();
    }
    return hasWanted;
  }

  #array(): void {
    const count = arrayCount(this.#b, this.#at, this.#b.length);
    this.#at += headerBytes(this.#b, this.#at);
    this.#need(1);
    this.#bytes[this.#to++] = 0x5b;
    for (let n = 0; n < count; n++) this.#value();
    this.#close(count > 0, 0x5d);
  }

  /** Ends a map or an array in the place of the last comma, and writes a comma. */
  #close(hasComma: boolean, bracket: number): void {
    if (hasComma) this.#to--;
    this.#need(2);
    this.#bytes[this.#to++] = bracket;
    this.#bytes[this.#to++] = COMMA;
  }

  #key(): void {
    const b = this.#b;
    const at = this.#at;
    const head = b[at] as number;
    if (head >= 0xa0 && head < 0xc0) return this.#string(at + 1, at + 1 + (head & 31), COLON);
    const from = stringStart(b, at);
    const end = skipValue(b, at, b.length);
    if (from >= 0) return this.#string(from, end, COLON);
    // No text: rare enough to make a string of it.
    const key = Buffer.from(String(new MsgpackReader(b, at, end).read()));
    this.#slowString(key, 0, key.length, COLON);
    this.#at = end;
  }

  /** Long texts, binary data, literals, extensions. */
  #rare(head: number): void {
    const b = this.#b;
    const at = this.#at;
    const end = skipValue(b, at, b.length);
    const from = stringStart(b, at);
    if (from >= 0) return this.#string(from, end, COMMA);
    this.#at = end;
    this.#need(SCALAR_ROOM);
    if ((head === 0xd7 && b[at + 1] === 0) || (head === 0xc7 && b[at + 1] === 8 && b[at + 2] === 0))
      this.#time(this.#in.getUint32(end - 8), this.#in.getUint32(end - 4));
    else this.#ascii(head === 0xc2 ? 'false,' : head === 0xc3 ? 'true,' : 'null,');
  }

  // ---- strings ----------------------------------------------------------------------------------

  /** Writes the text from `at` to `end` of what is read, in quotes, and `after`; goes on reading at `end`. */
  #string(at: number, end: number, after: number): void {
    this.#at = end;
    this.#need(end - at + 8);
    const to = copyText(this.#in, this.#out, at, end, this.#to, after);
    if (to > 0) this.#to = to;
    else this.#slowString(this.#b, at, end, after);
  }

  /** Writes text with escapes, or text that is not in the buffer that is read. */
  #slowString(b: Uint8Array, at: number, end: number, after: number): void {
    this.#need(1);
    this.#bytes[this.#to++] = QUOTE;
    while (at < end) {
      const pieceEnd = Math.min(end, at + PIECE);
      this.#need((pieceEnd - at) * 6 + 2);
      this.#to = escapeText(b, at, pieceEnd, this.#bytes, this.#to);
      at = pieceEnd;
    }
    this.#need(2);
    this.#bytes[this.#to++] = QUOTE;
    this.#bytes[this.#to++] = after;
  }

  /** ASCII text that there is room for. */
  #ascii(text: string): void {
    const bytes = this.#bytes;
    for (let n = 0; n < text.length; n++) bytes[this.#to++] = text.charCodeAt(n);
  }

  // ---- numbers and times ------------------------------------------------------------------------

  /** A number whose bytes begin at `at`, after its head. */
  #number(head: number, at: number): void {
    const input = this.#in;
    switch (head) {
      case 0xca:
      case 0xcb:
        return this.#float(head, at);
      case 0xcc:
        return this.#integer(input.getUint8(at), at + 1);
      case 0xcd:
        return this.#integer(input.getUint16(at), at + 2);
      case 0xce:
        return this.#integer(input.getUint32(at), at + 4);
      case 0xd0:
        return this.#integer(input.getInt8(at), at + 1);
      case 0xd1:
        return this.#integer(input.getInt16(at), at + 2);
      case 0xd2:
        return this.#integer(input.getInt32(at), at + 4);
      default: {
        const high = head === 0xcf ? input.getUint32(at) : input.getInt32(at);
        const value = high * 4_294_967_296 + input.getUint32(at + 4);
        if (value < MAX_DIGITS && value > -MAX_DIGITS) return this.#integer(value, at + 8);
        this.#at = at + 8;
        this.#need(SCALAR_ROOM);
        this.#ascii(`${head === 0xcf ? input.getBigUint64(at) : input.getBigInt64(at)},`);
      }
    }
  }

  /** A whole number of at most 15 digits. */
  #integer(value: number, next: number): void {
    this.#at = next;
    this.#need(SCALAR_ROOM);
    if (value < 0) {
      this.#bytes[this.#to++] = 0x2d;
      value = -value;
    }
    this.#digits(value);
    this.#bytes[this.#to++] = COMMA;
  }

  /** Takes the offset and not the value: a double that is handed to a function costs an object. */
  #float(head: number, at: number): void {
    const isSingle = head === 0xca;
    const value = isSingle ? this.#in.getFloat32(at) : this.#in.getFloat64(at);
    this.#at = at + (isSingle ? 4 : 8);
    this.#need(SCALAR_ROOM);
    const size = Math.abs(value);
    const places = size < 1e9 ? 6 : size < 1e12 ? 3 : 0;
    const scale = SCALES[places] as number;
    const scaled = Math.round(size * scale);
    if (scaled < MAX_DIGITS && scaled / scale === size) {
      // A decimal of at most 15 digits that reads back as the same double is the only one, so it is the shortest.
      if (value < 0) this.#bytes[this.#to++] = 0x2d;
      const whole = Math.floor(size);
      this.#digits(whole);
      // Whole numbers of 32 bits from here on: the remainder of a double is a call into C.
      const rest = (scaled - whole * scale) | 0;
      if (rest > 0) this.#fraction(rest, places);
      this.#bytes[this.#to++] = COMMA;
    } else this.#ascii(Number.isFinite(value) ? `${value},` : 'null,');
  }

  /** A point and `rest` as that many places, without the zeros at the end. */
  #fraction(rest: number, places: number): void {
    this.#bytes[this.#to++] = 0x2e;
    for (; rest % 10 === 0; places--) rest = (rest / 10) | 0;
    this.#padded(rest, places);
  }

  /** A whole number from 0 to below 10^15. */
  #digits(value: number): void {
    if (value >= 1e9) {
      const billions = Math.floor(value / 1e9);
      this.#digits(billions);
      return this.#padded((value - billions * 1e9) | 0, 9);
    }
    const small = value | 0;
    let count = 1;
    for (let limit = 10; limit <= small; limit *= 10) count++;
    this.#padded(small, count);
  }

  /** @param value  below 10^9 */
  #padded(value: number, count: number): void {
    const bytes = this.#bytes;
    let at = this.#to + count;
    this.#to = at;
    for (let left = count; left > 0; left--) {
      const tenth = (value / 10) | 0;
      bytes[--at] = 48 + value - tenth * 10;
      value = tenth;
    }
  }

  /** `"YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ",`; times outside the years 0 to 9999 are written as null. */
  #time(seconds: number, nanoseconds: number): void {
    if (seconds !== this.#prefixSecond) {
      if (!(seconds >= -62_167_219_200 && seconds < 253_402_300_800)) return this.#ascii('null,');
      this.#prefix.write(`"${new Date(seconds * 1000).toISOString().slice(0, 19)}`, 'latin1');
      this.#prefixSecond = seconds;
    }
    const output = this.#out;
    const to = this.#to;
    for (let n = 0; n < 20; n += 4) output.setInt32(to + n, this.#prefixView.getInt32(n, true), true);
    output.setUint8(to + 20, 0x2e);
    this.#to = to + 21;
    this.#padded(nanoseconds < 1e9 ? nanoseconds | 0 : nanoseconds % 1e9, 9);
    this.#ascii('Z",');
  }
}

/** Whether the value at `at` is the text `name`. */
function isKey(b: Uint8Array, at: number, name: Uint8Array): boolean {
  const head = b[at] as number;
  // Nearly all keys are told apart by their length alone.
  if (head >= 0xa0 && head < 0xc0 && (head & 31) !== name.length) return false;
  const from = stringStart(b, at);
  if (from < 0 || skipValue(b, at, b.length) - from !== name.length) return false;
  for (let n = 0; n < name.length; n++) if (b[from + n] !== name[n]) return false;
  return true;
}
