/**
 * Quantiles in bounded memory with a bounded relative error (DDSketch): value v goes to the bin
 * ceil(log(v) / log(gamma)), so the middle of a bin is at most `RELATIVE_ERROR` away from every value in it.
 *
 * @see https://arxiv.org/abs/1908.10693
 */
export const RELATIVE_ERROR = 0.005;
const GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR);
const LOG_GAMMA = Math.log(GAMMA);
/**
 * Magnitudes outside of this range count as its ends, which bounds the bins: ln(1e24) / ln(gamma) = 5,527 for each sign.
 */
const SMALLEST = 1e-9;
const LARGEST = 1e15;

/** A run of values that share one bin. */
export interface Bin {
  readonly value: number;
  readonly count: number;
}

/** Survives structured cloning: bin numbers and their counts, alternating. */
export interface SketchData {
  readonly positive: Float64Array;
  readonly negative: Float64Array;
  readonly zero: number;
}

export class Sketch {
  readonly #positive = new Map<number, number>();
  readonly #negative = new Map<number, number>();
  #zero = 0;

  add(value: number, count = 1): void {
    const size = Math.abs(value);
    if (size < SMALLEST) {
      this.#zero += count;
      return;
    }
    const bins = value > 0 ? this.#positive : this.#negative;
    const bin = Math.ceil(Math.log(Math.min(size, LARGEST)) / LOG_GAMMA);
    bins.set(bin, (bins.get(bin) ?? 0) + count);
  }

  merge(data: SketchData): void {
    addAll(this.#positive, data.positive);
    addAll(this.#negative, data.negative);
    this.#zero += data.zero;
  }

  data(): SketchData {
    return { positive: flat(this.#positive), negative: flat(this.#negative), zero: this.#zero };
  }

  /** All bins, ascending. */
  bins(): Bin[] {
    const middle = (bin: number): number => (2 * GAMMA ** bin) / (GAMMA + 1);
    const below = [...this.#negative].map(([bin, count]) => ({ value: -middle(bin), count }));
    const above = [...this.#positive].map(([bin, count]) => ({ value: middle(bin), count }));
    const zero = this.#zero > 0 ? [{ value: 0, count: this.#zero }] : [];
    return [...below, ...zero, ...above].sort((a, b) => a.value - b.value);
  }
}

function addAll(bins: Map<number, number>, pairs: Float64Array): void {
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const bin = pairs[at] as number;
    bins.set(bin, (bins.get(bin) ?? 0) + (pairs[at + 1] as number));
  }
}

function flat(bins: ReadonlyMap<number, number>): Float64Array {
  const pairs = new Float64Array(bins.size * 2);
  let at = 0;
  for (const [bin, count] of bins) {
    pairs[at++] = bin;
    pairs[at++] = count;
  }
  return pairs;
}
