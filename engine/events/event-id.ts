import type { Place } from './batch.ts';
import type { ByteWriter } from './byte-writer.ts';

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
  #low = 0;

  /** Starts on the events of a frame. */
  frame({ segment, incarnation, offset }: Place): void {
    const bits = (BigInt(segment) << 80n) | (incarnation << 40n) | BigInt(offset);
    this.#low = Number(bits & 7n);
    let rest = bits >> 3n;
    for (let n = 24; n >= 0; n--) {
      this.head[n] = ALPHABET[Number(rest & 31n)] as number;
      rest >>= 5n;
    }
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
    bytes[at++] = ALPHABET[(this.#low << 2) | (id >>> 30)] as number;
    for (let shift = 25; shift >= 0; shift -= 5) bytes[at++] = ALPHABET[(id >>> shift) & 31] as number;
    into.length = at;
  }
}
