import type { Ack } from '../component.ts';
import type { Batch } from '../events/batch.ts';

/** How safe a frame must be before its source is told: in memory, handed to the system, or on the disk. */
export type Level = 'memory' | 'os' | 'fsync';

/** A frame as a reader sees it: the batch with its place, and the label its source sends to. */
export interface Frame {
  readonly batch: Batch;
  readonly label: string;
}

export interface LogReader {
  /** The next frame, or undefined when the reader has caught up. */
  next(): Frame | undefined;
  /** Says that nobody needs the frame any more; its room is given back. Once per frame. */
  release(frame: Frame): void;
}

/**
 * What sources append to and the pipeline reads from. One per worker.
 */
export interface EntranceLog {
  /**
   * Takes the batch in any case and calls `ack` once it is safe at `level`.
   *
   * @param label  where routing starts for it; '' is the root
   * @returns false when the log is full: the source shall stop until `ready` resolves
   */
  append(batch: Batch, level: Level, label: string, ack?: Ack): boolean;
  /** Takes the batch only when there is room. */
  tryAppend(batch: Batch, level: Level, label: string): boolean;
  /** Resolves when there is room again. */
  ready(): Promise<void>;
  /** @param onFrames  called when frames have come while the reader had caught up */
  reader(name: string, onFrames: () => void): LogReader;
  readonly pending: { readonly frames: number; readonly events: number; readonly bytes: number };
}
