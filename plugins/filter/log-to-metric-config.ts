import * as z from 'zod';
import { attributes, bool, duration, float, integer, list, oneOf, regexp, sections, text } from '../../engine/units.ts';

const metric = z.object({
  name: text()
    .optional()
    .describe('Name of the metric; `${tag}`, `${tag_parts[1]}`, `${status}`, `${record["status"]}` stand for values'),
  type: oneOf(['count', 'timer', 'gauge', 'set', 'timing', 'increment', 'decrement'])
    .optional()
    .describe('Kind of the metric; `timing` is `timer`, `increment` and `decrement` count by one; default `count`'),
  value_key: text().optional().describe('Field that holds the value; a count without it counts events'),
  scale: float().default(1).describe('Factor for the values: 1000 makes milliseconds of seconds'),
  if_key: text().optional().describe('Field that must be there for an event to count'),
  if_pattern: regexp().optional().describe('Pattern that the field of `if_key` must match'),
  tags: attributes().optional().describe('Tags of the metric; values may have the placeholders of names'),
  statsd_type: text().optional().describe('As `type`, for configurations of fluent-plugin-statsd'),
  statsd_key: text().optional().describe('As `name`'),
  statsd_val: text()
    .optional()
    .describe('Number, or `${record["key"]}`, which may be followed by `* 1000` or `/ 1000` inside the braces'),
  statsd_rate: text().optional().describe('Sample rate; accepted, but every event is counted'),
});
export type MetricConfig = z.output<typeof metric>;

export const logToMetricConfig = z.object({
  tag: text().default('metrics.log').describe('Tag of the metric events'),
  flush_interval: duration({ min: 1000 }).default(10_000).describe('Length of an interval; intervals start at its multiples'),
  prefix: text().default('').describe('Text in front of every name, with a dot'),
  percent_threshold: list(float({ min: -100, max: 100 }))
    .prefault('90')
    .describe('Percentiles of timers; below 0 the highest values: -10 is the upper tenth'),
  calculated_timer_metrics: list()
    .optional()
    .describe('Statistics of timers to keep, such as `mean` or `upper_percent`; default: all'),
  max_series: integer({ min: 1, max: 1_000_000 })
    .default(10_000)
    .describe('Series of each worker; further ones are counted together, with `_other` for every placeholder'),
  timing_scale: float().default(1).describe('Factor for `statsd_timing`, when there is no <metric>'),
  keep_dots: bool().default(false).describe('Dots in values that become part of a name stay and make further levels'),
  metric: sections(metric).describe(
    'Metric to derive; without any the fields `statsd_type` and `statsd_key` of each event say what it counts',
  ),
});
export type LogToMetricConfig = z.output<typeof logToMetricConfig>;
