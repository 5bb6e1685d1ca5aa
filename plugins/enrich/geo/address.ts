/**
 * A strict reader of IP addresses. Geolocation libraries accept `1.2.3`, `01.2.3.4` or `134744072` and then place them
 * somewhere; here text is an address or it is not.
 */

/** The longest text: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`. */
const TEXT_MAX = 45;
/** RFC 4007 sets no bound; interface names are below 16. */
const ZONE_MAX = 32;
const MALFORMED = -1;
const DOT = 46;
const COLON = 58;
const PERCENT = 37;

/**
 * One address, filled again and again by the parser so that nothing is made per event.
 *
 * An IPv4-mapped IPv6 address (`::ffff:0:0/96`) is the IPv4 address that it stands for.
 */
export class Address {
  /** 0: nothing was parsed yet, or the last text was no address. */
  family: 0 | 4 | 6 = 0;
  /** The IPv4 address, unsigned; 0 for IPv6. */
  v4 = 0;
  /** The eight groups of an IPv6 address; meaningless for IPv4. */
  readonly groups = new Uint16Array(8);

  /** @returns false when the text is not exactly one address; blanks, ports, masks and leading zeros are refused */
  parse(text: string): boolean {
    const v4 = parseIpv4(text);
    if (v4 !== MALFORMED) return this.#set4(v4);
    const { length } = text;
    if (length < 2 || length > TEXT_MAX + ZONE_MAX || !hasColon(text)) return this.#none();
    for (let i = 0; i < length; i++) {
      const unit = text.charCodeAt(i);
      if (unit > 127) return this.#none();
      SCRATCH[i] = unit;
    }
    return this.#parse6(SCRATCH, 0, length);
  }

  /** The same from ASCII bytes; no string is made. */
  parseBytes(bytes: Uint8Array, start: number, end: number): boolean {
    const v4 = parseIpv4Bytes(bytes, start, end);
    return v4 === MALFORMED ? this.#parse6(bytes, start, end) : this.#set4(v4);
  }

  /** @param v4  unsigned 32 bits */
  setV4(v4: number): void {
    this.#set4(v4);
  }

  /** The canonical text (RFC 5952 without `::`, which no reader needs); '' when there is no address. */
  toString(): string {
    if (this.family === 4) return formatIpv4(this.v4);
    return this.family === 6 ? Array.from(this.groups, (group) => group.toString(16)).join(':') : '';
  }

  #parse6(bytes: Uint8Array, start: number, end: number): boolean {
    if (!parseIpv6(bytes, start, end, this.groups)) return this.#none();
    const g = this.groups;
    if ((g[0]! | g[1]! | g[2]! | g[3]! | g[4]!) === 0 && g[5] === 0xffff) return this.#set4(g[6]! * 65_536 + g[7]!);
    this.family = 6;
    this.v4 = 0;
    return true;
  }

  #set4(v4: number): boolean {
    this.family = 4;
    this.v4 = v4;
    return true;
  }

  #none(): boolean {
    this.family = 0;
    this.v4 = 0;
    return false;
  }
}

// Used only between two statements of `parse`, so one for the whole thread is enough.
const SCRATCH = new Uint8Array(TEXT_MAX + ZONE_MAX);

/** @returns the address as an unsigned number, or -1 when the text is not exactly `a.b.c.d` */
export function parseIpv4(text: string): number {
  const { length } = text;
  if (length < 7 || length > 15) return MALFORMED;
  let address = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i);
    if (unit === DOT) {
      if (digits === 0 || dots === 3) return MALFORMED;
      address = (address << 8) | octet;
      octet = 0;
      digits = 0;
      dots++;
    } else {
      const digit = unit - 48;
      // A leading zero means octal to some readers and nothing to others, so it is refused.
      if (digit < 0 || digit > 9 || (digits !== 0 && octet === 0)) return MALFORMED;
      octet = octet * 10 + digit;
      if (octet > 255) return MALFORMED;
      digits++;
    }
  }
  return dots === 3 && digits !== 0 ? ((address << 8) | octet) >>> 0 : MALFORMED;
}

