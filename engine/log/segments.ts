import { join } from 'node:path';
import type { Clock } from '../component.ts';
import { writeAll, type Disk, type DiskFile } from './disk.ts';
import type { Position } from './entrance-log.ts';
import { encodeHeader, firstPosition, segmentName, SEGMENT_HEADER_BYTES, type Hashes, type Segment } from './segment.ts';

/** A segment that is written to. */
export interface OpenSegment extends Segment {
  readonly file: DiskFile;
}

export interface SegmentsOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly clock: Clock;
  readonly hashes: Hashes;
  readonly incarnation: bigint;
  /** Of the newest segment that ever was; 0: none. */
  readonly lastMs: number;
  readonly nextSequence: number;
  /** Those found at start, by position. */
  readonly found: readonly Segment[];
}

/** The segments of one log, by position. */
export class Segments {
  readonly disk: Disk;
  readonly directory: string;
  readonly #clock: Clock;
  readonly incarnation: bigint;
  hashes: Hashes;
  #lastMs: number;
  #nextSequence: number;
  readonly list: Segment[];

  constructor(options: SegmentsOptions) {
    this.disk = options.disk;
    this.directory = options.directory;
    this.#clock = options.clock;
    this.hashes = options.hashes;
    this.incarnation = options.incarnation;
    this.#lastMs = options.lastMs;
    this.#nextSequence = options.nextSequence;
    this.list = [...options.found];
  }

  /**
   * Makes a file with its header, both safe on the disk. It is in no list yet, and its base is not known.
   *
   * @param from  the segment that it goes on for, whose places it gives; absent: a new creation time
   * @throws what the disk threw
   */
  async create(from?: { readonly createdMs: number; readonly placeOffset: number }): Promise<OpenSegment> {
    const sequence = this.#nextSequence++;
    const path = join(this.directory, segmentName(sequence));
    const createdMs = from?.createdMs ?? Math.max(this.#clock.now(), this.#lastMs + 1);
    // Kept also when it fails below: the file may be there all the same.
    this.#lastMs = Math.max(createdMs, this.#lastMs);
    const header = { ...this.hashes, incarnation: this.incarnation, createdMs, placeOffset: from?.placeOffset ?? 0, version: 1 };
    const file = await this.disk.create(path);
    try {
      await writeAll(file, encodeHeader(header), 0);
      await file.datasync();
      await this.disk.syncDirectory(this.directory);
    } catch (error) {
      await file.close().catch(() => undefined);
      // Not there, or without frames: the next start takes it away.
      await this.disk.remove(path).catch(() => undefined);
      throw error;
    }
    return { path, sequence, header, file, base: 0, end: SEGMENT_HEADER_BYTES, frames: 0, events: 0 };
  }

  /** Puts a segment into the list, where its first frame will have that position. */
  place(segment: Segment, first: Position): void {
    segment.base = first - SEGMENT_HEADER_BYTES;
    segment.end = first;
    const behind = this.list.findIndex((other) => firstPosition(other) > first);
    this.list.splice(behind < 0 ? this.list.length : behind, 0, segment);
  }

  /** The first segment that holds something at or behind a position. */
  find(position: Position, after?: Segment): Segment | undefined {
    const from = after === undefined ? 0 : this.list.indexOf(after) + 1;
    for (let n = from; n < this.list.length; n++) {
      const segment = this.list[n] as Segment;
      if (segment.end > position) return segment;
    }
    return undefined;
  }

  remove(segment: Segment): Promise<void> {
    const index = this.list.indexOf(segment);
    if (index >= 0) this.list.splice(index, 1);
    return this.disk.remove(segment.path);
  }
}
