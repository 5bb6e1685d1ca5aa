import * as z from 'zod';
import { defineSource } from '../../engine/component.ts';
import { DEFAULT_LIMITS } from '../../engine/metrics/aggregate.ts';
import { binLimit } from '../../engine/metrics/timer-stats.ts';
import { address, bool, duration, integer, list, float, oneOf, port, sections, size, text } from '../../engine/units.ts';
import { StatsdServer } from './server.ts';

const histogram = z.object({
  metric: text().default('').describe('Part of the timer names that this rule is for; the first rule that fits is used'),
  bins: list(text()).describe(
    'Upper limits of the bins, ascending and exclusive; `inf` takes the rest; none switches the histogram off',
  ),
});

const config = z.object({
  bind: address().default('127.0.0.1').describe('Address to listen on'),
  port: port().default(8125).describe('UDP and TCP port'),
  protocol: oneOf(['udp', 'tcp', 'both']).default('udp').describe('Transport to listen on'),
  tag: text().default('metrics.statsd').describe('Tag of the metric events'),
  flush_interval: duration({ min: 100 }).default(10_000).describe('Time between two flushes'),
  percent_threshold: list(float({ min: -100, max: 100 }))
    .prefault('90')
    .describe('Percentiles of timers; below 0 the highest values: -10 is the upper tenth'),
  flush_counts: bool().default(true).describe('Counts beside the rates of counters'),
  delete_idle_stats: bool().default(false).describe('Default of the four parameters below'),
  delete_counters: bool().optional().describe('Counters without a sample are forgotten instead of sent as 0'),
  delete_timers: bool().optional().describe('Timers without a sample are forgotten instead of sent as 0'),
  delete_sets: bool().optional().describe('Sets without a member are forgotten instead of sent as 0'),
  delete_gauges: bool().optional().describe('Gauges without a sample are forgotten instead of sent again'),
  gauges_max_ttl: integer({ min: 1 }).default(1).describe('Flushes after which an idle gauge is forgotten'),
  key_name_sanitize: bool().default(true).describe('Cleaning of names: blanks to `_`, `/` to `-`, other characters dropped'),
  gauge_sign: oneOf(['delta', 'absolute'])
    .default('delta')
    .describe('Meaning of a signed gauge: a change (StatsD) or a value (DogStatsD)'),
  calculated_timer_metrics: list()
    .optional()
    .describe('Statistics of timers to keep, such as `mean`, `count`, `upper_percent`, `histogram`; default: all'),
  histogram: sections(histogram).describe('Rules for histograms of timers'),
  legacy_namespace: bool()
    .default(true)
    .describe("Upstream's old names `stats.x` and `stats_counts.x`; the prefixes below count when this is false"),
  global_prefix: text().default('stats').describe('First part of every name'),
  prefix_counter: text().default('counters').describe('Second part of the names of counters'),
  prefix_timer: text().default('timers').describe('Second part of the names of timers'),
  prefix_gauge: text().default('gauges').describe('Second part of the names of gauges'),
  prefix_set: text().default('sets').describe('Second part of the names of sets'),
  global_suffix: text().default('').describe('Last part of every name'),
  prefix_stats: text().default('statsd').describe("Part of the names of the server's own metrics"),
  receive_buffer_size: size({ min: 4096, max: 1 << 30 })
    .default(4 * 1024 * 1024)
    .describe('Kernel buffer of the UDP socket; net.core.rmem_max bounds it'),
  max_series: integer({ min: 10, max: 10_000_000 })
    .default(DEFAULT_LIMITS.maxSeries)
    .describe('Names kept at a time; samples of further names are refused and counted'),
  max_line: size({ min: 64, max: 65_536 }).default(16_384).describe('Bytes of a line; longer ones count as bad'),
  max_name: size({ min: 16, max: 16_384 }).default(4096).describe('Bytes of a name with its tags; longer ones count as bad'),
  max_connections: integer({ min: 1 }).default(1024).describe('TCP connections at a time'),
  idle_timeout: duration({ min: 1000 }).default(600_000).describe('Time after which a silent TCP connection is closed'),
});
export type StatsdConfig = z.output<typeof config>;

const metrics = {
  packets: { type: 'counter', unit: 'packets', help: 'Datagrams and TCP chunks received' },
  lines: { type: 'counter', unit: 'lines', help: 'Lines received' },
  bad_lines: { type: 'counter', unit: 'samples', help: 'Samples that could not be understood' },
  refused: { type: 'counter', unit: 'samples', help: 'Samples of new names beyond max_series' },
  refused_connections: {
    type: 'counter',
    unit: 'connections',
    help: 'TCP connections closed at once because of max_connections',
  },
  events: { type: 'counter', unit: 'events', help: 'DogStatsD events and service checks, which are left out' },
  series: { type: 'gauge', unit: 'names', help: 'Names kept' },
  kernel_drops: { type: 'counter', unit: 'packets', help: 'Datagrams the kernel dropped because its buffer was full' },
  receive_buffer_bytes: { type: 'gauge', unit: 'bytes', help: 'Kernel buffer that the UDP socket got' },
} as const;
export type StatsdMetrics = typeof metrics;

export const statsd = defineSource({
  name: 'statsd',
  summary: 'Counts, times and gauges sent by StatsD and DogStatsD clients, aggregated in intervals.',
  config,
  metrics,
  workers: 'one',
  examples: [
    { title: 'Receive on the usual port', config: '<source>\n  @type statsd\n  flush_interval 10s\n</source>' },
    {
      title: 'Upstream names of the new kind, three percentiles, idle names forgotten',
      config:
        '<source>\n  @type statsd\n  legacy_namespace false\n  percent_threshold 50,90,99\n  delete_idle_stats true\n  <histogram>\n    metric request\n    bins 10,100,1000,inf\n  </histogram>\n</source>',
    },
  ],
  check(config) {
    const problems: string[] = [];
    if (config.percent_threshold.includes(0)) problems.push('percent_threshold: 0 is no percentile');
    for (const rule of config.histogram) {
      const bins = rule.bins.map(binLimit);
      if (bins.some(Number.isNaN)) problems.push(`histogram: bins are numbers or inf, not ${rule.bins.join(',')}`);
      else if (bins.some((limit, n) => n > 0 && limit <= (bins[n - 1] as number)))
        problems.push(`histogram: bins must rise, not ${rule.bins.join(',')}`);
    }
    return problems;
  },
  create: (config, ctx) => new StatsdServer(config, ctx),
});
