/** Randomness from a seed: the same seed gives the same visitors on every machine. Not for secrets. */
export interface Random {
  /** From 0 up to but without 1. */
  next(): number;
  /** A whole number from 0 to `below` - 1. */
  below(below: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** One of the entries, as often as its `weight` says. */
  weighted<T extends { readonly weight: number }>(from: readonly T[]): T;
}

/**
 * The generator sfc32 of Chris Doty-Humphrey: 128 bits of state, passes PractRand, four additions a number.
 *
 * @param seed  any number; its lower 32 bits count
 * @param stream  numbers of different streams do not follow each other, so that one part can change without moving the others
 */
export function makeRandom(seed: number, stream = 0): Random {
  let a = seed | 0;
  let b = stream | 0;
  let c = 0x9e3779b9 | 0;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 4_294_967_296;
  };
  // The first numbers still resemble the seed; 15 rounds mix it into all of the state.
  for (let round = 0; round < 15; round += 1) next();
  return {
    next,
    below: (below) => Math.floor(next() * below),
    chance: (probability) => next() < probability,
    pick: (from) => at(from, Math.floor(next() * from.length)),
    weighted: (from) => {
      let rest = next() * from.reduce((sum, entry) => sum + entry.weight, 0);
      for (const entry of from) {
        rest -= entry.weight;
        if (rest < 0) return entry;
      }
      return at(from, from.length - 1);
    },
  };
}

function at<T>(from: readonly T[], index: number): T {
  const found = from[index];
  if (found === undefined) throw new RangeError('nothing to choose from');
  return found;
}