/** The same over bytes. The loop stands twice because a shared one would call a function per character. */
export function parseIpv4Bytes(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < 7 || end - start > 15) return MALFORMED;
  let address = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte === DOT) {
      if (digits === 0 || dots === 3) return MALFORMED;
      address = (address << 8) | octet;
      octet = 0;
      digits = 0;
      dots++;
    } else {
      const digit = byte - 48;
      if (digit < 0 || digit > 9 || (digits !== 0 && octet === 0)) return MALFORMED;
      octet = octet * 10 + digit;
      if (octet > 255) return MALFORMED;
      digits++;
    }
  }
  return dots === 3 && digits !== 0 ? ((address << 8) | octet) >>> 0 : MALFORMED;
}

/** @param v4  unsigned 32 bits */
export function formatIpv4(v4: number): string {
  return `${v4 >>> 24}.${(v4 >>> 16) & 255}.${(v4 >>> 8) & 255}.${v4 & 255}`;
}

/**
 * Reads RFC 4291 text, with an optional RFC 4007 zone that is skipped (`fe80::1%eth0`).
 *
 * @param into  the eight groups; undefined content when it returns false
 */
function parseIpv6(bytes: Uint8Array, start: number, end: number, into: Uint16Array): boolean {
  let stop = start;
  while (stop < end && bytes[stop] !== PERCENT) stop++;
  if (stop - start < 2 || stop - start > TEXT_MAX || !zoneIsValid(bytes, stop, end)) return false;
  let count = 0;
  let gapAt = -1;
  let i = start;
  if (bytes[i] === COLON) {
    if (bytes[i + 1] !== COLON) return false;
    gapAt = 0;
    i += 2;
  }
  while (i < stop) {
    if (count === 8) return false;
    const groupAt = i;
    let group = 0;
    while (i < stop && i - groupAt < 5) {
      const digit = hexDigit(bytes[i]!);
      if (digit < 0) break;
      group = group * 16 + digit;
      i++;
    }
    if (i < stop && bytes[i] === DOT) {
      const v4 = count <= 6 ? parseIpv4Bytes(bytes, groupAt, stop) : MALFORMED;
      if (v4 === MALFORMED) return false;
      into[count++] = v4 >>> 16;
      into[count++] = v4 & 0xffff;
      i = stop;
      break;
    }
    if (i === groupAt || i - groupAt > 4) return false;
    into[count++] = group;
    if (i === stop) break;
    if (bytes[i] !== COLON || ++i === stop) return false;
    if (bytes[i] === COLON) {
      if (gapAt >= 0) return false;
      gapAt = count;
      i++;
    }
  }
  if (gapAt < 0) return count === 8;
  // `::` stands for at least one group of zeros.
  if (count === 8) return false;
  into.copyWithin(8 - (count - gapAt), gapAt, count);
  into.fill(0, gapAt, 8 - (count - gapAt));
  return true;
}

function zoneIsValid(bytes: Uint8Array, percentAt: number, end: number): boolean {
  if (percentAt === end) return true;
  if (end - percentAt < 2 || end - percentAt > ZONE_MAX) return false;
  for (let i = percentAt + 1; i < end; i++) {
    const byte = bytes[i]!;
    const isWord =
      (byte >= 48 && byte <= 57) || ((byte | 32) >= 97 && (byte | 32) <= 122) || byte === 45 || byte === DOT || byte === 95;
    if (!isWord) return false;
  }
  return true;
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}

function hasColon(text: string): boolean {
  // The first colon of any IPv6 text is among the first five characters: cheap refusal of host names.
  for (let i = 0; i < 5 && i < text.length; i++) if (text.charCodeAt(i) === COLON) return true;
  return false;
}
