import { isUtf8 } from 'node:buffer';
import * as z from 'zod';
import { defineFilter, type EventView } from '../../engine/component.ts';
import { paramText } from '../../engine/config/section.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { EntryWriter } from '../../engine/events/entry-writer.ts';
import { field } from '../../engine/events/field.ts';
import { EventTimeValue, MsgpackReader } from '../../engine/events/msgpack.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { bool, rawSection, text } from '../../engine/units.ts';
import { accessor } from './accessor.ts';

const MISSING = 'field to parse is missing';
const NOT_UTF8 = 'not UTF-8';
const SEVERAL = 'a list of several maps';

export const parserFilter = defineFilter({
  name: 'parser',
  summary: 'Reads the text of one field by a parser and puts the result in place of the event, or into it.',
  config: z.object({
    key_name: accessor().describe('Field whose text is read'),
    reserve_data: bool().default(false).describe('Whether the other fields stay'),
    reserve_time: bool().default(false).describe('Whether the event keeps its time'),
    remove_key_name_field: bool().default(false).describe('Whether the field that was read is removed'),
    inject_key_prefix: text().optional().describe('Text put before each key that was read'),
    hash_value_field: text().optional().describe('Field that takes all that was read as one map'),
    replace_invalid_sequence: bool().default(false).describe('Whether bytes that are not UTF-8 are replaced by ?'),
    emit_invalid_record_to_error: bool().default(true).describe('Whether events that cannot be read go to @ERROR'),
    parse: rawSection().describe('Parser'),
  }),
  examples: [
    {
      title: 'JSON inside of a field',
      config: [
        '<filter docker.**>',
        '  @type parser',
        '  key_name log',
        '  reserve_data true',
        '  <parse>',
        '    @type json',
        '  </parse>',
        '</filter>',
      ].join('\n'),
    },
  ],
  create(config, ctx) {
    const parser = ctx.parser(config.parse);
    const scratch = new EntryWriter(4096);
    const { key_name: source, reserve_data: keepsData, hash_value_field: holder, inject_key_prefix: prefix = '' } = config;
    // Without a time of its own the parsed event is of now, as in Fluentd; `estimate_current_event false` keeps the event's.
    const isNow = paramText(config.parse, 'estimate_current_event') !== 'false';
    const holderField = holder === undefined ? undefined : field([holder]);

    /** @returns the reason of a failure; `scratch` holds the entries otherwise */
    const read = (event: EventView): string | undefined => {
      scratch.out.reset();
      scratch.count = 0;
      if (isNow && !config.reserve_time) scratch.defaultTimeMs(ctx.clock.now());
      else scratch.defaultTime(event.seconds, event.nanoseconds);
      let bytes: Uint8Array;
      let [from, to] = [0, 0];
      if (event.locate(source)) ({ bytes, from, to } = event);
      else {
        const value = event.value(source);
        if (value === undefined || value === null) return MISSING;
        bytes = Buffer.from(rubyText(value), 'utf8');
        to = bytes.length;
      }
      if (!isUtf8(bytes.subarray(from, to))) {
        if (!config.replace_invalid_sequence) return NOT_UTF8;
        bytes = Buffer.from(Buffer.from(bytes.subarray(from, to)).toString('utf8').replaceAll('\uFFFD', '?'), 'utf8');
        [from, to] = [0, bytes.length];
      }
      const failure = parser.parse(bytes, from, to, scratch);
      // TODO(when a filter can split an event in place): one event per map, as Fluentd does since 1.17.
      return failure ?? (scratch.count > 1 ? SEVERAL : undefined);
    };

    const fail = (event: EventView, failure: string): void => {
      if (config.emit_invalid_record_to_error) event.emit(event.tag, event.toObject(), '@ERROR');
      if (!keepsData) event.drop(failure);
      else if (holderField !== undefined) event.set(holderField, {});
    };

    return {
      reads: [source],
      process(event) {
        const failure = read(event);
        if (failure !== undefined) return fail(event, failure);
        const [time, parsed] = new MsgpackReader(scratch.out.bytes, 0, scratch.out.length).read() as [unknown, Fields];
        if (keepsData && config.remove_key_name_field) event.delete(source);
        const values = prefix === '' ? parsed : prefixed(parsed, prefix);
        if (!keepsData) event.replace(holder === undefined ? values : Object.fromEntries([[holder, values]]));
        else if (holderField !== undefined) event.set(holderField, values);
        else for (const key of Object.keys(values)) event.set(field([key]), values[key]);
        if (!config.reserve_time && time instanceof EventTimeValue) event.setTime(time.seconds, time.nanoseconds);
      },
    };
  },
});

function prefixed(values: Fields, prefix: string): Fields {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [prefix + key, value]));
}
