/** What formatters share: the line end, and fields as text. */
import type { EventView } from '../../engine/component.ts';
import type { ByteWriter } from '../../engine/events/byte-writer.ts';
import type { Field } from '../../engine/events/field.ts';
import { field } from '../../engine/events/field.ts';
import { parseAccessor } from '../../engine/events/record-accessor.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { isTimezone, type TimeOptions } from '../../engine/time-format.ts';
import { bool, oneOf, text } from '../../engine/units.ts';

/** Parameters of every formatter that writes lines. */
export const lineFields = {
  add_newline: bool().default(true).describe('Whether a line end follows each event'),
  newline: oneOf(['lf', 'crlf']).default('lf').describe('Line end'),
};

export const lineEnd = (config: { readonly add_newline: boolean; readonly newline: 'lf' | 'crlf' }): string =>
  config.add_newline ? END[config.newline] : '';
export const END = { lf: '\n', crlf: '\r\n' } as const;

/** Parameters of every formatter that prints a time. */
export const timeFields = {
  time_format: text().optional().describe('Format of the time, as in strftime; without it ISO 8601'),
  time_type: oneOf(['string', 'unixtime', 'float']).default('string').describe('Kind of the time: text, or seconds as a number'),
  localtime: bool().default(true).describe('Zone of the time: that of this machine'),
  utc: bool().default(false).describe('Zone of the time: UTC'),
  timezone: text()
    .optional()
    .describe('Zone of the time')
    .meta({ examples: ['Asia/Shanghai', '+08:00'] }),
};

export const timeOptions = (config: {
  readonly time_type: 'string' | 'unixtime' | 'float';
  readonly time_format?: string | undefined;
  readonly localtime: boolean;
  readonly utc: boolean;
  readonly timezone?: string | undefined;
}): TimeOptions => ({
  type: config.time_type,
  format: config.time_format,
  localtime: config.localtime,
  utc: config.utc,
  timezone: config.timezone,
});

export const checkZone = ({ timezone }: { readonly timezone?: string | undefined }): string[] =>
  timezone === undefined || isTimezone(timezone) ? [] : [`timezone: unknown zone ${timezone}`];

/** A text between values that may be called by a name, as configurations cannot show a tab. */
export function namedDelimiter(delimiter: string, fallback: string): string {
  if (/^space$/i.test(delimiter)) return ' ';
  if (/^comma$/i.test(delimiter)) return ',';
  if (/^tab$/i.test(delimiter)) return '\t';
  return delimiter === '' ? fallback : delimiter;
}

/** Keys as fields: plain names, or paths such as $.user.id. */
export const fieldsOf = (keys: readonly string[]): Field[] =>
  keys.map((key) => {
    const accessor = parseAccessor(key);
    return typeof accessor === 'object' && 'error' in accessor
      ? field([key])
      : field(typeof accessor === 'string' ? [accessor] : accessor);
  });

export function checkKeys(name: string, keys: readonly string[]): string[] {
  if (keys.length === 0) return [`${name}: names no field`];
  return keys.flatMap((key) => {
    const accessor = parseAccessor(key);
    return typeof accessor === 'object' && 'error' in accessor ? [`${name}: ${accessor.error}`] : [];
  });
}

/** A field as Ruby's to_s has it; what is not there is empty. */
export function writeText(event: EventView, one: Field, into: ByteWriter): void {
  if (event.locate(one)) into.raw(event.bytes, event.from, event.to);
  else into.utf8(rubyText(event.value(one)));
}
