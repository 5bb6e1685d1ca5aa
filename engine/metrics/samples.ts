import { Sketch, type Bin, type SketchData } from './sketch.ts';

/** Values of one timer in one interval, as the statistics read them. Ranks count from 1, ascending. */
export interface Ranked {
  /** Values kept. */
  readonly count: number;
  /** Values there were before sampling. */
  readonly weight: number;
  readonly min: number;
  readonly max: number;
  /** The value at a rank and the sums over all values up to it. */
  upTo(rank: number): { readonly value: number; readonly sum: number; readonly sumSquares: number };
  /** Sum of the squared distances from `mean`. */
  spread(mean: number): number;
  /** Values below `limit`. */
  below(limit: number): number;
}

/** Exact values shared by all timers of one aggregate: what is left, in values of 8 bytes. */
export interface SampleBudget {
  left: number;
}

export interface SamplesLimits {
  /** Values that are kept exactly; with more, the statistics come from a sketch. */
  readonly exact: number;
  /** When it is used up, timers that have to grow go on in a sketch. */
  readonly budget: SampleBudget;
}

/** Survives structured cloning. */
export interface SamplesData {
  readonly count: number;
  readonly weight: number;
  readonly min: number;
  readonly max: number;
  readonly values?: Float64Array;
  readonly sketch?: SketchData;
}

const FIRST_CAPACITY = 8;

/**
 * The values of one timer: all of them up to a limit, then a sketch whose quantiles and partial sums are within 0.5 %.
 * Count, weight, lower and upper stay exact.
 */
export class Samples {
  #values = new Float64Array(FIRST_CAPACITY);
  #count = 0;
  #weight = 0;
  #min = Infinity;
  #max = -Infinity;
  #sketch: Sketch | undefined;
  readonly #limits: SamplesLimits;

  constructor(limits: SamplesLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#count;
  }

  /** @param weight  how many values this one stands for: 1 / sample rate */
  add(value: number, weight: number): void {
    this.#weight += weight;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
    if (this.#sketch === undefined && this.#count === this.#values.length) this.#grow();
    if (this.#sketch === undefined) this.#values[this.#count] = value;
    else this.#sketch.add(value);
    this.#count++;
  }

  #grow(): void {
    const { exact, budget } = this.#limits;
    const more = Math.min(this.#values.length, exact - this.#values.length);
    if (more <= 0 || more > budget.left) {
      this.#toSketch();
      return;
    }
    budget.left -= more;
    const grown = new Float64Array(this.#values.length + more);
    grown.set(this.#values);
    this.#values = grown;
  }

  #toSketch(): Sketch {
    const sketch = new Sketch();
    for (const value of this.#values.subarray(0, this.#count)) sketch.add(value);
    this.#sketch = sketch;
    this.release();
    return sketch;
  }

  /** Gives the memory of the exact values back to the budget; the statistics must have been read. */
  release(): void {
    this.#limits.budget.left += Math.max(0, this.#values.length - FIRST_CAPACITY);
    this.#values = new Float64Array(0);
  }

  data(): SamplesData {
    const { count, weight, min, max } = { count: this.#count, weight: this.#weight, min: this.#min, max: this.#max };
    if (this.#sketch !== undefined) return { count, weight, min, max, sketch: this.#sketch.data() };
    return { count, weight, min, max, values: this.#values.slice(0, count) };
  }

  merge(data: SamplesData): void {
    if (data.values !== undefined) {
      const weight = this.#weight + data.weight;
      for (const value of data.values) this.add(value, 0);
      this.#weight = weight;
      return;
    }
    (this.#sketch ?? this.#toSketch()).merge(data.sketch as SketchData);
    this.#count += data.count;
    this.#weight += data.weight;
    this.#min = Math.min(this.#min, data.min);
    this.#max = Math.max(this.#max, data.max);
  }

  /** Sorts what is there; do not add afterwards. */
  ranked(): Ranked {
    const head = { count: this.#count, weight: this.#weight, min: this.#min, max: this.#max };
    if (this.#sketch !== undefined) return { ...head, ...rankedBins(this.#sketch.bins(), this.#min, this.#max) };
    return { ...head, ...rankedValues(this.#values.subarray(0, this.#count).sort()) };
  }
}

type Ranks = Pick<Ranked, 'upTo' | 'spread' | 'below'>;

// Sums run over the sorted values in ascending order: upstream's floating point results depend on it.
function rankedValues(values: Float64Array): Ranks {
  return {
    upTo(rank) {
      let sum = 0;
      let sumSquares = 0;
      for (let n = 0; n < rank; n++) {
        const value = values[n] as number;
        sum += value;
        sumSquares += value * value;
      }
      return { value: values[rank - 1] as number, sum, sumSquares };
    },
    spread(mean) {
      let total = 0;
      for (const value of values) total += (value - mean) * (value - mean);
      return total;
    },
    below(limit) {
      let low = 0;
      let high = values.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((values[middle] as number) < limit) low = middle + 1;
        else high = middle;
      }
      return low;
    },
  };
}

function rankedBins(bins: readonly Bin[], min: number, max: number): Ranks {
  const clamp = (value: number): number => Math.min(max, Math.max(min, value));
  return {
    upTo(rank) {
      let sum = 0;
      let sumSquares = 0;
      let left = rank;
      for (const bin of bins) {
        const value = clamp(bin.value);
        const taken = Math.min(left, bin.count);
        sum += value * taken;
        sumSquares += value * value * taken;
        left -= taken;
        if (left <= 0) return { value, sum, sumSquares };
      }
      return { value: max, sum, sumSquares };
    },
    spread: (mean) => bins.reduce((total, bin) => total + (clamp(bin.value) - mean) ** 2 * bin.count, 0),
    below: (limit) => bins.reduce((total, bin) => total + (clamp(bin.value) < limit ? bin.count : 0), 0),
  };
}
