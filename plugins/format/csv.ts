import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { bool, list, text } from '../../engine/units.ts';
import { END, checkKeys, fieldsOf, lineFields, namedDelimiter } from './common.ts';

export const csvFormatter = defineFormatter({
  name: 'csv',
  summary: 'Writes chosen fields as a line of values between commas, in quotes (RFC 4180).',
  config: z.object({
    fields: list(text())
      .describe('Fields, in order; $.a.b reaches into maps')
      .meta({ examples: ['time,host,$.user.id'] }),
    delimiter: text().default(',').describe('Text between the values; TAB, SPACE and COMMA are understood'),
    force_quotes: bool().default(true).describe('Whether every value is put in quotes; otherwise those that need them'),
    ...lineFields,
  }),
  examples: [{ title: 'Two columns', config: '<format>\n  @type csv\n  fields host,message\n</format>' }],
  check: (config) => checkKeys('fields', config.fields),
  create(config) {
    const fields = fieldsOf(config.fields);
    const delimiter = namedDelimiter(config.delimiter, ',');
    const end = config.add_newline ? END[config.newline] : '';
    const print = (value: unknown): string => {
      if (!config.force_quotes && (value === null || value === undefined)) return '';
      const content = rubyText(value);
      const isQuoted = config.force_quotes || content === '' || /^\s|["\r\n]/.test(content) || content.includes(delimiter);
      return isQuoted ? `"${content.replaceAll('"', '""')}"` : content;
    };
    return {
      format(event, into) {
        for (let n = 0; n < fields.length; n++) {
          if (n > 0) into.utf8(delimiter);
          into.utf8(print(event.value(fields[n] as (typeof fields)[number])));
        }
        into.latin1(end);
      },
    };
  },
});
