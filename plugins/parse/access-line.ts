/**
 * The shape that Apache and nginx write their access logs in, read from bytes.
 *
 *     remote second user [time] "method path protocol" code size "referer" "agent" forwarded
 *
 * The scanner takes plain lines only. Whatever is odd (a control byte, an escaped quote in the request, a quote in an
 * unexpected place) it hands back, and the caller asks the regular expression of Fluentd's parser: a line that is
 * accepted here gives the same groups as that expression, which a property test compares.
 */

/** Indices of the groups; a group's bytes are `[groups[2 * n], groups[2 * n + 1])`, -1 when it takes no part. */
export const GROUP = {
  remote: 0,
  second: 1,
  user: 2,
  time: 3,
  method: 4,
  path: 5,
  code: 6,
  size: 7,
  referer: 8,
  agent: 9,
  forwarded: 10,
} as const;
export type Group = keyof typeof GROUP;

export const makeGroups = (): Int32Array => new Int32Array(22);

const SPACE = 0x20;
const QUOTE = 0x22;
const OPEN = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE = 0x5d;
const ODD = -1;

/** Offset of `stop`, or ODD when the end or a control byte comes first. */
function until(b: Uint8Array, at: number, end: number, stop: number): number {
  for (; at < end; at++) {
    const byte = b[at] as number;
    if (byte === stop) return at;
    if (byte < SPACE) return ODD;
  }
  return ODD;
}

/**
 * Finds the groups of one line.
 *
 * @param hasEscapes  Apache's form: `\"` inside of referer and agent, nothing behind the agent.
 *   Otherwise nginx's: no escapes, an optional last field
 * @returns false when the line is none of the plain ones
 */
export function scanAccessLine(b: Uint8Array, start: number, end: number, groups: Int32Array, hasEscapes: boolean): boolean {
  const remoteEnd = until(b, start, end, SPACE);
  if (remoteEnd < 0) return false;
  const secondEnd = until(b, remoteEnd + 1, end, SPACE);
  if (secondEnd < 0) return false;
  const userEnd = until(b, secondEnd + 1, end, SPACE);
  if (userEnd < 0 || b[userEnd + 1] !== OPEN) return false;
  const timeEnd = until(b, userEnd + 2, end, CLOSE);
  if (timeEnd < 0 || timeEnd + 2 >= end || b[timeEnd + 1] !== SPACE || b[timeEnd + 2] !== QUOTE) return false;
  groups[0] = start;
  groups[1] = remoteEnd;
  groups[2] = remoteEnd + 1;
  groups[3] = secondEnd;
  groups[4] = secondEnd + 1;
  groups[5] = userEnd;
  groups[6] = userEnd + 2;
  groups[7] = timeEnd;
  const requestEnd = scanRequest(b, timeEnd + 3, end, groups);
  if (requestEnd < 0 || requestEnd + 2 > end || b[requestEnd + 1] !== SPACE) return false;
  const codeEnd = until(b, requestEnd + 2, end, SPACE);
  if (codeEnd < 0) return false;
  let sizeEnd = codeEnd + 1;
  for (; sizeEnd < end && b[sizeEnd] !== SPACE; sizeEnd++) if ((b[sizeEnd] as number) < SPACE) return false;
  groups[12] = requestEnd + 2;
  groups[13] = codeEnd;
  groups[14] = codeEnd + 1;
  groups[15] = sizeEnd;
  groups[16] = groups[18] = groups[20] = -1;
  if (sizeEnd === end) return true;
  if (sizeEnd + 1 >= end || b[sizeEnd + 1] !== QUOTE) return false;
  return hasEscapes ? scanEscaped(b, sizeEnd + 2, end, groups) : scanPlain(b, sizeEnd + 2, end, groups);
}

/** `method path protocol`: the path ends where the last word begins. @returns the offset of the closing quote */
function scanRequest(b: Uint8Array, from: number, end: number, groups: Int32Array): number {
  let at = from;
  for (; at < end && b[at] !== SPACE; at++) {
    const byte = b[at] as number;
    // A request of one word: where it ends depends on what follows, which the expression decides.
    if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) return ODD;
  }
  if (at === from) return ODD;
  groups[8] = from;
  groups[9] = at;
  while (at < end && b[at] === SPACE) at++;
  const pathFrom = at;
  let lastBlanks = -1;
  for (; at < end; at++) {
    const byte = b[at] as number;
    if (byte === QUOTE) break;
    if (byte < SPACE || byte === BACKSLASH) return ODD;
    if (byte === SPACE && b[at - 1] !== SPACE) lastBlanks = at;
  }
  if (at >= end) return ODD;
  groups[10] = pathFrom;
  groups[11] = lastBlanks < 0 ? at : lastBlanks;
  return at;
}

