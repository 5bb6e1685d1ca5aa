/** Random numbers that come again with the same seed, for tests that choose at random and must be repeatable. */

export interface Seeded {
  /** From 0 up to, not including, 1. */
  (): number;
  /** A whole number from 0 up to, not including, `bound`. */
  below(bound: number): number;
  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number;
  pick<T>(from: readonly T[]): T;
  /** True with this probability. */
  chance(probability: number): boolean;
}

/** mulberry32: 32 bits of state, a period of 2^32, good enough to choose test cases with. */
export function seeded(seed: number): Seeded {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return Object.assign(next, {
    below,
    between: (low: number, high: number) => low + below(high - low + 1),
    pick: <T>(from: readonly T[]): T => from[below(from.length)] as T,
    chance: (probability: number) => next() < probability,
  });
}
