import type { Position } from '../log/entrance-log.ts';
import type { Progress } from './progress.ts';

/** Counts which parts of a frame one output still holds; the frame is finished for that output once it holds none. */
export class Ticket {
  #holders = 1;
  readonly #progress: Progress;
  /** Of the frame. */
  readonly position: Position;
  readonly end: Position;

  constructor(progress: Progress, position: Position, end: Position) {
    this.#progress = progress;
    this.position = position;
    this.end = end;
  }

  hold(): void {
    this.#holders++;
  }

  release(): void {
    if (--this.#holders === 0) this.#progress.finish(this.position);
  }
}
