/** Text as JSON: copied sixteen bytes at a time, with escapes where JSON needs them. */

export const QUOTE: u32 = 0x22;
const BACKSLASH: u32 = 0x5c;

/** The letter after the backslash for each byte below 0x20; 0: \u00XX. */
const LETTERS = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 0x62, 0x74, 0x6e, 0, 0x66, 0x72, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
]);

/**
 * Writes `n` bytes from `p` in quotes. Reads up to 15 bytes beyond them, and writes up to 16 beyond its end.
 *
 * @returns the address after the closing quote
 */
export function copyText(p: usize, n: u32, o: usize): usize {
  store<u8>(o++, QUOTE);
  const words = v128.load(p);
  v128.store(o, words);
  return copyRest(p, n, o, escapes(words));
}

/** Goes on with a text whose first sixteen bytes were copied; `mask` says which of them need an escape. */
export function copyRest(p: usize, n: u32, o: usize, mask: u32): usize {
  for (;;) {
    // The last block holds bytes of what follows.
    if (n < 16) mask &= (1 << n) - 1;
    if (mask != 0) {
      const clean = ctz(mask);
      o = escape(o + clean, load<u8>(p + clean));
      p += clean + 1;
      n -= clean + 1;
    } else {
      if (n <= 16) break;
      p += 16;
      o += 16;
      n -= 16;
    }
    const words = v128.load(p);
    v128.store(o, words);
    mask = escapes(words);
  }
  store<u8>(o + n, QUOTE);
  return o + n + 1;
}

/** A bit for each of the sixteen bytes that is below 0x20, a quote or a backslash. */
export function escapes(words: v128): u32 {
  return i8x16.bitmask(
    v128.or(
      i8x16.lt_u(words, i8x16.splat(0x20)),
      v128.or(i8x16.eq(words, i8x16.splat(QUOTE as i8)), i8x16.eq(words, i8x16.splat(BACKSLASH as i8))),
    ),
  );
}

function escape(o: usize, byte: u32): usize {
  store<u8>(o, BACKSLASH);
  const letter: u32 = byte >= 0x20 ? byte : load<u8>(LETTERS + byte);
  if (letter != 0) {
    store<u8>(o + 1, letter);
    return o + 2;
  }
  // u00 and two digits; the first is 0 or 1.
  store<u32>(o + 1, 0x30_3075 | ((0x30 + (byte >> 4)) << 24));
  const low = byte & 15;
  store<u8>(o + 5, low < 10 ? 0x30 + low : 0x57 + low);
  return o + 6;
}

/** Copies `n` bytes in blocks of sixteen: up to 15 more are read and written. */
export function copyBlocks(o: usize, p: usize, n: u32): usize {
  for (let done: u32 = 0; done < n; done += 16) v128.store(o + done, v128.load(p + done));
  return o + n;
}
