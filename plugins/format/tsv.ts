import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { list, text } from '../../engine/units.ts';
import { checkKeys, fieldsOf, lineEnd, lineFields, writeText } from './common.ts';

export const tsvFormatter = defineFormatter({
  name: 'tsv',
  summary: 'Writes chosen fields as a line of values between tabs, without quotes.',
  config: z.object({
    keys: list(text())
      .describe('Fields, in order')
      .meta({ examples: ['time,host,message'] }),
    delimiter: text().default('\t').describe('Text between the values'),
    ...lineFields,
  }),
  examples: [{ title: 'Two columns', config: '<format>\n  @type tsv\n  keys host,message\n</format>' }],
  check: (config) => checkKeys('keys', config.keys),
  create(config) {
    const fields = fieldsOf(config.keys);
    const end = lineEnd(config);
    return {
      format(event, into) {
        for (let n = 0; n < fields.length; n++) {
          if (n > 0) into.utf8(config.delimiter);
          writeText(event, fields[n] as (typeof fields)[number], into);
        }
        into.latin1(end);
      },
    };
  },
});
