import type { Position } from './entrance-log.ts';
import { firstPosition, type Segment } from './segment.ts';
import type { Segments } from './segments.ts';

/** What of the log somebody may still need, and the files that nobody does. */
export class Kept {
  readonly #segments: Segments;
  #obsolete: readonly string[];
  /** Nobody needs what lies before. */
  #trimmed: Position;
  /** Of frames that somebody may need; gaps between segments do not count. */
  bytes = 0;

  /** @param obsolete  files found at start that can go as soon as the new segment is safe */
  constructor(segments: Segments, obsolete: readonly string[], trimmed: Position) {
    this.#segments = segments;
    this.#obsolete = obsolete;
    this.#trimmed = trimmed;
  }

  /** @param otherwise  where the first frame of the current segment is or will be */
  first(otherwise: Position): Position {
    const oldest = this.#segments.list.find(({ end, frames }) => frames > 0 && end > this.#trimmed);
    return Math.max(this.#trimmed, oldest === undefined ? otherwise : firstPosition(oldest));
  }

  /** @returns false when that much was given back before */
  trim(before: Position): boolean {
    if (before <= this.#trimmed) return false;
    this.#trimmed = before;
    return true;
  }

  /** Counts anew; see `bytesFrom`. */
  count(current: Segment, sealed: Position, head: Position): void {
    this.bytes = this.bytesFrom(this.#trimmed, current, sealed, head);
  }

  /**
   * Bytes of frames at and behind a position.
   *
   * @param current  the segment that is written to, which reaches up to `sealed`, whatever has been written of it
   */
  bytesFrom(position: Position, current: Segment, sealed: Position, head: Position): number {
    let sum = head - Math.max(sealed, Math.min(position, head));
    let counted = Math.max(position, this.#trimmed);
    for (const segment of this.#segments.list) {
      const end = segment === current ? sealed : segment.end;
      const start = Math.max(counted, firstPosition(segment));
      if (end <= start) continue;
      sum += end - start;
      counted = end;
    }
    return sum;
  }

  /**
   * Removes files that hold nothing but what nobody needs. What has to be known of them is safe in the current segment;
   * a file that cannot be removed is tried again at the next start.
   */
  remove(current: Segment): void {
    for (const path of this.#obsolete) void this.#segments.disk.remove(path).catch(() => undefined);
    this.#obsolete = [];
    for (;;) {
      const [oldest] = this.#segments.list;
      if (oldest === undefined || oldest === current || oldest.end > this.#trimmed) return;
      void this.#segments.remove(oldest).catch(() => undefined);
    }
  }
}
