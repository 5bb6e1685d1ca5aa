import * as z from 'zod';
import { defineFormatter } from '../../engine/component.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { lineEnd, lineFields } from './common.ts';

export const hashFormatter = defineFormatter({
  name: 'hash',
  summary: 'Writes each record as Ruby shows it: {"a"=>1}. For configurations that have it already.',
  config: z.object(lineFields),
  examples: [{ title: 'As Fluentd has it', config: '<format>\n  @type hash\n</format>' }],
  create(config) {
    const end = lineEnd(config);
    return {
      format(event, into) {
        into.utf8(rubyText(event.toObject()));
        into.latin1(end);
      },
    };
  },
});
