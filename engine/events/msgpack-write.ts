/** Writing MessagePack; reading is in msgpack.ts. */
import type { ByteWriter } from './byte-writer.ts';
import { EventTimeValue, Extension, MAX_DEPTH } from './msgpack.ts';

export function writeStringHeader(into: ByteWriter, length: number): void {
  if (length < 32) into.u8(0xa0 | length);
  else if (length < 256) {
    into.u8(0xd9);
    into.u8(length);
  } else if (length < 65_536) {
    into.u8(0xda);
    into.u16(length);
  } else {
    into.u8(0xdb);
    into.u32(length);
  }
}

export function writeMapHeader(into: ByteWriter, count: number): void {
  writeCount(into, count, 0x80, 0xde);
}

export function writeArrayHeader(into: ByteWriter, count: number): void {
  writeCount(into, count, 0x90, 0xdc);
}

function writeCount(into: ByteWriter, count: number, fix: number, head16: number): void {
  if (count < 16) into.u8(fix | count);
  else if (count < 65_536) {
    into.u8(head16);
    into.u16(count);
  } else {
    into.u8(head16 + 1);
    into.u32(count);
  }
}

export function writeString(into: ByteWriter, text: string): void {
  const { length } = text;
  if (length < 11) {
    // At most 3 bytes a unit: the header is one byte for certain. Room first, since writing may replace the buffer.
    into.ensure(34);
    const headAt = into.length++;
    const written = into.utf8(text);
    into.bytes[headAt] = 0xa0 | written;
    return;
  }
  writeStringHeader(into, Buffer.byteLength(text, 'utf8'));
  into.utf8(text);
}

export function writeInteger(into: ByteWriter, value: number): void {
  if (value >= 0) {
    if (value < 128) into.u8(value);
    else if (value < 256) {
      into.u8(0xcc);
      into.u8(value);
    } else if (value < 65_536) {
      into.u8(0xcd);
      into.u16(value);
    } else if (value < 4_294_967_296) {
      into.u8(0xce);
      into.u32(value);
    } else {
      into.u8(0xcf);
      into.u32(Math.floor(value / 4_294_967_296));
      into.u32(value >>> 0);
    }
  } else if (value >= -32) into.u8(value & 255);
  else if (value >= -128) {
    into.u8(0xd0);
    into.u8(value & 255);
  } else if (value >= -32_768) {
    into.u8(0xd1);
    into.u16(value & 65_535);
  } else if (value >= -2_147_483_648) {
    into.u8(0xd2);
    into.u32(value);
  } else writeBigInteger(into, BigInt(value));
}

function writeBigInteger(into: ByteWriter, value: bigint): void {
  into.u8(value < 0n ? 0xd3 : 0xcf);
  into.u32(Number((value >> 32n) & 0xffff_ffffn));
  into.u32(Number(value & 0xffff_ffffn));
}

export function writeFloat(into: ByteWriter, value: number): void {
  into.u8(0xcb);
  into.ensure(8);
  into.bytes.writeDoubleBE(value, into.length);
  into.length += 8;
}

export function writeEventTime(into: ByteWriter, seconds: number, nanoseconds: number): void {
  into.ensure(10);
  const { view, length } = into;
  view.setUint16(length, 0xd700);
  view.setUint32(length + 2, seconds);
  view.setUint32(length + 6, nanoseconds);
  into.length = length + 10;
}

/**
 * Writes any plain value: what `MsgpackReader.read` gives, and what JSON.parse gives. `undefined` and functions become
 * nil, dates text. Nesting beyond MAX_DEPTH (a cycle, say) becomes nil, so that nothing written is refused later.
 */
export function writeValue(into: ByteWriter, value: unknown, depth = MAX_DEPTH - 4): void {
  switch (typeof value) {
    case 'string':
      return writeString(into, value);
    case 'number':
      return Number.isSafeInteger(value) && !Object.is(value, -0) ? writeInteger(into, value) : writeFloat(into, value);
    case 'boolean':
      return into.u8(value ? 0xc3 : 0xc2);
    case 'bigint':
      return value > 0xffff_ffff_ffff_ffffn || value < -0x8000_0000_0000_0000n
        ? writeString(into, String(value))
        : writeBigInteger(into, value);
    case 'object':
      return value === null || depth <= 0 ? into.u8(0xc0) : writeObject(into, value, depth);
    default:
      return into.u8(0xc0);
  }
}

function writeObject(into: ByteWriter, value: object, depth: number): void {
  if (Array.isArray(value)) {
    writeArrayHeader(into, value.length);
    for (const item of value) writeValue(into, item, depth - 1);
  } else if (value instanceof Uint8Array) writeBin(into, value);
  else if (value instanceof EventTimeValue) writeEventTime(into, value.seconds, value.nanoseconds);
  else if (value instanceof Extension) writeExtension(into, value);
  else if (value instanceof Date) writeString(into, Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString());
  else {
    const keys = Object.keys(value);
    writeMapHeader(into, keys.length);
    for (const key of keys) {
      writeString(into, key);
      writeValue(into, (value as Record<string, unknown>)[key], depth - 1);
    }
  }
}

export function writeBin(into: ByteWriter, data: Uint8Array): void {
  if (data.length < 256) {
    into.u8(0xc4);
    into.u8(data.length);
  } else if (data.length < 65_536) {
    into.u8(0xc5);
    into.u16(data.length);
  } else {
    into.u8(0xc6);
    into.u32(data.length);
  }
  into.raw(data);
}

function writeExtension(into: ByteWriter, { type, data }: Extension): void {
  const fixed = [1, 2, 4, 8, 16].indexOf(data.length);
  if (fixed >= 0) into.u8(0xd4 + fixed);
  else if (data.length < 256) {
    into.u8(0xc7);
    into.u8(data.length);
  } else if (data.length < 65_536) {
    into.u8(0xc8);
    into.u16(data.length);
  } else {
    into.u8(0xc9);
    into.u32(data.length);
  }
  into.u8(type & 255);
  into.raw(data);
}
