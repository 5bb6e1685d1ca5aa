/** Where a frame stands in a worker's entrance log; with an event's index it gives the event its id. */
export interface Place {
  /** 40 random bits, new whenever a log starts that does not continue an older one. */
  readonly incarnation: bigint;
  /** Creation time of the segment in milliseconds; strictly rising from segment to segment. */
  readonly segment: number;
  /** Byte offset of the frame in its segment; below 2^40. */
  readonly offset: number;
  /** When the frame entered the log, milliseconds since the epoch. A replay sees the same value. */
  readonly enteredMs: number;
}

/**
 * One tag and a run of msgpack entries `[time, record]` in a byte buffer. Immutable once emitted:
 * everybody downstream shares the bytes.
 */
export interface Batch {
  readonly tag: string;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  readonly place?: Place;
  /**
   * Per event `index in the frame << 8 | split ordinal`, when filters dropped, split or re-tagged events.
   * Absent: the n-th event has index n and ordinal 0.
   */
  readonly ids?: Uint32Array;
}

/** A time as events carry it: whole seconds since the epoch and the nanoseconds of that second. */
export interface EventTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

export type Fields = Record<string, unknown>;
