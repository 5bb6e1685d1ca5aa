import type { Ranked } from './samples.ts';

export interface HistogramRule {
  /** Part of a timer's name; the first rule whose text is found in the name is used. */
  readonly metric: string;
  /** Exclusive upper limits, ascending; Infinity is printed as `inf`. None: no histogram. */
  readonly bins: readonly number[];
}

/** A limit as it is written in a configuration; NaN when it is neither a number nor `inf`. */
export function binLimit(bin: string): number {
  if (bin === 'inf') return Infinity;
  return bin.trim() === '' ? Number.NaN : Number(bin);
}

export interface TimerStatsOptions {
  readonly intervalMs: number;
  /** -100 to 100 without 0; below 0 the highest values. */
  readonly percentThreshold: readonly number[];
  readonly histogram: readonly HistogramRule[];
  /** Names of statistics to keep, percentile ones as `mean_percent`; undefined: all. */
  readonly keep: ReadonlySet<string> | undefined;
}

/**
 * The statistics of one timer over one interval, under StatsD's names: `mean`, `upper_90`, `lower_top10`,
 * `histogram.bin_5` ... Count and count_ps are of the time before sampling, the others are of the values that came.
 *
 * @param values  undefined for a timer without values, which has count 0 and count_ps 0 only
 * @param emit  called for each; NaN and infinite sums are left out
 * @see https://github.com/statsd/statsd/blob/master/docs/metric_types.md#timing
 */
export function timerStats(
  name: string,
  values: Ranked | undefined,
  options: TimerStatsOptions,
  emit: (stat: string, value: number) => void,
): void {
  const { keep } = options;
  const put = (stat: string, value: number): void => {
    if (Number.isFinite(value) && (keep === undefined || keep.has(stat))) emit(stat, value);
  };
  if (values === undefined || values.count === 0) {
    put('count_ps', 0);
    put('count', 0);
    return;
  }
  for (const percent of options.percentThreshold) threshold(percent, values, keep, emit);
  const { count, weight } = values;
  const { sum, sumSquares } = values.upTo(count);
  const mean = sum / count;
  put('std', Math.sqrt(values.spread(mean) / count));
  put('upper', values.max);
  put('lower', values.min);
  put('count', weight);
  put('count_ps', weight / (options.intervalMs / 1000));
  put('sum', sum);
  put('sum_squares', sumSquares);
  put('mean', mean);
  const middle = Math.floor(count / 2);
  const upperMiddle = values.upTo(middle + 1).value;
  put('median', count % 2 === 1 ? upperMiddle : (values.upTo(middle).value + upperMiddle) / 2);
  if (keep === undefined || keep.has('histogram')) histogram(name, values, options.histogram, emit);
}

function threshold(
  percent: number,
  values: Ranked,
  keep: ReadonlySet<string> | undefined,
  emit: (stat: string, value: number) => void,
): void {
  const { count } = values;
  const inside = count === 1 ? 1 : Math.round((Math.abs(percent) / 100) * count);
  if (inside === 0) return;
  const suffix = String(percent).replace('.', '_').replace('-', 'top');
  // A fractional threshold cannot be named in the list of statistics to keep; upstream's own limit.
  const isNamed = !suffix.includes('_');
  const put = (stat: string, value: number): void => {
    if (Number.isFinite(value) && (keep === undefined || (isNamed && keep.has(`${stat}_percent`))))
      emit(`${stat}_${suffix}`, value);
  };
  const lower = values.upTo(percent > 0 ? inside : count - inside);
  const all = percent > 0 ? undefined : values.upTo(count);
  const sum = all === undefined ? lower.sum : all.sum - lower.sum;
  const sumSquares = all === undefined ? lower.sumSquares : all.sumSquares - lower.sumSquares;
  put('count', inside);
  put('mean', sum / inside);
  if (percent > 0) put('upper', lower.value);
  else put('lower', values.upTo(count - inside + 1).value);
  put('sum', sum);
  put('sum_squares', sumSquares);
}

function histogram(
  name: string,
  values: Ranked,
  rules: readonly HistogramRule[],
  emit: (stat: string, value: number) => void,
): void {
  const bins = rules.find((rule) => name.includes(rule.metric))?.bins ?? [];
  let before = 0;
  for (const limit of bins) {
    const below = values.below(limit);
    emit(`histogram.bin_${limit === Infinity ? 'inf' : String(limit).replace('.', '_')}`, Math.max(0, below - before));
    before = Math.max(before, below);
  }
}
