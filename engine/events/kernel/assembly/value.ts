/** MessagePack as JSON, value by value. Nothing is read beyond `limit` that has an effect on the outcome. */
import { QUOTE, copyRest, copyText, escapes } from './text.ts';
import { digits32, digits64, double, signed64, time } from './number.ts';

const COLON: u32 = 0x3a;
const COMMA: u32 = 0x2c;
const MAX_DEPTH: u32 = 100;

/** What is read ends here. */
export let limit: usize = 0;
/** Where to go on reading; valid after a function that returned an address. */
export let next: usize = 0;

/** The bytes end inside a value. */
export const TRUNCATED: usize = 0;
/** Something that is left to JavaScript: keys that are no text, nesting that is too deep, bytes that are no MessagePack. */
export const ODD: usize = 1;
/** Addresses in the output are above this; what is not is one of the answers above. */
export const LAST_ANSWER: usize = 1;

export function readUpTo(end: usize): void {
  limit = end;
}
export function readFrom(p: usize): void {
  next = p;
}

export function be16(p: usize): u32 {
  return bswap<u16>(load<u16>(p));
}
export function be32(p: usize): u32 {
  return bswap<u32>(load<u32>(p));
}
function be64(p: usize): u64 {
  return bswap<u64>(load<u64>(p));
}

/**
 * Writes `count` pairs from `next` on, each with a comma after it.
 *
 * @param name  address of the UTF-8 of a key to look out for; `hasName` says whether it was there
 */
export function pairs(o: usize, count: u32, depth: u32, name: usize, nameLength: u32): usize {
  let p = next;
  const end = limit;
  hasName = false;
  for (; count > 0; count--) {
    if (p >= end) return TRUNCATED;
    let head: u32 = load<u8>(p);
    let n: u32;
    if ((head & 0xe0) == 0xa0) {
      n = head & 31;
      p++;
    } else if (head == 0xd9) {
      n = load<u8>(p + 1);
      p += 2;
    } else return ODD;
    if (n == nameLength && memory.compare(p, name, n) == 0) hasName = true;
    // What copyText does, in place: for most keys and values it is all that has to be done.
    store<u8>(o++, QUOTE);
    let words = v128.load(p);
    v128.store(o, words);
    let mask = escapes(words);
    if (n < 16 && (mask & ((1 << n) - 1)) == 0) {
      store<u16>(o + n, QUOTE | (COLON << 8));
      o += n + 2;
    } else {
      o = copyRest(p, n, o, mask);
      store<u8>(o++, COLON);
    }
    p += n;
    if (p >= end) return TRUNCATED;
    head = load<u8>(p);
    if ((head & 0xe0) == 0xa0) {
      n = head & 31;
      p++;
    } else if (head == 0xd9) {
      n = load<u8>(p + 1);
      p += 2;
    } else {
      next = p;
      o = other(o, head, depth);
      if (o <= LAST_ANSWER) return o;
      p = next;
      continue;
    }
    store<u8>(o++, QUOTE);
    words = v128.load(p);
    v128.store(o, words);
    mask = escapes(words);
    if (n < 16 && (mask & ((1 << n) - 1)) == 0) {
      store<u16>(o + n, QUOTE | (COMMA << 8));
      o += n + 2;
    } else {
      o = copyRest(p, n, o, mask);
      store<u8>(o++, COMMA);
    }
    p += n;
  }
  if (p > end) return TRUNCATED;
  next = p;
  return o;
}
export let hasName: bool = false;

/** Writes the value at `next` and a comma. */
function value(o: usize, depth: u32): usize {
  if (next >= limit) return TRUNCATED;
  const head: u32 = load<u8>(next);
  if ((head & 0xe0) == 0xa0) return text(o, 1, head & 31);
  return other(o, head, depth);
}

/** A text or binary data of `n` bytes that begin `skip` bytes after `next`. */
function text(o: usize, skip: u32, n: u32): usize {
  const p = next + skip;
  if (p > limit || n > <u32>(limit - p)) return TRUNCATED;
  next = p + n;
  o = copyText(p, n, o);
  store<u8>(o, COMMA);
  return o + 1;
}

