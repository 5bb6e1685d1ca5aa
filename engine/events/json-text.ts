/** Text as JSON strings, from bytes to bytes. Bytes that are not UTF-8 are copied. */

const HEX = Buffer.from('0123456789abcdef');
// 0: copied as it is; 1: \u00XX; else the letter after the backslash.
const ESCAPE = new Uint8Array(256);
for (let code = 0; code < 32; code++) ESCAPE[code] = 1;
ESCAPE[8] = 0x62;
ESCAPE[9] = 0x74;
ESCAPE[10] = 0x6e;
ESCAPE[12] = 0x66;
ESCAPE[13] = 0x72;
ESCAPE[0x22] = 0x22;
ESCAPE[0x5c] = 0x5c;

export const QUOTE = 0x22;
/** Texts with escapes are written in pieces, so that room is made for what is there and not for the worst case. */
export const PIECE = 1024;

/**
 * Copies a text in quotes, and `after`, four bytes at a time; writes up to 8 bytes more than the text has.
 *
 * @returns the offset after it; -1 when the text needs escapes, or ends less than a word before the end of the input
 */
export function copyText(input: DataView, output: DataView, at: number, end: number, to: number, after: number): number {
  output.setUint8(to++, QUOTE);
  for (const last = end - 4; at <= last; at += 4, to += 4) {
    const word = input.getInt32(at, true);
    if (mayNeedEscape(word)) return -1;
    output.setInt32(to, word, true);
  }
  if (at < end) {
    // The last one to three bytes: of the word that is read and written, only the bytes wanted count.
    if (at + 4 > input.byteLength) return -1;
    const word = input.getInt32(at, true);
    if (mayNeedEscape(word | (HIGH_BITS << ((end - at) << 3)))) return -1;
    output.setInt32(to, word, true);
    to += end - at;
  }
  output.setUint16(to, QUOTE | (after << 8), true);
  return to + 2;
}

const HIGH_BITS = 0x8080_8080 | 0;

/**
 * Whether one of the four bytes may be below 0x20, a quote or a backslash; never false when one is. Bytes from 0x80 on
 * count as clean. `^ 2` maps the quote to 0x20 and keeps what is below 0x20 there.
 */
const mayNeedEscape = (word: number): boolean =>
  ((((word ^ 0x0202_0202) - 0x2121_2121) | ((word ^ 0x5c5c_5c5c) - 0x0101_0101)) & ~word & HIGH_BITS) !== 0;

/**
 * Writes the bytes from `at` to `end` with escapes where JSON needs them; up to six bytes each.
 *
 * @returns the offset after what was written
 */
export function escapeText(b: Uint8Array, at: number, end: number, bytes: Uint8Array, to: number): number {
  for (; at < end; at++) {
    const byte = b[at] as number;
    const escape = ESCAPE[byte] as number;
    if (escape === 0) {
      bytes[to++] = byte;
      continue;
    }
    bytes[to++] = 0x5c;
    if (escape === 1) {
      bytes[to++] = 0x75;
      bytes[to++] = 0x30;
      bytes[to++] = 0x30;
      bytes[to++] = HEX[byte >> 4] as number;
      bytes[to++] = HEX[byte & 15] as number;
    } else bytes[to++] = escape;
  }
  return to;
}
