import type { Batch } from '../batch.ts';
import type { ByteWriter } from '../byte-writer.ts';
import { QUOTE, escapeText } from '../json-text.ts';
import { giveUpKernel, sharedKernel, type Kernel } from './kernel.ts';
import { wasm } from './webassembly.ts';

/** Bytes that are the same for many lines. */
export interface Piece {
  readonly bytes: Buffer;
  readonly length: number;
}

/** A batch as lines: an action and a document for each event. What the kernel cannot write it asks for here. */
export interface LineSource {
  /** Begins each action line, up to the last seven characters of the id if there is one. */
  readonly lead: Piece;
  /** The three upper bits of those characters; undefined: the events have no id. */
  readonly low: number | undefined;
  /** Ends the action line, after the id's quote: of all events, or of those of one second. */
  readonly trail: Piece | ((seconds: number) => Piece);
  readonly timeKey: Buffer;
  /** Writes the lines of the event at `at` without the kernel. @returns the offset after the event */
  line(into: ByteWriter, batch: Batch, event: number, at: number): number;
}

/** Below this many bytes of entries the calls take longer than plain code does. */
const SMALL = 128;

/**
 * Writes the lines of a batch.
 *
 * @param ends  receives the length of `into` after each event, from `n` on
 * @returns the index after the last one
 */
export function writeLines(into: ByteWriter, batch: Batch, source: LineSource, ends: Uint32Array, n: number): number {
  const kernel = batch.end - batch.start < SMALL ? undefined : sharedKernel();
  const progress = { event: 0, at: batch.start };
  if (kernel !== undefined && fits(kernel, source)) {
    const began = into.length;
    try {
      new Run(kernel, into, batch, source, ends, n).go(progress);
    } catch (error) {
      if (!(error instanceof wasm.RuntimeError)) throw error;
      // A fault of the kernel itself: plain code does this batch again, and all later ones.
      giveUpKernel();
      into.length = began;
      progress.event = 0;
      progress.at = batch.start;
    }
  }
  let { event, at } = progress;
  for (; event < batch.count; event++) {
    at = source.line(into, batch, event, at);
    ends[n + event] = into.length;
  }
  return n + batch.count;
}

/** Whether the texts of the source fit into the kernel's places for them; copies those that do not change. */
function fits(kernel: Kernel, { lead, trail, timeKey }: LineSource): boolean {
  const { at, bytes } = kernel;
  if (lead.length > at.LEAD_SIZE || timeKey.length > at.NAME_SIZE) return false;
  if (typeof trail !== 'function' && trail.length > at.TRAIL_SIZE) return false;
  if (kernel.name !== timeKey) {
    kernel.name = timeKey;
    timeKey.copy(bytes, at.NAME);
    bytes[at.QUOTED] = QUOTE;
    const end = escapeText(timeKey, 0, timeKey.length, bytes, at.QUOTED + 1);
    bytes.write('":', end, 'latin1');
    kernel.quotedLength = end + 2 - at.QUOTED;
  }
  return true;
}

/** One batch through the kernel: as much of it as fits into its memory at a time. */
class Run {
  readonly #kernel: Kernel;
  readonly #into: ByteWriter;
  readonly #batch: Batch;
  readonly #bytes: Buffer;
  readonly #source: LineSource;
  readonly #ends: Uint32Array;
  readonly #n: number;
  #trailLength = -1;
  // Events whose ids the kernel has.
  #idsFrom = 0;
  #idsEnd = 0;

  constructor(kernel: Kernel, into: ByteWriter, batch: Batch, source: LineSource, ends: Uint32Array, n: number) {
    this.#kernel = kernel;
    this.#into = into;
    this.#batch = batch;
    this.#bytes = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset, batch.bytes.byteLength);
    this.#source = source;
    this.#ends = ends;
    this.#n = n;
    const { lead, trail } = source;
    lead.bytes.copy(kernel.bytes, kernel.at.LEAD, 0, lead.length);
    kernel.trail = (seconds) => this.#takeTrail((trail as (seconds: number) => Piece)(seconds));
    if (typeof trail !== 'function') this.#trailLength = this.#takeTrail(trail);
  }

  #takeTrail({ bytes, length }: Piece): number {
    const { at } = this.#kernel;
    if (length > at.TRAIL_SIZE) return -1;
    bytes.copy(this.#kernel.bytes, at.TRAIL, 0, length);
    return length;
  }

  #giveIds(from: number): void {
    const { words, at: places } = this.#kernel;
    const { ids, count } = this.#batch;
    const idsAt = places.IDS >>> 2;
    this.#idsFrom = from;
    this.#idsEnd = Math.min(count, from + places.EVENTS);
    for (let n = from; n < this.#idsEnd; n++) words[idsAt + n - from] = ids === undefined ? n << 8 : (ids[n] as number);
  }

  /** Leaves the number of events that were written, and the offset after them, in `progress`. */
  go(progress: { event: number; at: number }): void {
    const { bytes, at: places } = this.#kernel;
    const { count, end } = this.#batch;
    while (progress.event < count && progress.at < end) {
      const size = Math.min(end - progress.at, places.INPUT_SIZE);
      this.#bytes.copy(bytes, places.INPUT, progress.at, progress.at + size);
      if (!this.#window(progress, size)) return;
    }
  }

  /**
   * Writes the events in the `size` bytes that were copied.
   *
   * @returns false when an event is so broken that nobody knows where the next one begins
   */
  #window(progress: { event: number; at: number }, size: number): boolean {
    const { exports, at: places } = this.#kernel;
    const { count, end } = this.#batch;
    const windowAt = progress.at;
    while (progress.event < count) {
      const answer = this.#call(progress.event, progress.at - windowAt, size);
      progress.event += exports.events.value;
      progress.at = windowAt + exports.stoppedAt.value;
      if (progress.event === count) break;
      if (answer === places.DONE || (answer === places.FULL && exports.events.value > 0)) continue;
      // Cut off by the end of the window: the next one begins with this event.
      if (answer === places.CUT && progress.at > windowAt) break;
      const next = this.#source.line(this.#into, this.#batch, progress.event, progress.at);
      this.#ends[this.#n + progress.event++] = this.#into.length;
      // Written so that it is false for NaN too.
      const isSound = next > progress.at && next <= end;
      progress.at = next;
      if (!isSound) return false;
      if (next >= windowAt + size) break;
    }
    return true;
  }

  /** Lets the kernel write events from `event` on, which begins at `from` of the window, and takes what it wrote. */
  #call(event: number, from: number, size: number): number {
    const { exports, at: places, bytes, words, quotedLength } = this.#kernel;
    if (event >= this.#idsEnd) this.#giveIds(event);
    const most = this.#idsEnd - event;
    const firstId = event - this.#idsFrom;
    const { lead, low = -1, timeKey } = this.#source;
    const answer = exports.lines(from, size, most, firstId, lead.length, low, this.#trailLength, timeKey.length, quotedLength);
    const into = this.#into;
    const written = exports.written.value;
    into.ensure(written);
    bytes.copy(into.bytes, into.length, places.OUTPUT, places.OUTPUT + written);
    const endsAt = places.ENDS >>> 2;
    const done = exports.events.value;
    for (let n = 0; n < done; n++) this.#ends[this.#n + event + n] = into.length + (words[endsAt + n] as number);
    into.length += written;
    return answer;
  }
}
