import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { text } from '../../engine/units.ts';
import { lineEnd, lineFields } from './common.ts';

export const ltsvFormatter = defineFormatter({
  name: 'ltsv',
  summary: 'Writes all fields as pairs of label and value between tabs.',
  config: z.object({
    delimiter: text().default('\t').describe('Text between the pairs'),
    label_delimiter: text().default(':').describe('Text between label and value'),
    replacement: text().default(' ').describe('Text in place of the delimiter inside of values'),
    ...lineFields,
  }),
  examples: [{ title: 'key=value words', config: '<format>\n  @type ltsv\n  delimiter " "\n  label_delimiter =\n</format>' }],
  check: (config) => (config.delimiter === '' ? ['delimiter: must not be empty'] : []),
  create(config) {
    const end = lineEnd(config);
    return {
      format(event, into) {
        let isFirst = true;
        for (const [label, value] of Object.entries(event.toObject())) {
          if (!isFirst) into.utf8(config.delimiter);
          isFirst = false;
          into.utf8(label);
          into.utf8(config.label_delimiter);
          into.utf8(rubyText(value).replaceAll(config.delimiter, config.replacement));
        }
        into.latin1(end);
      },
    };
  },
});
