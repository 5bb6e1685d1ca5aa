import type { Batch } from '../events/batch.ts';
import { Block } from './committer.ts';
import type { Frame, Level, Origin, Position } from './entrance-log.ts';
import { headBytes, KIND, nameBytes, sealFrame, writeHead, type FrameNames } from './frame.ts';
import { seedOf, SEGMENT_HEADER_BYTES } from './segment.ts';
import type { OpenSegment } from './segments.ts';

/** Fresh for each run of frames: what readers hold is never written again. */
const BLOCK_BYTES = 1 << 20;
/** Small batches that come in one turn of the event loop share a frame up to these bounds. */
const SHARED_BYTES = 64 << 10;
const SHARED_EVENTS = 4096;
const CACHED_NAMES = 1024;
const NO_NAME = Buffer.alloc(0);

export interface FrameBufferOptions {
  readonly head: Position;
  readonly incarnation: bigint;
  readonly onFrame: (frame: Frame) => void;
  readonly onBlock: (block: Block) => void;
}

/**
 * Lays out frames in blocks of memory, as they will stand in the file. Batches that follow each other with the same tag,
 * label and level go into one frame until it is sealed.
 */
export class FrameBuffer {
  readonly #o: FrameBufferOptions;
  #segment: OpenSegment | undefined;
  #seed = 0;
  #block: Block | undefined;
  #head: Position;
  #sealed: Position;
  // The open frame; its `at` is -1 when there is none.
  #at = -1;
  #start = 0;
  #end = 0;
  #count = 0;
  #tag = '';
  #label = '';
  #level: Level = 'memory';
  #enteredMs = 0;
  #mayGrow = false;
  readonly #names = new Map<string, Buffer>();
  /** Frames sealed since it was last set to 0. */
  sealedFrames = 0;

  constructor(options: FrameBufferOptions) {
    this.#o = options;
    this.#head = options.head;
    this.#sealed = options.head;
  }

  /** Behind the newest entry. */
  get head(): Position {
    return this.#head;
  }

  /** Behind the newest frame that is complete. */
  get sealed(): Position {
    return this.#sealed;
  }

  /** What comes from now on goes into that segment. No frame may be open. */
  open(segment: OpenSegment): void {
    this.#segment = segment;
    this.#seed = seedOf(segment.header);
    this.#head = segment.base + SEGMENT_HEADER_BYTES;
    this.#sealed = this.#head;
    this.#block = undefined;
  }

  /** Another file goes on for the current one: the positions and places stay as they are. */
  goOn(segment: OpenSegment): void {
    this.#segment = segment;
  }

  put(batch: Batch, level: Level, label: string, origin: Origin | undefined, enteredMs: number): void {
    const { bytes, start, end, count, tag } = batch;
    const length = end - start;
    const fits =
      this.#mayGrow &&
      origin === undefined &&
      tag === this.#tag &&
      level === this.#level &&
      label === this.#label &&
      this.#count + count <= SHARED_EVENTS &&
      this.#end - this.#start + length <= SHARED_BYTES &&
      this.#end + length <= (this.#block as Block).bytes.length;
    if (!fits) {
      const names: FrameNames = {
        tag: this.#nameOf(tag),
        label: this.#nameOf(label),
        consumer: origin === undefined ? NO_NAME : this.#nameOf(origin.consumer),
      };
      this.#begin(names, KIND.events, level, enteredMs, origin?.intervalMs ?? 0, length);
      this.#tag = tag;
      this.#label = label;
      this.#mayGrow = origin === undefined;
    }
    const into = (this.#block as Block).bytes;
    into.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.#end);
    this.#end += length;
    this.#head += length;
    this.#count += count;
  }

  /** A frame for recovery, which no reader is given. */
  putMarks(body: Buffer, enteredMs: number): void {
    const names = { tag: NO_NAME, label: NO_NAME, consumer: NO_NAME };
    this.#begin(names, KIND.marks, 'fsync', enteredMs, 0, body.length);
    (this.#block as Block).bytes.set(body, this.#end);
    this.#end += body.length;
    this.#head += body.length;
    this.#close();
  }

  #begin(names: FrameNames, kind: number, level: Level, enteredMs: number, intervalMs: number, length: number): void {
    this.seal();
    const head = headBytes(names);
    let block = this.#block;
    if (block === undefined || block.filled + head + length > block.bytes.length) {
      const bytes = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, head + length));
      block = new Block(bytes, this.#head, this.#segment as OpenSegment);
      this.#block = block;
      this.#o.onBlock(block);
    }
    this.#at = block.filled;
    this.#start = writeHead(block.bytes, this.#at, { kind, level, count: 0, position: this.#head, enteredMs, intervalMs }, names);
    this.#end = this.#start;
    this.#head += head;
    this.#level = level;
    this.#enteredMs = enteredMs;
    this.#count = 0;
  }

  /** Completes the open frame, if there is one, and gives it out. */
  seal(): void {
    if (this.#at < 0) return;
    const block = this.#block as Block;
    const position = block.position + this.#at;
    const { segment } = block;
    const place = {
      incarnation: this.#o.incarnation,
      segment: segment.header.createdMs,
      offset: position - segment.base + segment.header.placeOffset,
      enteredMs: this.#enteredMs,
    };
    const { bytes } = block;
    const batch = { tag: this.#tag, bytes, start: this.#start, end: this.#end, count: this.#count, place };
    const label = this.#label;
    this.#close();
    this.sealedFrames++;
    this.#o.onFrame({ batch, label, position, end: this.#head });
  }

  #close(): void {
    const block = this.#block as Block;
    sealFrame(block.bytes, this.#at, this.#end, this.#count, this.#seed);
    block.filled = this.#end;
    this.#at = -1;
    this.#mayGrow = false;
    this.#sealed = this.#head;
  }

  #nameOf(name: string): Buffer {
    let bytes = this.#names.get(name);
    if (bytes === undefined) {
      if (this.#names.size >= CACHED_NAMES) this.#names.clear();
      bytes = nameBytes(name);
      this.#names.set(name, bytes);
    }
    return bytes;
  }
}