/** nginx: `referer" "agent"`, then nothing, or one last field with or without quotes. */
function scanPlain(b: Uint8Array, from: number, end: number, groups: Int32Array): boolean {
  const refererEnd = until(b, from, end, QUOTE);
  if (refererEnd < 0 || refererEnd + 2 >= end || b[refererEnd + 1] !== SPACE || b[refererEnd + 2] !== QUOTE) return false;
  const agentEnd = until(b, refererEnd + 3, end, QUOTE);
  if (agentEnd < 0) return false;
  groups[16] = from;
  groups[17] = refererEnd;
  groups[18] = refererEnd + 3;
  groups[19] = agentEnd;
  let at = agentEnd + 1;
  if (at === end) return true;
  if (b[at] !== SPACE) return false;
  while (at < end && b[at] === SPACE) at++;
  if (at < end && b[at] === QUOTE) at++;
  const forwardedFrom = at;
  for (; at < end && b[at] !== QUOTE; at++) if ((b[at] as number) < SPACE) return false;
  if (at < end - 1) return false;
  groups[20] = forwardedFrom;
  groups[21] = at;
  return true;
}

/** Apache: a quote inside has a backslash before it; the agent's quote ends the line. */
function scanEscaped(b: Uint8Array, from: number, end: number, groups: Int32Array): boolean {
  let at = from;
  for (; at < end; at++) {
    const byte = b[at] as number;
    if (byte < SPACE) return false;
    if (byte !== QUOTE) continue;
    const isEnd = at + 2 < end && b[at + 1] === SPACE && b[at + 2] === QUOTE;
    if (at === from || b[at - 1] !== BACKSLASH) {
      if (isEnd) break;
      return false;
    }
    // `\" "` may be inside or the end: the expression tries both in its order.
    if (isEnd) return false;
  }
  if (at >= end) return false;
  const agentFrom = at + 3;
  for (let inner = agentFrom; inner < end; inner++) {
    const byte = b[inner] as number;
    if (byte < SPACE) return false;
    if (byte !== QUOTE) continue;
    if (inner === end - 1) {
      groups[16] = from;
      groups[17] = at;
      groups[18] = agentFrom;
      groups[19] = inner;
      return true;
    }
    if (inner === agentFrom || b[inner - 1] !== BACKSLASH) return false;
  }
  return false;
}

const MONTHS = new Map(
  ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'].map((name, month) => [
    Buffer.from(name).readUIntBE(0, 3),
    month,
  ]),
);
const DAYS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
const LENGTH = 26;
const DATE_LENGTH = 11;
const ZONE_AT = 20;

/**
 * Reads `28/Feb/2013:12:00:00 +0900` from bytes. Lines of one day and zone follow each other: midnight of the last one is
 * kept, and only the clock is read anew.
 */
export class AccessTime {
  readonly #last = new Uint8Array(LENGTH);
  /** Midnight of the last date in its zone, seconds since the epoch; NaN before the first. */
  #midnight = Number.NaN;

  /** @returns seconds since the epoch, NaN when the bytes are not exactly of that form */
  read(b: Uint8Array, from: number, to: number): number {
    if (to - from !== LENGTH || b[from + 11] !== COLON || b[from + 14] !== COLON || b[from + 17] !== COLON) return Number.NaN;
    const clock = readClock(b, from + 12);
    if (clock < 0) return Number.NaN;
    const last = this.#last;
    let n = 0;
    while (n < DATE_LENGTH && last[n] === b[from + n]) n++;
    if (n === DATE_LENGTH) for (n = ZONE_AT; n < LENGTH && last[n] === b[from + n];) n++;
    if (n < LENGTH) {
      for (n = 0; n < LENGTH; n++) last[n] = b[from + n] as number;
      this.#midnight = readMidnight(last);
    }
    return this.#midnight + clock;
  }
}

const COLON = 0x3a;
const SLASH = 0x2f;

/** Two digits, or a number beyond 99 when they are none. */
function two(b: Uint8Array, at: number): number {
  const tens = (b[at] as number) - 48;
  const ones = (b[at + 1] as number) - 48;
  return tens >= 0 && tens < 10 && ones >= 0 && ones < 10 ? tens * 10 + ones : 100;
}

/** Seconds of the day of `HH:MM:SS`; second 60 is the time parser's to decide. @returns ODD when it is none */
function readClock(b: Uint8Array, at: number): number {
  const hour = two(b, at);
  const minute = two(b, at + 3);
  const second = two(b, at + 6);
  return hour < 24 && minute < 60 && second < 60 ? hour * 3600 + minute * 60 + second : ODD;
}

function readMidnight(b: Uint8Array): number {
  if (b[2] !== SLASH || b[6] !== SLASH || b[ZONE_AT] !== SPACE || (b[21] !== 0x2b && b[21] !== 0x2d)) return Number.NaN;
  const month = MONTHS.get(((b[3] as number) << 16) | ((b[4] as number) << 8) | (b[5] as number));
  const day = two(b, 0);
  const century = two(b, 7);
  const inCentury = two(b, 9);
  const zoneHours = two(b, 22);
  const zoneMinutes = two(b, 24);
  // What the calendar does not have every year (29 February) is the time parser's to decide, too.
  if (month === undefined || day < 1 || day > (DAYS[month] as number) || (month === 1 && day === 29)) return Number.NaN;
  if (century < 10 || century > 99 || inCentury > 99 || zoneHours > 23 || zoneMinutes > 59) return Number.NaN;
  const zone = zoneHours * 3600 + zoneMinutes * 60;
  return Date.UTC(century * 100 + inCentury, month, day) / 1000 - (b[21] === 0x2d ? -zone : zone);
}
