import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { sectionFromData } from '../../engine/config/section.ts';
import { timeFormatter } from '../../engine/time-format.ts';
import { text } from '../../engine/units.ts';
import { checkZone, timeFields, timeOptions } from './common.ts';

const TIME_FORMAT = '%Y-%m-%d %H:%M:%S.%9N %z';

export const stdoutFormatter = defineFormatter({
  name: 'stdout',
  summary: "Writes time, tag and record in a line, as Fluentd's stdout does.",
  config: z.object({
    ...timeFields,
    time_format: text().default(TIME_FORMAT).describe('Format of the time, as in strftime'),
    output_type: text().default('json').describe('Formatter of the record: json, hash or another one that needs no parameters'),
  }),
  examples: [{ title: 'As Fluentd prints', config: '<format>\n  @type stdout\n</format>' }],
  check: (config) => [
    ...checkZone(config),
    ...(config.output_type === 'stdout' ? ['output_type: stdout cannot stand inside of itself'] : []),
  ],
  create(config, ctx) {
    const print = timeFormatter(timeOptions(config));
    const inner = ctx.formatter(sectionFromData('format', { '@type': config.output_type }));
    return {
      format(event, into) {
        into.utf8(`${print(event.seconds, event.nanoseconds)} ${event.tag}: `);
        inner.format(event, into);
      },
    };
  },
});
