import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ByteWriter } from '../../engine/events/byte-writer.ts';

/** Bytes at the head of a file by which it is recognised again. */
const FINGERPRINT_BYTES = 256;
const LINE_FEED = 10;
const NONE = Buffer.alloc(0);

/** What is done with a run of whole lines, each with its line feed; `isHead`: they are the first of the file. */
export type TakeLines = (bytes: Buffer, from: number, to: number, isHead: boolean, reader: Reader) => void;

interface Handover {
  /** Offset that counts as done once this and all earlier ones are acknowledged. */
  readonly offset: number;
  isDone: boolean;
}

/**
 * One open file: reads blocks, keeps the incomplete last line, and knows up to where everything was acknowledged.
 *
 *     0 .......... committed .......... lineStart ...... next
 *       safe           on its way to the log    carried    not read yet
 */
export class Reader {
  readonly device: bigint;
  readonly inode: bigint;
  /** Set when the path has another file now, or none: the time at which this one is given up. */
  retireAt: number | undefined;
  /** Nothing more was there at the last look. */
  isAtEnd = false;
  /** Not to be read until a failed handover is repeated. */
  isHeld = false;
  /** The incomplete last line was handed over too. */
  isFinished = false;
  committed: number;
  /** Rises when the reader goes back: acknowledgements of what was read before no longer count. */
  generation = 0;
  tooLong = 0;
  /** Lines that were read and wait for the rest of their event; the position stays before them. */
  held = new ByteWriter(256);
  /** When the last of them came. */
  heldSince = 0;
  /** Times that they were tried as a whole. */
  tries = 0;
  /** The event that has begun is longer than may be held: its lines are passed over. */
  isGroupTooLong = false;
  // For read_bytes_limit_per_second.
  windowStart = 0;
  windowBytes = 0;

  readonly #descriptor: number;
  readonly #maxLine: number;
  #isOpen = true;
  #next: number;
  #lineStart: number;
  #handedTo: number;
  #isSkipping = false;
  #carry = new ByteWriter(256);
  #handovers: Handover[] = [];
  #fingerprint: Buffer = NONE;

  private constructor(descriptor: number, device: bigint, inode: bigint, offset: number, maxLine: number) {
    this.#descriptor = descriptor;
    this.device = device;
    this.inode = inode;
    this.#maxLine = maxLine;
    this.committed = offset;
    this.#next = offset;
    this.#lineStart = offset;
    this.#handedTo = offset;
  }

