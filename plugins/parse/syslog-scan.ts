/**
 * The two forms of syslog, read from bytes. Both of Fluentd's engines are here: `regexp`, whose expressions leave nothing
 * to chance once the words are counted, and `string`, which reads odd lines another way.
 *
 *     RFC 3164   <34>Oct 11 22:14:15 host su[230]: message
 *     RFC 5424   <34>1 2003-10-11T22:14:15.003Z host su 230 ID47 [a@1 x="1"] message
 *
 * @see https://www.rfc-editor.org/rfc/rfc3164 https://www.rfc-editor.org/rfc/rfc5424
 */

/** Where the parts of a line stand: `[from, to)` each, -1 for a part that is not there. Reused from line to line. */
export interface SyslogParts {
  /** -1: none. */
  pri: number;
  /** Offset behind `<pri>` (and the version). */
  at: number;
  /** Offsets by `PART`, two each. */
  readonly offsets: Int32Array;
}

export const PART = { time: 0, host: 2, ident: 4, pid: 6, msgid: 8, extradata: 10, message: 12 } as const;

export const makeParts = (): SyslogParts => ({ pri: -1, at: 0, offsets: new Int32Array(14) });

const LINE_FEED = 10;
const RETURN = 13;
const SPACE = 0x20;
const DASH = 0x2d;
const COLON = 0x3a;
const LESS = 0x3c;
const GREATER = 0x3e;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 48 && byte <= 57;

/** `<pri>` of one to three digits. @returns false when there is none */
export function readPri(b: Uint8Array, start: number, end: number, parts: SyslogParts): boolean {
  parts.pri = -1;
  if (b[start] !== LESS) return false;
  let at = start + 1;
  let pri = 0;
  for (; at < end && at < start + 4 && isDigit(b[at]); at++) pri = pri * 10 + (b[at] as number) - 48;
  if (at === start + 1 || at >= end || b[at] !== GREATER) return false;
  parts.pri = pri;
  parts.at = at + 1;
  return true;
}

/** Behind `<pri>`: a version of one to three digits, as RFC 5424 has it; with `isSpaced` a blank must follow. */
export function readVersion(b: Uint8Array, end: number, parts: SyslogParts, isSpaced: boolean): boolean {
  let { at } = parts;
  const first = b[at];
  if (at >= end || !isDigit(first) || (!isSpaced && first === 48)) return false;
  for (let n = 0; n < 3 && at < end && isDigit(b[at]); n++) at++;
  if (!isSpaced) return true;
  if (at >= end || !isBlank(b[at] as number)) return false;
  parts.at = at + 1;
  return true;
}

const isBlank = (byte: number): boolean => byte === SPACE || (byte >= 9 && byte <= 13);

/** The time: `words` words, with any number of blanks before each. @returns false when the line ends first */
export function readTimeWords(b: Uint8Array, end: number, parts: SyslogParts, words: number): boolean {
  const from = parts.at;
  let at = from;
  for (let n = 0; n < words; n++) {
    if (n > 0) at++;
    while (at < end && b[at] === SPACE) at++;
    while (at < end && b[at] !== SPACE) at++;
    if (at >= end) return false;
  }
  set(parts, PART.time, from, at);
  parts.at = at + 1;
  return true;
}

/** The time of the string engine: 15 bytes, or more with a fraction. */
export function readTimeBytes(b: Uint8Array, end: number, parts: SyslogParts): boolean {
  const from = parts.at;
  let at = from + 15;
  if (at >= end) return false;
  if (b[at] !== SPACE) {
    if (b[at] !== 0x2e) return false;
    while (at < end && b[at] !== SPACE) at++;
    if (at >= end) return false;
  }
  set(parts, PART.time, from, at);
  parts.at = at + 1;
  return true;
}

/** `host ident[pid]: message`; everything up to the next colon belongs to the head, and the message is one line. */
export function readLegacy(b: Uint8Array, end: number, parts: SyslogParts): boolean {
  clear(parts);
  let at = word(b, parts.at, end, parts, PART.host);
  if (at < 0) return false;
  const identAt = at;
  while (at < end && b[at] !== SPACE && b[at] !== COLON && b[at] !== OPEN) at++;
  set(parts, PART.ident, identAt, at);
  if (b[at] === OPEN && at < end) {
    let close = at + 1;
    while (close < end && isDigit(b[close])) close++;
    if (close > at + 1 && close < end && b[close] === CLOSE) {
      set(parts, PART.pid, at + 1, close);
      at = close + 1;
    }
  }
  let colon = at;
  while (colon < end && b[colon] !== COLON) colon++;
  if (colon < end) at = colon + 1;
  while (at < end && b[at] === SPACE) at++;
  let stop = at;
  while (stop < end && b[stop] !== LINE_FEED) stop++;
  setMessage(b, at, stop, parts);
  return true;
}

