import type { Frame, Level, Origin, Position } from './entrance-log.ts';
import type { DiskFile } from './disk.ts';
import { checksum, frameLength, FRAME_HEADER_BYTES, LEVELS, MARKER, type Checksum } from './frame.ts';
import { seedOf, SEGMENT_HEADER_BYTES, type Segment, type SegmentHeader } from './segment.ts';

const BLOCK_BYTES = 512 << 10;

export interface ScannerOptions {
  readonly file: DiskFile;
  readonly header: SegmentHeader;
  /** Byte in the file to begin at. */
  readonly offset?: number;
  /** Position of byte 0 of the file, when it is known: what claims to stand elsewhere is no frame. */
  readonly base?: Position | undefined;
  /** Called for bytes `[from, to)` of the file that are no frame, once, when it is known where they end. */
  readonly onDamage: (from: number, to: number) => void;
  readonly checksum?: Checksum | undefined;
}

/**
 * Reads the frames of one segment in order. After `next` has said yes, the fields describe the frame; its bytes are never
 * written again and may be held.
 *
 * What does not check is never passed over in silence: the scanner looks for the next frame that does, and tells what lay
 * between.
 */
export class SegmentScanner {
  readonly #file: DiskFile;
  readonly #seed: number;
  readonly #onDamage: ScannerOptions['onDamage'];
  readonly #checksum: Checksum;
  #block = Buffer.alloc(0);
  /** Where the block stands in the file. */
  #blockAt = 0;
  base: Position | undefined;
  /** Of the frame in the file, and of what comes behind it. */
  at: number;
  end: number;
  kind = 0;
  count = 0;
  enteredMs = 0;
  level: Level = 'memory';
  origin: Origin | undefined;
  /** Strings are made once for a run of frames with the same names. */
  tag = '';
  label = '';
  #names = Buffer.alloc(0);
  /** The entries are `bytes[start, stop)`. */
  bytes: Buffer = this.#block;
  start = 0;
  stop = 0;

  constructor(options: ScannerOptions) {
    this.#file = options.file;
    this.#seed = seedOf(options.header);
    this.#onDamage = options.onDamage;
    this.#checksum = options.checksum ?? checksum;
    this.base = options.base;
    this.at = options.offset ?? SEGMENT_HEADER_BYTES;
    this.end = this.at;
  }

  /** @param limit  what lies from there on is not looked at. @returns false when there is no further frame before it */
  next(limit: number): boolean {
    if (this.end >= limit) return false;
    const from = this.end;
    const found = this.#isFrame(from, limit) ? from : this.#search(from + 1, limit);
    if (found === undefined) {
      this.at = limit;
      this.end = limit;
      this.#onDamage(from, limit);
      return false;
    }
    if (found > from) this.#onDamage(from, found);
    this.#take(found);
    return true;
  }

  /** Looks behind a frame that does not check. The marker and the position make almost every wrong guess a cheap one. */
  #search(from: number, limit: number): number | undefined {
    for (let at = from; at + FRAME_HEADER_BYTES <= limit;) {
      this.#load(at, Math.min(FRAME_HEADER_BYTES, limit - at), limit);
      const found = this.#block.indexOf(MARKER, at - this.#blockAt);
      if (found < 0) {
        // The marker may begin in the last bytes of the block.
        const next = this.#blockAt + this.#block.length - MARKER.length + 1;
        if (next <= at) return undefined;
        at = next;
        continue;
      }
      at = this.#blockAt + found;
      if (this.#isFrame(at, limit)) return at;
      at++;
    }
    return undefined;
  }

  #isFrame(at: number, limit: number): boolean {
    if (at + FRAME_HEADER_BYTES > limit || !this.#load(at, FRAME_HEADER_BYTES, limit)) return false;
    const length = frameLength(this.#block, at - this.#blockAt);
    if (length === undefined || at + length > limit) return false;
    const position = this.#block.readDoubleLE(at - this.#blockAt + 16);
    if (this.base === undefined ? !Number.isSafeInteger(position) || position < at : position !== this.base + at) return false;
    if (!this.#load(at, length, limit)) return false;
    const start = at - this.#blockAt;
    return this.#block.readUInt32LE(start + 4) === this.#checksum(this.#block, start, start + length, this.#seed);
  }

  /** Makes sure that the block holds `length` bytes from `at` on. @returns false when the file ends before */
  #load(at: number, length: number, limit: number): boolean {
    if (at >= this.#blockAt && at + length <= this.#blockAt + this.#block.length) return true;
    // A new one: frames that were given out live in the old one.
    const block = Buffer.allocUnsafeSlow(Math.max(length, Math.min(BLOCK_BYTES, limit - at)));
    let filled = 0;
    while (filled < block.length) {
      const read = this.#file.readSync(block, filled, block.length - filled, at + filled);
      if (read === 0) break;
      filled += read;
    }
    this.#block = block.subarray(0, filled);
    this.#blockAt = at;
    return filled >= length;
  }

  #take(at: number): void {
    const block = this.#block;
    const head = at - this.#blockAt;
    this.at = at;
    this.end = at + block.readUInt32LE(head + 8);
    this.count = block.readUInt32LE(head + 12);
    this.base = block.readDoubleLE(head + 16) - at;
    this.enteredMs = block.readUIntLE(head + 24, 6);
    this.kind = block[head + 30] as number;
    this.level = LEVELS[block[head + 31] as number] ?? 'memory';
    const tagBytes = block.readUInt32LE(head + 32);
    const labelBytes = block.readUInt16LE(head + 36);
    const consumerBytes = block.readUInt16LE(head + 38);
    const tagAt = head + FRAME_HEADER_BYTES + (consumerBytes > 0 ? 8 : 0);
    const labelEnd = tagAt + tagBytes + labelBytes;
    const names = block.subarray(tagAt, labelEnd);
    if (tagBytes !== this.#tagBytes || !names.equals(this.#names)) {
      this.#names = Buffer.from(names);
      this.#tagBytes = tagBytes;
      this.tag = block.toString('utf8', tagAt, tagAt + tagBytes);
      this.label = block.toString('utf8', tagAt + tagBytes, labelEnd);
    }
    this.origin =
      consumerBytes === 0
        ? undefined
        : {
            consumer: block.toString('utf8', labelEnd, labelEnd + consumerBytes),
            intervalMs: block.readDoubleLE(head + FRAME_HEADER_BYTES),
          };
    this.bytes = block;
    this.start = labelEnd + consumerBytes;
    this.stop = this.end - this.#blockAt;
  }
  #tagBytes = 0;
}

/** The frame that a scanner stands on. */
export function frameOf({ tag, label, bytes, start, stop, count, at, end, enteredMs }: SegmentScanner, segment: Segment): Frame {
  const { incarnation, createdMs, placeOffset } = segment.header;
  const place = { incarnation, segment: createdMs, offset: at + placeOffset, enteredMs };
  return {
    batch: { tag, bytes, start, end: stop, count, place },
    label,
    position: segment.base + at,
    end: segment.base + end,
  };
}
