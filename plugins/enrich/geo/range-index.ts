/**
 * Finds the range of an IPv4 address. Only starts are kept: a range ends where the next one starts, and an address that no
 * range holds lies in a range without an entry.
 *
 *     prefixes[65537]  where the starts of each /16 begin      lows[n]  the lower 16 bits of each start
 *
 * A search is one look into `prefixes` and a binary search among the starts of one /16 (13 steps in the densest one of real
 * data); 3.5 MB for half a million ranges, so it stays in the third-level cache.
 */
export interface RangeIndex {
  readonly prefixes: Uint32Array;
  readonly lows: Uint16Array;
  /** What each range stands for; `NO_ENTRY` where there is nothing. */
  readonly values: Uint32Array;
}

export const NO_ENTRY = 0xffffffff;

/** @returns the number of the range, or -1 below the first start */
export function findRange({ prefixes, lows }: RangeIndex, v4: number): number {
  const high = v4 >>> 16;
  const low = v4 & 0xffff;
  let from = prefixes[high]!;
  let to = prefixes[high + 1]!;
  while (from < to) {
    const middle = (from + to) >>> 1;
    if (lows[middle]! <= low) from = middle + 1;
    else to = middle;
  }
  return from - 1;
}

/** @returns the value at an address; `NO_ENTRY` when there is none */
export function valueAt(index: RangeIndex, v4: number): number {
  const range = findRange(index, v4);
  return range < 0 ? NO_ENTRY : index.values[range]!;
}

/** Collects ranges in ascending order. */
export class RangeIndexBuilder {
  readonly #prefixes = new Uint32Array(65_537);
  #lows: Uint16Array<ArrayBuffer>;
  #values: Uint32Array<ArrayBuffer>;
  #count = 0;
  #nextPrefix = 0;
  #nextFree = 0;

  /** @param expected  how many ranges will be added, about; a gap between two takes room as well */
  constructor(expected: number) {
    this.#lows = new Uint16Array(expected + 2);
    this.#values = new Uint32Array(expected + 2);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Adds `[start, end]`. A range may reach into the next one (the later one wins there).
   *
   * @param start  above the start of the range before; unsigned 32 bits like `end`
   */
  add(start: number, end: number, value: number): void {
    if (start > this.#nextFree) this.#push(this.#nextFree, NO_ENTRY);
    this.#push(start, value);
    this.#nextFree = end + 1;
  }

  build(): RangeIndex {
    if (this.#nextFree <= 0xffffffff) this.#push(this.#nextFree, NO_ENTRY);
    while (this.#nextPrefix <= 65_536) this.#prefixes[this.#nextPrefix++] = this.#count;
    return { prefixes: this.#prefixes, lows: this.#lows.slice(0, this.#count), values: this.#values.slice(0, this.#count) };
  }

  #push(start: number, value: number): void {
    // Neighbours with the same value are one range.
    if (this.#count > 0 && this.#values[this.#count - 1] === value) return;
    if (this.#count === this.#lows.length) this.#grow();
    const high = start >>> 16;
    while (this.#nextPrefix <= high) this.#prefixes[this.#nextPrefix++] = this.#count;
    this.#lows[this.#count] = start & 0xffff;
    this.#values[this.#count] = value;
    this.#count++;
  }

  #grow(): void {
    const room = Math.ceil(this.#lows.length * 1.5);
    const lows = new Uint16Array(room);
    const values = new Uint32Array(room);
    lows.set(this.#lows);
    values.set(this.#values);
    this.#lows = lows;
    this.#values = values;
  }
}

/** @returns the first address of every range, in order */
export function startsOf({ prefixes, lows }: RangeIndex): Uint32Array {
  const starts = new Uint32Array(lows.length);
  for (let high = 0; high < 65_536; high++) {
    for (let range = prefixes[high]!; range < prefixes[high + 1]!; range++) starts[range] = high * 65_536 + lows[range]!;
  }
  return starts;
}