/** Any value at `next` but a short text. What it reads beyond the end is found out by the next one that looks. */
function other(o: usize, head: u32, depth: u32): usize {
  const p = next + 1;
  if (head < 0x80) {
    next = p;
    o = digits32(o, head);
  } else if (head >= 0xe0) {
    next = p;
    o = signed64(o, <i64>head - 256);
  } else if (head < 0x90) return map(o, p, head & 15, depth);
  else if (head < 0xa0) return array(o, p, head & 15, depth);
  else {
    switch (head - 0xc0) {
      case 0x00: // nil
        return literal(o, 0x6c_6c75_6e, 4);
      case 0x02: // false
        store<u8>(o + 4, 0x65);
        return literal(o, 0x73_6c61_66, 5);
      case 0x03: // true
        return literal(o, 0x65_7572_74, 4);
      case 0x04: // bin 8, str 8
      case 0x19:
        return text(o, 2, load<u8>(p));
      case 0x05: // bin 16, str 16
      case 0x1a:
        return text(o, 3, be16(p));
      case 0x06: // bin 32, str 32
      case 0x1b:
        return text(o, 5, be32(p));
      case 0x07: // ext 8
        return extension(o, 3, load<u8>(p));
      case 0x08: // ext 16
        return extension(o, 4, be16(p));
      case 0x09: // ext 32
        return extension(o, 6, be32(p));
      case 0x0a: // float 32
        next = p + 4;
        o = double(o, <f64>reinterpret<f32>(be32(p)));
        break;
      case 0x0b: // float 64
        next = p + 8;
        o = double(o, reinterpret<f64>(be64(p)));
        break;
      case 0x0c:
        next = p + 1;
        o = digits32(o, load<u8>(p));
        break;
      case 0x0d:
        next = p + 2;
        o = digits32(o, be16(p));
        break;
      case 0x0e:
        next = p + 4;
        o = digits32(o, be32(p));
        break;
      case 0x0f:
        next = p + 8;
        o = digits64(o, be64(p));
        break;
      case 0x10:
        next = p + 1;
        o = signed64(o, load<i8>(p));
        break;
      case 0x11:
        next = p + 2;
        o = signed64(o, <i16>be16(p));
        break;
      case 0x12:
        next = p + 4;
        o = signed64(o, <i32>be32(p));
        break;
      case 0x13:
        next = p + 8;
        o = signed64(o, <i64>be64(p));
        break;
      case 0x14: // fixext 1, 2, 4, 8, 16
      case 0x15:
      case 0x16:
      case 0x17:
      case 0x18:
        return extension(o, 2, 1 << (head - 0xd4));
      case 0x1c:
        return array(o, p + 2, be16(p), depth);
      case 0x1d:
        return array(o, p + 4, be32(p), depth);
      case 0x1e:
        return map(o, p + 2, be16(p), depth);
      case 0x1f:
        return map(o, p + 4, be32(p), depth);
      default:
        return ODD;
    }
  }
  store<u8>(o, COMMA);
  return next > limit ? TRUNCATED : o + 1;
}

function literal(o: usize, word: u32, n: u32): usize {
  next++;
  store<u32>(o, word);
  store<u8>(o + n, COMMA);
  return o + n + 1;
}

/** @param skip  bytes before the data, the head and the type included */
function extension(o: usize, skip: u32, n: u32): usize {
  const head: u32 = load<u8>(next);
  const data = next + skip;
  if (data > limit || n > <u32>(limit - data)) return TRUNCATED;
  next = data + n;
  // EventTime is type 0 with eight bytes, in the form of fixed size or with a length of one byte.
  if (n == 8 && (head == 0xd7 || head == 0xc7) && load<u8>(data - 1) == 0) {
    o = time(o, be32(data), be32(data + 4));
    store<u8>(o, COMMA);
    return o + 1;
  }
  store<u32>(o, 0x6c_6c75_6e);
  store<u8>(o + 4, COMMA);
  return o + 5;
}

function map(o: usize, p: usize, count: u32, depth: u32): usize {
  // As deep as the entrance lets in; so the stack has a bound too.
  if (depth >= MAX_DEPTH) return ODD;
  store<u8>(o, 0x7b);
  next = p;
  const first = o + 1;
  // A map inside the record: the name that is looked out for is one of the record.
  const had = hasName;
  o = pairs(first, count, depth + 1, 0, u32.MAX_VALUE);
  hasName = had;
  return o <= LAST_ANSWER ? o : close(o, first, 0x7d);
}

function array(o: usize, p: usize, count: u32, depth: u32): usize {
  if (depth >= MAX_DEPTH) return ODD;
  store<u8>(o, 0x5b);
  next = p;
  const first = o + 1;
  o = first;
  for (; count > 0; count--) {
    o = value(o, depth + 1);
    if (o <= LAST_ANSWER) return o;
  }
  return next > limit ? TRUNCATED : close(o, first, 0x5d);
}

/** Ends a map or an array in the place of the last comma, and writes a comma. */
function close(o: usize, first: usize, bracket: u32): usize {
  if (o > first) o--;
  store<u16>(o, bracket | (COMMA << 8));
  return o + 2;
}
