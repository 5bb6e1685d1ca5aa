import type { Place } from './batch.ts';
import { ByteWriter } from './byte-writer.ts';

/** RFC 4648 base32hex in lower case: sorts like the bits it stands for. */
const ALPHABET = Buffer.from('0123456789abcdefghijklmnopqrstuv');

/**
 * Ids of events: 160 bits as 32 characters, ordered in time and never reused.
 *
 *     48 segment time, ms | 40 incarnation | 40 offset in the segment | 24 index in the frame | 8 split ordinal
 */
export class IdWriter {
  /** The first 25 characters: the same for all events of a frame. 3 bits of the offset reach into the 26th. */
  readonly head = Buffer.alloc(25);
  /** Those 3 bits. */
  low = 0;
  #segment = -1;
  #incarnation = -1n;
  // The 3 lowest bits of the incarnation, above the 40 of an offset.
  #middle = 0;

  /** Starts on the events of a frame. */
  frame({ segment, incarnation, offset }: Place): void {
    if (segment !== this.#segment || incarnation !== this.#incarnation) this.#start(segment, incarnation);
    const bits = this.#middle + offset;
    this.low = bits % 8;
    const rest = Math.floor(bits / 8);
    this.#digits(Math.floor(rest / 2 ** 20), 17);
    this.#digits(rest % 2 ** 20, 21);
  }

  /** The 17 digits that all frames of a segment share: BigInt is slow, and frames may be small. */
  #start(segment: number, incarnation: bigint): void {
    this.#segment = segment;
    this.#incarnation = incarnation;
    this.#middle = Number(incarnation & 7n) * 2 ** 40;
    let rest = (BigInt(segment) << 37n) | (incarnation >> 3n);
    for (let n = 16; n >= 0; n--) {
      this.head[n] = ALPHABET[Number(rest & 31n)] as number;
      rest >>= 5n;
    }
  }

  /** 20 bits as four digits. */
  #digits(bits: number, at: number): void {
    for (let n = 0; n < 4; n++) this.head[at + n] = ALPHABET[(bits >>> (15 - 5 * n)) & 31] as number;
  }

  /** @param id  `index << 8 | ordinal` */
  write(into: ByteWriter, id: number): void {
    into.raw(this.head);
    this.tail(into, id);
  }

  /** The 7 characters after `head`. */
  tail(into: ByteWriter, id: number): void {
    into.ensure(7);
    const { bytes } = into;
    let at = into.length;
    // 35 bits are left: 3 of the offset and 32 of the id, five at a time.
    bytes[at++] = ALPHABET[(this.low << 2) | (id >>> 30)] as number;
    for (let shift = 25; shift >= 0; shift -= 5) bytes[at++] = ALPHABET[(id >>> shift) & 31] as number;
    into.length = at;
  }
}

/** What an id says of its event. */
export interface EventIdParts extends Omit<Place, 'enteredMs'> {
  /** `index in the frame << 8 | split ordinal`. */
  readonly index: number;
}

/** Reads an id back; undefined when the text is none. */
export function parseEventId(id: string): EventIdParts | undefined {
  if (!/^[0-9a-v]{32}$/.test(id)) return undefined;
  let bits = 0n;
  for (const digit of id) bits = (bits << 5n) | BigInt(Number.parseInt(digit, 32));
  const take = (count: bigint): bigint => {
    const low = bits & ((1n << count) - 1n);
    bits >>= count;
    return low;
  };
  const index = Number(take(32n));
  const offset = Number(take(40n));
  const incarnation = take(40n);
  return { segment: Number(bits), incarnation, offset, index };
}

/** The id of one event. Makes its tools anew: for many events there is `IdWriter`. */
export function eventId(place: Place, index: number): string {
  const writer = new IdWriter();
  const into = new ByteWriter(32);
  writer.frame(place);
  writer.write(into, index);
  return into.copy().toString('latin1');
}
