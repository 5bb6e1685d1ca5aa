/** Up to here copying words in a loop beats the call into native code (about 60 ns). */
const LOOP_BYTES = 128;

/** A growing byte buffer. `bytes` and `view` are replaced when it grows, so never keep them across a write. */
export class ByteWriter {
  bytes: Buffer;
  /** Over the memory of `bytes`: four bytes at a time, where that pays. */
  view: DataView;
  length = 0;

  /** @param capacity  first size in bytes; grows by doubling */
  constructor(capacity = 1024) {
    // Its own memory, not a slice of Node's shared pool: what is taken from it may live long.
    this.bytes = Buffer.allocUnsafeSlow(capacity);
    this.view = viewOf(this.bytes);
  }

  /** Makes room for `more` bytes after `length`. */
  ensure(more: number): void {
    const wanted = this.length + more;
    if (wanted <= this.bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
    this.view = viewOf(grown);
  }

  u8(value: number): void {
    this.ensure(1);
    this.bytes[this.length++] = value;
  }

  u16(value: number): void {
    this.ensure(2);
    this.bytes[this.length++] = value >>> 8;
    this.bytes[this.length++] = value;
  }

  u32(value: number): void {
    this.ensure(4);
    const { bytes, length } = this;
    bytes[length] = value >>> 24;
    bytes[length + 1] = value >>> 16;
    bytes[length + 2] = value >>> 8;
    bytes[length + 3] = value;
    this.length = length + 4;
  }

  raw(source: Uint8Array, start = 0, end = source.length): void {
    const count = end - start;
    this.ensure(count);
    const target = this.bytes;
    let to = this.length;
    if (count < 48) {
      // Below about 48 bytes a loop beats the call into native code.
      for (let at = start; at < end; at++) target[to++] = source[at] as number;
    } else Buffer.prototype.copy.call(source as Buffer, target, to, start, end);
    this.length += count;
  }

  /** As `raw`, for a source whose view is at hand. */
  span(source: Buffer, from: DataView, start: number, end: number): void {
    if (end - start > LOOP_BYTES) return this.raw(source, start, end);
    this.ensure(end - start);
    const { view } = this;
    let to = this.length;
    let at = start;
    // Eight at a time; no bigint is made of them once the loop is compiled.
    for (const last = end - 8; at <= last; at += 8, to += 8) view.setBigInt64(to, from.getBigInt64(at, true), true);
    for (const last = end - 4; at <= last; at += 4, to += 4) view.setInt32(to, from.getInt32(at, true), true);
    for (; at < end; at++) view.setUint8(to++, from.getUint8(at));
    this.length = to;
  }

  /** @returns the number of bytes written */
  utf8(text: string): number {
    this.ensure(text.length * 3);
    const written = this.bytes.write(text, this.length, 'utf8');
    this.length += written;
    return written;
  }

  latin1(text: string): void {
    this.ensure(text.length);
    this.bytes.write(text, this.length, 'latin1');
    this.length += text.length;
  }

  /** Hands over what was written and starts anew; the taker owns the memory. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = Buffer.allocUnsafeSlow(Math.min(Math.max(1024, this.length), 1 << 20));
    this.view = viewOf(this.bytes);
    this.length = 0;
    return taken;
  }

  /** A copy of what was written; the writer goes on. */
  copy(): Buffer {
    return Buffer.from(this.bytes.subarray(0, this.length));
  }

  reset(): void {
    this.length = 0;
  }
}

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
