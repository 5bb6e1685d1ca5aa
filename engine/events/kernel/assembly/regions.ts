/** The memory that JavaScript and the kernel share: sized once, it never grows. JavaScript reads the addresses from the exports. */

// Bytes.
export const INPUT_SIZE: u32 = 524_288;
export const OUTPUT_SIZE: u32 = 4_194_304;
/** Events of one call at most. */
export const EVENTS: u32 = 8192;
/** Texts that are the same for many events: the action line up to the id, what follows the id, the key of the time. */
export const LEAD_SIZE: u32 = 256;
export const TRAIL_SIZE: u32 = 768;
export const NAME_SIZE: u32 = 256;

export const INPUT: usize = (__heap_base + 63) & ~63;
// Reads and writes are in blocks of sixteen bytes, and a short text is copied before its end is compared.
const SLACK: usize = 2048;
export const OUTPUT: usize = INPUT + INPUT_SIZE + SLACK;
/** Offset in OUTPUT after each event. */
export const ENDS: usize = OUTPUT + OUTPUT_SIZE + SLACK;
/** The 32 lower bits of the id of each event. */
export const IDS: usize = ENDS + EVENTS * 4;
export const LEAD: usize = IDS + EVENTS * 4;
export const TRAIL: usize = LEAD + LEAD_SIZE + 16;
/** The key of the time as it is compared, and as it is written: a JSON string and a colon. */
export const NAME: usize = TRAIL + TRAIL_SIZE + 16;
export const QUOTED: usize = NAME + NAME_SIZE + 16;
export const TOP: usize = QUOTED + NAME_SIZE * 6 + 16;

// Answers of a walk over entries.
export const DONE: u32 = 0;
/** The entry at `stoppedAt` is left to JavaScript. */
export const LEFT: u32 = 1;
/** The input ends inside the entry at `stoppedAt`. */
export const CUT: u32 = 2;
/** No room for the entry at `stoppedAt`. */
export const FULL: u32 = 3;

/** How far the last walk got: offset in INPUT of the entry it stopped at, entries done, bytes written to OUTPUT. */
export let stoppedAt: u32 = 0;
export let events: u32 = 0;
export let written: u32 = 0;

export function report(at: u32, done: u32, bytes: u32): void {
  stoppedAt = at;
  events = done;
  written = bytes;
}
