/** Numbers and times as JSON. Each function returns the address after what it wrote. */

/** Writes a double of more than 15 digits, or null for NaN and infinities, at `o`; returns the number of bytes. */
declare function printDouble(value: f64, o: usize): u32;

const MINUS: u32 = 0x2d;
const ZERO: u32 = 0x30;

/** `00` to `99`. */
const PAIRS = memory.data(200);
/** `"YYYY-MM-DDTHH:MM:SS` of the second that was written last, and room to copy it in blocks. */
const SECOND = memory.data(32);
let second: i64 = -1;

/** Fills the tables; to be called once. */
export function fillTables(): void {
  for (let n: u32 = 0; n < 100; n++) store<u16>(PAIRS + n * 2, (ZERO + n / 10) | ((ZERO + (n % 10)) << 8));
}

function pair(o: usize, value: u32): void {
  store<u16>(o, load<u16>(PAIRS + value * 2));
}

export function digits32(o: usize, value: u32): usize {
  if (value < 10) {
    store<u8>(o, ZERO + value);
    return o + 1;
  }
  const count: usize =
    value < 10_000
      ? value < 100
        ? 2
        : value < 1000
          ? 3
          : 4
      : value < 1_000_000
        ? value < 100_000
          ? 5
          : 6
        : value < 100_000_000
          ? value < 10_000_000
            ? 7
            : 8
          : value < 1_000_000_000
            ? 9
            : 10;
  let at = o + count;
  while (value >= 100) {
    const hundredth = value / 100;
    at -= 2;
    pair(at, value - hundredth * 100);
    value = hundredth;
  }
  if (value >= 10) pair(at - 2, value);
  else store<u8>(at - 1, ZERO + value);
  return o + count;
}

/** @param value  below 10^count */
function padded(o: usize, value: u32, count: usize): usize {
  for (let at = o + count - 1; at >= o; at--) {
    const tenth = value / 10;
    store<u8>(at, ZERO + value - tenth * 10);
    value = tenth;
  }
  return o + count;
}

export function digits64(o: usize, value: u64): usize {
  if (value <= <u64>u32.MAX_VALUE) return digits32(o, <u32>value);
  const billions = value / 1_000_000_000;
  return padded(digits64(o, billions), <u32>(value - billions * 1_000_000_000), 9);
}

export function signed64(o: usize, value: i64): usize {
  if (value >= 0) return digits64(o, <u64>value);
  store<u8>(o, MINUS);
  return digits64(o + 1, 0 - <u64>value);
}

/**
 * A decimal of at most 15 digits that reads back as the same double is the only one, so it is the shortest; all others are
 * printed by JavaScript.
 */
export function double(o: usize, value: f64): usize {
  const size = Math.abs(value);
  if (size < 1e9) {
    const millionths = nearest(size * 1e6);
    if (millionths / 1e6 == size) return decimal(o, value < 0, <u64>millionths, 1_000_000, 6);
  } else if (size < 1e12) {
    const thousandths = nearest(size * 1e3);
    if (thousandths / 1e3 == size) return decimal(o, value < 0, <u64>thousandths, 1000, 3);
  } else if (size < 1e15 && nearest(size) == size) return decimal(o, value < 0, <u64>size, 1, 0);
  return o + printDouble(value, o);
}

function decimal(o: usize, isNegative: bool, scaled: u64, scale: u64, places: usize): usize {
  if (isNegative) store<u8>(o++, MINUS);
  const whole = scaled / scale;
  o = digits64(o, whole);
  let rest = <u32>(scaled - whole * scale);
  if (rest == 0) return o;
  store<u8>(o++, 0x2e);
  for (;;) {
    const tenth = rest / 10;
    if (tenth * 10 != rest) break;
    rest = tenth;
    places--;
  }
  return padded(o, rest, places);
}

/** `"YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ"`, at most 16 bytes more are written. */
export function time(o: usize, seconds: u32, nanoseconds: u32): usize {
  if (<i64>seconds != second) {
    second = <i64>seconds;
    writeSecond(seconds);
  }
  v128.store(o, v128.load(SECOND));
  store<u32>(o + 16, load<u32>(SECOND + 16));
  if (nanoseconds >= 1_000_000_000) nanoseconds %= 1_000_000_000;
  store<u8>(o + 20, 0x2e);
  const high = nanoseconds / 100_000;
  const low = nanoseconds - high * 100_000;
  // Nine digits: two pairs and three pairs with one digit in common.
  pair(o + 21, high / 100);
  pair(o + 23, high % 100);
  pair(o + 25, low / 1000);
  const last = low % 1000;
  pair(o + 27, last / 10);
  store<u8>(o + 29, ZERO + (last % 10));
  store<u16>(o + 30, 0x225a);
  return o + 32;
}

/** The Gregorian calendar by days since 1 March of year 0: there the leap day is the last one of its year. */
function writeSecond(seconds: u32): void {
  const day = seconds / 86_400;
  const ofDay = seconds - day * 86_400;
  const days = day + 719_468;
  const era = days / 146_097;
  const ofEra = days - era * 146_097;
  const yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36_524 - ofEra / 146_096) / 365;
  const ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const shifted = (5 * ofYear + 2) / 153;
  const dayOfMonth = ofYear - (153 * shifted + 2) / 5 + 1;
  const month: u32 = shifted < 10 ? shifted + 3 : shifted - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  store<u8>(SECOND, 0x22);
  pair(SECOND + 1, year / 100);
  pair(SECOND + 3, year % 100);
  store<u8>(SECOND + 5, 0x2d);
  pair(SECOND + 6, month);
  store<u8>(SECOND + 8, 0x2d);
  pair(SECOND + 9, dayOfMonth);
  store<u8>(SECOND + 11, 0x54);
  pair(SECOND + 12, ofDay / 3600);
  store<u8>(SECOND + 14, 0x3a);
  pair(SECOND + 15, (ofDay / 60) % 60);
  store<u8>(SECOND + 17, 0x3a);
  pair(SECOND + 18, ofDay % 60);
}
