import type { Ack } from '../component.ts';
import type { Batch } from '../events/batch.ts';

/** How safe a frame must be before its source is told: in memory, handed to the system, or on the disk. */
export type Level = 'memory' | 'os' | 'fsync';

/**
 * A place in one log as one number: it rises from frame to frame, over segments and restarts, with gaps; below 2^53.
 * What is counted in it is bytes, so the difference of two is about the size of what lies between.
 */
export type Position = number;

/** What a frame was made from, when the engine made it: one interval of a consumer. Each is appended once. */
export interface Origin {
  readonly consumer: string;
  readonly intervalMs: number;
}

/** A frame as a reader sees it: the batch with its place, and the label its source sends to. */
export interface Frame {
  readonly batch: Batch;
  readonly label: string;
  /** Of the frame itself, and of what comes behind it. */
  readonly position: Position;
  readonly end: Position;
}

export interface LogReader {
  /** The next frame, or undefined when the reader has caught up. The bytes stay as they are for as long as they are held. */
  next(): Frame | undefined;
  /** Everything before it has been given out; the next frame lies here or behind a gap. */
  readonly position: Position;
  close(): void;
}

export interface LogStatus {
  /** The log's own books. */
  readonly appended: { readonly frames: number; readonly events: number; readonly bytes: number };
  /** What was checked at start: the newest segments. Older ones are checked when they are read. */
  readonly recovered: { readonly frames: number; readonly events: number; readonly bytes: number };
  /** Size of what is kept, and of what may be kept. */
  readonly keptBytes: number;
  readonly limitBytes: number;
  readonly segments: number;
  /** 'ok', or 'stalled' with what keeps it from taking more (full, disk full, an error of the disk). */
  readonly state: 'ok' | 'stalled';
  readonly reason?: string;
  /** Counters that go to the metrics as they are: commits, commit latency, damaged frames ... */
  readonly metrics: Readonly<Record<string, number>>;
}

/**
 * What sources append to and the pipeline reads from. One per worker. Times of entering never fall from frame to frame,
 * whatever the clock does.
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
  /**
   * Takes what one interval of a consumer became, unless it is in the log already or has been (intervals of a consumer
   * come in order); `ack` is called once it is safe, at once when it was known.
   */
  appendOnce(batch: Batch, level: Level, origin: Origin, ack: Ack): void;
  /** Resolves when there is room again. */
  ready(): Promise<void>;
  /**
   * @param from  undefined: the oldest frame that is kept
   * @param onFrames  called when frames have come while the reader had caught up
   */
  reader(from: Position | undefined, onFrames: () => void): LogReader;
  /** Nobody needs what lies before: its room is given back. Never goes backwards. */
  trim(before: Position): void;
  /** The log's time, milliseconds since the epoch: it never falls, and no later frame enters at an earlier one. */
  now(): number;
  /** Of the oldest frame that is kept. */
  readonly first: Position;
  /** Behind the newest frame that was appended. */
  readonly head: Position;
  /** Bytes that are kept at and behind a position, without the gaps. */
  bytesFrom(position: Position): number;
  readonly status: LogStatus;
  /** Everything appended so far is safe at the level it asked for. */
  flush(): Promise<void>;
  close(): Promise<void>;
}
