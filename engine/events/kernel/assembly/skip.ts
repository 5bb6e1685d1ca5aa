/** Steps over MessagePack values. */
import { be16, be32, limit } from './value.ts';

const MAX_DEPTH: u32 = 100;

/** Bytes of the value by its head, the head included; 0: the rest has to be looked at. */
const SIZES = memory.data(256);

/** Fills the table; to be called once. */
export function fillSizes(): void {
  for (let head: u32 = 0; head < 256; head++) store<u8>(SIZES + head, sizeOf(head));
}

function sizeOf(head: u32): u32 {
  if (head < 0x80 || head >= 0xe0 || head == 0x80 || head == 0x90) return 1;
  if ((head & 0xe0) == 0xa0) return 1 + (head & 31);
  if (head == 0xc0 || head == 0xc2 || head == 0xc3) return 1;
  if (head == 0xcc || head == 0xd0) return 2;
  if (head == 0xcd || head == 0xd1 || head == 0xd4) return 3;
  if (head == 0xd5) return 4;
  if (head == 0xca || head == 0xce || head == 0xd2) return 5;
  if (head == 0xd6) return 6;
  if (head == 0xcb || head == 0xcf || head == 0xd3) return 9;
  if (head == 0xd7) return 10;
  return head == 0xd8 ? 18 : 0;
}

/**
 * The address after the value at `p`, which may lie beyond the end by up to 255: the caller compares.
 *
 * @returns 0 when the bytes end long before, are no MessagePack, or are nested too deep
 */
export function skip(p: usize, depth: u32): usize {
  const size: u32 = load<u8>(SIZES + load<u8>(p));
  return size > 0 ? p + size : skipLong(p, depth);
}

function skipLong(p: usize, depth: u32): usize {
  const head: u32 = load<u8>(p++);
  if (head < 0x90) return skipMany(p, (head & 15) * 2, depth);
  if (head < 0xa0) return skipMany(p, head & 15, depth);
  switch (head) {
    case 0xc4:
    case 0xd9:
      return p + 1 + load<u8>(p);
    case 0xc7:
      return p + 2 + load<u8>(p);
    case 0xc5:
    case 0xda:
      return skipBytes(p + 2, be16(p));
    case 0xc8:
      return skipBytes(p + 3, be16(p));
    case 0xc6:
    case 0xdb:
      return skipBytes(p + 4, be32(p));
    case 0xc9:
      return skipBytes(p + 5, be32(p));
    case 0xdc:
      return skipMany(p + 2, be16(p), depth);
    case 0xdd:
      return skipMany(p + 4, be32(p), depth);
    case 0xde:
      return skipMany(p + 2, <u64>be16(p) * 2, depth);
    case 0xdf:
      return skipMany(p + 4, <u64>be32(p) * 2, depth);
    default:
      return 0;
  }
}

function skipBytes(p: usize, n: u32): usize {
  return p > limit || n > <u32>(limit - p) ? 0 : p + n;
}

function skipMany(p: usize, count: u64, depth: u32): usize {
  if (depth >= MAX_DEPTH) return 0;
  for (; count > 0; count--) {
    if (p >= limit) return 0;
    p = skip(p, depth + 1);
    if (p == 0) return 0;
  }
  return p;
}
