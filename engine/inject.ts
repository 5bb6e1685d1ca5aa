/**
 * `<inject>` puts what is known about an event into its record; `<extract>` takes tag and time out of the record.
 * @see https://docs.fluentd.org/configuration/inject-section
 */
import { hostname } from 'node:os';
import * as z from 'zod';
import type { EventView } from './component.ts';
import type { EventTime } from './events/batch.ts';
import { field, type Field } from './events/field.ts';
import { parseAccessor } from './events/record-accessor.ts';
import { rubyText } from './ruby-values.ts';
import { isTimezone, timeFormatter, timeParser } from './time-format.ts';
import { bool, oneOf, text } from './units.ts';

const zoneFields = {
  time_format: text().optional().describe('Format of the time; without it ISO 8601'),
  localtime: bool().default(true).describe('Zone of the time: that of this machine'),
  utc: bool().default(false).describe('Zone of the time: UTC'),
  timezone: text().optional().describe('Zone of the time'),
};

export const injectConfig = z.object({
  hostname_key: text().optional().describe('Field that receives the name of this machine'),
  hostname: text().optional().describe('Name in place of that of this machine'),
  worker_id_key: text().optional().describe('Field that receives the number of the worker'),
  tag_key: text().optional().describe('Field that receives the tag'),
  time_key: text().optional().describe('Field that receives the time'),
  time_type: oneOf(['float', 'unixtime', 'unixtime_millis', 'unixtime_micros', 'unixtime_nanos', 'string'])
    .default('float')
    .describe('Kind of the time: seconds as a number, in other units, or text'),
  ...zoneFields,
});
export type InjectConfig = z.output<typeof injectConfig>;

/** @param workerId  for `worker_id_key` */
export function makeInjector(config: InjectConfig, workerId: number): (event: EventView) => void {
  const { hostname_key, worker_id_key, tag_key, time_key } = config;
  const host = config.hostname ?? hostname();
  const keyOf = (key: string | undefined): Field | undefined => (key === undefined ? undefined : field([key]));
  const [hostKey, workerKey, tagKey, timeKey] = [keyOf(hostname_key), keyOf(worker_id_key), keyOf(tag_key), keyOf(time_key)];
  const timeValue = timePrinter(config);
  return (event) => {
    if (hostKey !== undefined) event.set(hostKey, host);
    if (workerKey !== undefined) event.set(workerKey, workerId);
    if (tagKey !== undefined) event.set(tagKey, event.tag);
    if (timeKey !== undefined) event.set(timeKey, timeValue(event.seconds, event.nanoseconds));
  };
}

function timePrinter(config: InjectConfig): (seconds: number, nanoseconds: number) => unknown {
  switch (config.time_type) {
    case 'float':
      // Fluentd cuts it at microseconds, which is about what a double can hold.
      return (sec, nsec) => Number(`${sec}.${String(Math.floor(nsec / 1000)).padStart(6, '0')}`);
    case 'unixtime':
      return (sec) => sec;
    case 'unixtime_millis':
      return (sec, nsec) => sec * 1000 + Math.floor(nsec / 1e6);
    case 'unixtime_micros':
      return (sec, nsec) => sec * 1e6 + Math.floor(nsec / 1000);
    case 'unixtime_nanos':
      return (sec, nsec) => BigInt(sec) * 1_000_000_000n + BigInt(nsec);
    default: {
      const { time_format: format, localtime, utc, timezone } = config;
      // A zone that nobody knows is UTC there, but not printed as Z.
      const known = timezone === undefined || isTimezone(timezone) ? timezone : '+00:00';
      return timeFormatter({ type: 'string', format, localtime, utc, timezone: known });
    }
  }
}

export const extractConfig = z.object({
  tag_key: text().optional().describe('Field that holds the tag'),
  keep_tag_key: bool().default(false).describe('Whether the field of the tag stays in the record'),
  time_key: text().optional().describe('Field that holds the time'),
  keep_time_key: bool().default(false).describe('Whether the field of the time stays in the record'),
  time_type: oneOf(['float', 'unixtime', 'string']).default('float').describe('Kind of the time: seconds as a number, or text'),
  ...zoneFields,
});
export type ExtractConfig = z.output<typeof extractConfig>;

export interface Extracted {
  readonly tag?: string | undefined;
  readonly time?: EventTime | undefined;
}

/** @returns what takes tag and time out of an event: undefined when the field of the time holds none */
export function makeExtractor(config: ExtractConfig): (event: EventView) => Extracted | undefined {
  const { time_type: type, time_format: format, localtime, utc, timezone } = config;
  const parse = timeParser({ type, format, localtime, utc, timezone });
  const [tagField, timeField] = [fieldAt(config.tag_key), fieldAt(config.time_key)];
  return (event) => {
    const tag = tagField === undefined ? undefined : event.value(tagField);
    const value = timeField === undefined ? undefined : event.value(timeField);
    const time = value === undefined ? undefined : parse(value);
    if (value !== undefined && time === undefined) return undefined;
    if (tag !== undefined && tagField !== undefined && !config.keep_tag_key) event.delete(tagField);
    if (time !== undefined && timeField !== undefined && !config.keep_time_key) event.delete(timeField);
    return { tag: tag === undefined ? undefined : rubyText(tag), time };
  };
}

function fieldAt(key: string | undefined): Field | undefined {
  if (key === undefined) return undefined;
  const accessor = parseAccessor(key);
  return typeof accessor === 'string' || 'error' in accessor ? field([key]) : field(accessor);
}
