/** Finds the address in the text of a field: with a port, in brackets, or in a list such as X-Forwarded-For. */
import type { Address } from './address.ts';
import { specialRange } from './special.ts';

export type ListChoice = 'none' | 'first' | 'last' | 'first_public';

export interface TextOptions {
  /** Whether `1.2.3.4:80` and `[::1]:80` are addresses with a port. */
  readonly stripPort: boolean;
  /** Which part of a comma list counts; 'none': a list is no address. */
  readonly list: ListChoice;
}

/** Parts of a list that are looked at: a hostile header may have thousands. */
const PARTS_MAX = 64;
const COMMA = 44;
const BLANK = 32;
const TAB = 9;
const COLON = 58;
const OPEN = 91;
const CLOSE = 93;

/** Reads `bytes[from, to)` into `address`; false: there is no address in it. Nothing is allocated. */
export function readAddress(address: Address, bytes: Uint8Array, from: number, to: number, options: TextOptions): boolean {
  if (options.list === 'none') return readOne(address, bytes, from, to, options.stripPort);
  if (options.list === 'last') {
    let start = to;
    while (start > from && bytes[start - 1] !== COMMA) start--;
    return readTrimmed(address, bytes, start, to, options.stripPort);
  }
  let start = from;
  for (let part = 0; part < PARTS_MAX && start <= to; part++) {
    const comma = bytes.subarray(start, to).indexOf(COMMA);
    const end = comma < 0 ? to : start + comma;
    const found = readTrimmed(address, bytes, start, end, options.stripPort);
    if (options.list === 'first' || (found && specialRange(address) === undefined)) return found;
    if (comma < 0) break;
    start = end + 1;
  }
  // None is public: the first part says at least what kind of address it is.
  return readAddress(address, bytes, from, to, { ...options, list: 'first' });
}

function readTrimmed(address: Address, bytes: Uint8Array, start: number, end: number, stripPort: boolean): boolean {
  let from = start;
  let to = end;
  while (from < to && (bytes[from] === BLANK || bytes[from] === TAB)) from++;
  while (to > from && (bytes[to - 1] === BLANK || bytes[to - 1] === TAB)) to--;
  return readOne(address, bytes, from, to, stripPort);
}

function readOne(address: Address, bytes: Uint8Array, from: number, to: number, stripPort: boolean): boolean {
  if (address.parseBytes(bytes, from, to)) return true;
  if (!stripPort || to - from > 80) return false;
  if (bytes[from] === OPEN) {
    let close = from + 1;
    while (close < to && bytes[close] !== CLOSE) close++;
    if (close === to || !(close + 1 === to || isPort(bytes, close + 1, to))) return false;
    return address.parseBytes(bytes, from + 1, close) && address.family !== 0;
  }
  let colon = to - 1;
  while (colon > from && bytes[colon] !== COLON) colon--;
  // Only an IPv4 address can be followed by a port without brackets.
  return isPort(bytes, colon, to) && address.parseBytes(bytes, from, colon) && address.family === 4;
}

function isPort(bytes: Uint8Array, colon: number, to: number): boolean {
  if (bytes[colon] !== COLON || to - colon < 2 || to - colon > 6) return false;
  for (let i = colon + 1; i < to; i++) if (bytes[i]! < 48 || bytes[i]! > 57) return false;
  return true;
}
