/**
 * Where the fields that somebody asks for stand in the entries of a batch: one walk over the keys, for all events. Values are
 * stepped over, not looked at.
 */
import { CUT, DONE, INPUT, OUTPUT, report } from './regions.ts';
import { be16, be32, limit, readUpTo } from './value.ts';
import { skip } from './skip.ts';

/** Names that are looked out for, and bytes of the longest one. */
export const NAMES: u32 = 32;
export const LONGEST_NAME: u32 = 63;
/** 32-bit words of a row before its pairs, and of each pair. Pairs are as many as fit; JavaScript reads others itself. */
const ROW_HEAD: u32 = 6;
const ROW_PAIR: u32 = 3;
const MOST_PAIRS: u32 = 32;
/** In the place of the number of pairs: the entry is left to JavaScript. */
const NO_PAIRS: u32 = u32.MAX_VALUE;

/** Per name its first eight bytes, its length, and the address of its UTF-8. */
const ENTRY: u32 = 16;
const TABLE = memory.data(512);
export const TEXTS = memory.data(2048);
/** A bit for each length that a name has. */
let lengths: u64 = 0;
let names: u32 = 0;

export function clearNames(): void {
  names = 0;
  lengths = 0;
}

/** Takes the name whose UTF-8 was written to TEXTS + 64 * index. */
export function addName(length: u32): void {
  const text = TEXTS + names * 64;
  const entry = TABLE + names * ENTRY;
  store<u64>(entry, load<u64>(text) & firstBytes(length));
  store<u32>(entry, length, 8);
  store<u32>(entry, <u32>text, 12);
  lengths |= (<u64>1) << length;
  names++;
}

function firstBytes(length: u32): u64 {
  return length >= 8 ? u64.MAX_VALUE : ((<u64>1) << (length << 3)) - 1;
}

function isWanted(p: usize, n: u32): bool {
  const first = load<u64>(p) & firstBytes(n);
  const end = TABLE + names * ENTRY;
  for (let entry = TABLE; entry < end; entry += ENTRY) {
    if (load<u64>(entry) != first || load<u32>(entry, 8) != n) continue;
    if (n <= 8 || memory.compare(p + 8, <usize>load<u32>(entry, 12) + 8, n - 8) == 0) return true;
  }
  return false;
}

/**
 * Writes rows for up to `count` entries from offset `from` to `end` of INPUT to OUTPUT, one after the other. Offsets in them
 * are those of INPUT plus `base`.
 *
 *     record | end of the entry | pairs of the map | pairs in the row | seconds | nanoseconds | key, value, end ...
 */
export function rows(from: u32, end: u32, count: u32, base: u32): u32 {
  const input = INPUT + end;
  const zero = INPUT - base;
  let p = INPUT + from;
  let row = OUTPUT;
  let events: u32 = 0;
  let answer = DONE;
  readUpTo(input);
  for (; events < count; events++) {
    if (p >= input) {
      answer = CUT;
      break;
    }
    row = writeRow(p, row, zero);
    if (entryEnd == 0) {
      answer = CUT;
      break;
    }
    p = entryEnd;
  }
  report(<u32>(p - INPUT), events, <u32>(row - OUTPUT));
  return answer;
}

/** The address after the entry whose row was written; 0 when the entry is cut off or broken: then there is no row. */
let entryEnd: usize = 0;

/** Writes the row of the entry at `p`. @returns the address after it */
function writeRow(p: usize, row: usize, zero: usize): usize {
  entryEnd = 0;
  if (load<u8>(p) != 0x92 || load<u8>(p + 1) != 0xd7 || load<u8>(p + 2) != 0) return leave(p, row);
  store<u32>(row, be32(p + 3), 16);
  store<u32>(row, be32(p + 7), 20);
  const record = p + 11;
  if (record >= limit) return row;
  const head: u32 = load<u8>(record);
  let count: u32;
  let at = record + 1;
  if ((head & 0xf0) == 0x80) count = head & 15;
  else if (head == 0xde) {
    count = be16(record + 1);
    at += 2;
  } else if (head == 0xdf) {
    count = be32(record + 1);
    at += 4;
  } else return leave(p, row);
  const first = row + ROW_HEAD * 4;
  const last = first + MOST_PAIRS * ROW_PAIR * 4;
  let to = first;
  for (let left = count; left > 0; left--) {
    if (at >= limit) return row;
    const keyHead: u32 = load<u8>(at);
    const key = at;
    let isHit = false;
    if ((keyHead & 0xe0) == 0xa0) {
      const n = keyHead & 31;
      if ((lengths >> n) & 1) isHit = isWanted(at + 1, n);
      at += n + 1;
    } else if (keyHead == 0xd9) {
      const n: u32 = load<u8>(at + 1);
      if (n <= LONGEST_NAME && (lengths >> n) & 1) isHit = isWanted(at + 2, n);
      at += n + 2;
    } else return leave(p, row);
    if (at >= limit) return row;
    const value = at;
    at = skip(at, 2);
    if (at == 0) return row;
    if (isHit) {
      if (to >= last) return leave(p, row);
      store<u32>(to, <u32>(key - zero));
      store<u32>(to, <u32>(value - zero), 4);
      store<u32>(to, <u32>(at - zero), 8);
      to += ROW_PAIR * 4;
    }
  }
  if (at > limit) return row;
  store<u32>(row, <u32>(record - zero));
  store<u32>(row, <u32>(at - zero), 4);
  store<u32>(row, count, 8);
  store<u32>(row, <u32>((to - first) / (ROW_PAIR * 4)), 12);
  entryEnd = at;
  return to;
}

/** A row without pairs, for an entry that is not usual. */
function leave(p: usize, row: usize): usize {
  const end = skip(p, 0);
  if (end == 0 || end > limit) return row;
  store<u32>(row, NO_PAIRS, 12);
  entryEnd = end;
  return row + ROW_HEAD * 4;
}