/** The same by the string engine: the first word is the ident when it ends with a colon, or always if `isColonless`. */
export function readLegacyString(b: Uint8Array, end: number, parts: SyslogParts, isColonless: boolean): boolean {
  clear(parts);
  const at = word(b, parts.at, end, parts, PART.host);
  if (at < 0) return false;
  let stop = at;
  while (stop < end && b[stop] !== SPACE) stop++;
  const hasColon = stop < end && stop > at && b[stop - 1] === COLON;
  if (stop >= end || !(hasColon || isColonless)) {
    setMessage(b, at, end, parts);
    return true;
  }
  const identEnd = hasColon ? stop - 1 : stop;
  const open = identEnd > at && b[identEnd - 1] === CLOSE ? b.indexOf(OPEN, at) : -1;
  if (open >= 0 && open < identEnd) {
    set(parts, PART.ident, at, open);
    set(parts, PART.pid, open + 1, identEnd - 1);
  } else set(parts, PART.ident, at, identEnd);
  setMessage(b, stop + 1, end, parts);
  return true;
}

const LIMITS = [
  [PART.host, 255],
  [PART.ident, 48],
  [PART.pid, 128],
  [PART.msgid, 32],
] as const;

/** `host ident pid msgid extradata message` of RFC 5424. */
export function readModern(b: Uint8Array, end: number, parts: SyslogParts): boolean {
  clear(parts);
  let { at } = parts;
  for (let n = 0; n < LIMITS.length; n++) {
    const [part, limit] = LIMITS[n] as (typeof LIMITS)[number];
    const from = at;
    while (at < end && (b[at] as number) > SPACE && (b[at] as number) < 0x7f) at++;
    if (at === from || at - from > limit || at >= end || b[at] !== SPACE) return false;
    set(parts, part, from, at++);
  }
  const from = at;
  if (b[at] === DASH && at < end) {
    at++;
    if (at < end && !(b[at] === SPACE && at + 1 < end)) return false;
  } else {
    at = structuredEnd(b, at, end);
    if (at < 0) return false;
  }
  set(parts, PART.extradata, from, at);
  if (at < end) setMessage(b, at + 1, end, parts);
  return true;
}

/**
 * End of `[...][...]`: the first closing bracket, not behind a backslash, at which the line ends or a message begins.
 *
 * @returns -1 when there is none
 */
function structuredEnd(b: Uint8Array, at: number, end: number): number {
  if (at >= end || b[at] !== OPEN) return -1;
  for (at++; at < end; at++) {
    if (b[at] !== CLOSE || b[at - 1] === BACKSLASH) continue;
    if (at + 1 === end || (b[at + 1] === SPACE && at + 2 < end)) return at + 1;
  }
  return -1;
}

/** The same by the string engine, which asks for blanks only. */
export function readModernString(b: Uint8Array, end: number, parts: SyslogParts): boolean {
  clear(parts);
  let { at } = parts;
  for (let n = 0; n < LIMITS.length; n++) {
    at = word(b, at, end, parts, (LIMITS[n] as (typeof LIMITS)[number])[0]);
    if (at < 0) return false;
  }
  const from = at;
  if (b[at] === DASH && at < end) at++;
  else {
    while (at < end && !(b[at] === CLOSE && b[at + 1] === SPACE)) at++;
    if (at < end) at++;
  }
  set(parts, PART.extradata, from, at);
  if (at < end) setMessage(b, at + 1, end, parts);
  return true;
}

/** Up to the next blank. @returns the offset behind it, -1 when there is none */
function word(b: Uint8Array, at: number, end: number, parts: SyslogParts, part: number): number {
  const from = at;
  while (at < end && b[at] !== SPACE) at++;
  if (at >= end) return -1;
  set(parts, part, from, at);
  return at + 1;
}

function set(parts: SyslogParts, part: number, from: number, to: number): void {
  parts.offsets[part] = from;
  parts.offsets[part + 1] = to;
}

/** One line end behind the message is no part of it. */
function setMessage(b: Uint8Array, from: number, to: number, parts: SyslogParts): void {
  if (to > from && b[to - 1] === LINE_FEED) to--;
  if (to > from && b[to - 1] === RETURN) to--;
  set(parts, PART.message, from, to);
}

/** Forgets all parts but the time. */
function clear(parts: SyslogParts): void {
  parts.offsets.fill(-1, PART.host);
}
