import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { text } from '../../engine/units.ts';
import { checkKeys, fieldsOf, lineEnd, lineFields, writeText } from './common.ts';

export const singleValueFormatter = defineFormatter({
  name: 'single_value',
  summary: 'Writes one field of each event as a line: the log as it was.',
  config: z.object({
    message_key: text().default('message').describe('Field'),
    ...lineFields,
  }),
  examples: [{ title: 'The field log', config: '<format>\n  @type single_value\n  message_key log\n</format>' }],
  check: (config) => checkKeys('message_key', [config.message_key]),
  create(config) {
    const fields = fieldsOf([config.message_key]);
    const end = lineEnd(config);
    return {
      format(event, into) {
        writeText(event, fields[0] as (typeof fields)[number], into);
        into.latin1(end);
      },
    };
  },
});
