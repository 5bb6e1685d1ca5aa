import { Samples } from '../../engine/metrics/samples.ts';
import { binLimit, timerStats } from '../../engine/metrics/timer-stats.ts';
import { statsd } from '../../collectors/statsd/statsd.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { sameNumbers } from './numbers.ts';

interface Input {
  readonly timers: Readonly<Record<string, readonly number[]>>;
  readonly timer_counters: Readonly<Record<string, number>>;
  readonly flush_interval_ms: number;
  readonly percent_threshold: readonly number[];
  readonly counters?: Readonly<Record<string, number>>;
  readonly histogram?: readonly { readonly metric: string; readonly bins: readonly (number | string)[] }[];
  readonly calculated_timer_metrics?: unknown;
}

interface Case {
  readonly id: string;
  readonly input: Input;
  readonly expect?: unknown;
  readonly recommended?: unknown;
  readonly must?: string;
}

function run(input: Input): unknown {
  if (!statsd.config.safeParse({ percent_threshold: input.percent_threshold }).success) return { config_error: true };
  const names = input.calculated_timer_metrics;
  const keep = Array.isArray(names) && names.length > 0 ? new Set(names as string[]) : undefined;
  const histogram = (input.histogram ?? []).map((rule) => ({
    metric: rule.metric,
    bins: rule.bins.map((bin) => binLimit(String(bin))),
  }));
  const options = { intervalMs: input.flush_interval_ms, percentThreshold: input.percent_threshold, histogram, keep };
  const timerData = Object.entries(input.timers).map(([name, values]) => {
    const samples = new Samples({ exact: 1e6, budget: { left: 1e6 } });
    const weight = (input.timer_counters[name] ?? 0) / values.length;
    for (const value of values) samples.add(value, weight);
    return [name, statsOf(name, samples, options)];
  });
  const rates = Object.entries(input.counters ?? {}).map(([name, value]) => [name, value / (input.flush_interval_ms / 1000)]);
  return { counter_rates: Object.fromEntries(rates) as unknown, timer_data: Object.fromEntries(timerData) as unknown };
}

function statsOf(name: string, samples: Samples, options: Parameters<typeof timerStats>[2]): Record<string, unknown> {
  const stats = new Map<string, unknown>();
  const bins = new Map<string, number>();
  timerStats(name, samples.count === 0 ? undefined : samples.ranked(), options, (stat, value) => {
    if (stat.startsWith('histogram.')) bins.set(stat.slice('histogram.'.length), value);
    else stats.set(stat, value);
  });
  if (bins.size > 0) stats.set('histogram', Object.fromEntries(bins));
  return Object.fromEntries(stats);
}

export const adapter: VectorAdapter = {
  *run({ json }): Generator<CaseResult> {
    for (const { id, input, expect, recommended, must } of json['cases'] as readonly Case[]) {
      const got = run(input);
      const wanted = (must === 'recommended' ? [recommended] : [expect, recommended]).filter((want) => want !== undefined);
      const isRight = wanted.some((want) => sameNumbers(got, want));
      yield { id, difference: isRight ? undefined : `want ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}` };
    }
  },
};