  /**
   * @param chooseOffset  where to begin, from the size and inode of the file that was opened
   * @throws the error of the file system
   */
  static open(path: string, maxLine: number, chooseOffset: (size: number, device: bigint, inode: bigint) => number): Reader {
    const descriptor = openSync(path, 'r');
    try {
      const { dev, ino, size } = fstatSync(descriptor, { bigint: true });
      const reader = new Reader(descriptor, dev, ino, chooseOffset(Number(size), dev, ino), maxLine);
      reader.#fingerprint = reader.#readHead(Math.min(FINGERPRINT_BYTES, reader.committed));
      return reader;
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
  }

  get identity(): string {
    return `${this.device}:${this.inode}`;
  }
  /** Everything that was handed over is acknowledged. */
  get isSettled(): boolean {
    return this.#handovers.length === 0;
  }
  get head(): Buffer {
    return this.#fingerprint;
  }
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Whether the file begins with these bytes. */
  beginsWith(head: Buffer): boolean {
    return this.#readHead(head.length).equals(head);
  }

  /**
   * Looks whether there is more to read.
   *
   * @returns 'truncated' when the file was cut, or replaced by another one in place: the head differs or it is too short
   */
  look(): 'same' | 'grown' | 'truncated' {
    const { size } = fstatSync(this.#descriptor);
    if (size < this.#next) return 'truncated';
    if (size === this.#next) return 'same';
    if (!this.beginsWith(this.#fingerprint)) return 'truncated';
    this.isAtEnd = false;
    return 'grown';
  }

  /** Bytes between what was read and the end of the file. */
  behind(): number {
    return Math.max(0, fstatSync(this.#descriptor).size - this.#next);
  }

  /**
   * Reads one block and hands over its whole lines.
   *
   * @returns bytes read; 0 at the end
   */
  step(block: Buffer, take: TakeLines): number {
    const count = readSync(this.#descriptor, block, 0, block.length, this.#next);
    if (count === 0) {
      this.isAtEnd = true;
      if (this.#fingerprint.length < FINGERPRINT_BYTES && this.#next > this.#fingerprint.length)
        this.#fingerprint = this.#readHead(Math.min(FINGERPRINT_BYTES, this.#next));
      return 0;
    }
    const last = block.lastIndexOf(LINE_FEED, count - 1);
    // lastIndexOf goes over the whole block; what stands behind `count` is old.
    if (last < 0) this.#keep(block, 0, count);
    else {
      let from = 0;
      if (this.#carry.length > 0 || this.#isSkipping) from = this.#finishLine(block, block.indexOf(LINE_FEED) + 1, take);
      if (from <= last) take(block, from, last + 1, this.#lineStart === 0 && from === 0, this);
      this.#lineStart = this.#next + last + 1;
      this.#keep(block, last + 1, count);
    }
    this.#next += count;
    return count;
  }

  /** The carried line ends in this block. */
  #finishLine(block: Buffer, to: number, take: TakeLines): number {
    if (!this.#isSkipping) {
      this.#carry.raw(block, 0, to);
      take(this.#carry.bytes, 0, this.#carry.length, this.#lineStart === 0, this);
    }
    this.#isSkipping = false;
    this.#emptyCarry();
    return to;
  }

  #keep(block: Buffer, from: number, to: number): void {
    if (this.#isSkipping || from === to) return;
    if (this.#carry.length + to - from <= this.#maxLine) return this.#carry.raw(block, from, to);
    // The rest of a line that is too long is passed over without being kept.
    this.#isSkipping = true;
    this.tooLong++;
    this.#emptyCarry();
  }

  /** Forgets the lines that are held. */
  release(): void {
    this.tries = 0;
    this.isGroupTooLong = false;
    if (this.held.bytes.length > 65_536) this.held = new ByteWriter(256);
    else this.held.reset();
  }

  #emptyCarry(): void {
    // One long line must not hold its memory for as long as the file is watched.
    if (this.#carry.bytes.length > 65_536) this.#carry = new ByteWriter(256);
    else this.#carry.reset();
  }

  /** Takes an incomplete last line as a whole one: nothing more will come. */
  finish(take: TakeLines): void {
    if (this.#carry.length > 0) {
      const isHead = this.#lineStart === 0;
      this.#carry.u8(LINE_FEED);
      take(this.#carry.bytes, 0, this.#carry.length, isHead, this);
    }
    this.#emptyCarry();
    this.#isSkipping = false;
    this.#lineStart = this.#next;
    this.isFinished = true;
  }

  /** Whether whole lines were read since the last handover. */
  get hasNews(): boolean {
    return this.#lineStart !== this.#handedTo;
  }

  /** Notes that all lines up to here, but for those that are held, are handed over. @returns what to call when they are acknowledged */
  handOver(): () => void {
    const offset = Math.max(this.committed, this.#lineStart - this.held.length);
    const handover: Handover = { offset, isDone: false };
    this.#handovers.push(handover);
    this.#handedTo = this.#lineStart;
    const { generation } = this;
    return () => {
      if (generation !== this.generation) return;
      handover.isDone = true;
      // In order: a later acknowledgement waits for the earlier ones.
      while (this.#handovers[0]?.isDone === true) this.committed = (this.#handovers.shift() as Handover).offset;
    };
  }

  /** Goes back to `offset`; what is on its way is no longer waited for. */
  rewind(offset: number): void {
    this.generation++;
    this.#handovers = [];
    this.committed = offset;
    this.#next = offset;
    this.#lineStart = offset;
    this.#handedTo = offset;
    this.#emptyCarry();
    this.release();
    this.#isSkipping = false;
    this.isAtEnd = false;
    this.isHeld = false;
    this.isFinished = false;
    if (offset === 0) this.#fingerprint = NONE;
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    closeSync(this.#descriptor);
  }

  #readHead(bytes: number): Buffer {
    if (bytes === 0) return NONE;
    const head = Buffer.alloc(bytes);
    return head.subarray(0, readSync(this.#descriptor, head, 0, bytes, 0));
  }
}
