import * as z from 'zod';
import { defineOutput } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import { oneOf, rawSections } from '../../engine/units.ts';

export const copy = defineOutput({
  name: 'copy',
  summary: 'Hands every event to each of its stores. All of them share the same bytes.',
  config: z.strictObject({
    copy_mode: oneOf(['no_copy', 'shallow', 'deep', 'marshal'])
      .default('no_copy')
      .describe("Mode of Fluentd; of no consequence here, since events cannot be changed behind a store's back."),
    store: rawSections().describe('Outputs, a `<store>` section each.'),
  }),
  examples: [
    {
      title: 'To a terminal and to a file',
      config:
        '<match **>\n  @type copy\n  <store>\n    @type stdout\n  </store>\n  <store>\n    @type file\n    path events\n  </store>\n</match>',
    },
  ],
  create: () => {
    throw new MillraceError('MR_INTERNAL', 'copy is carried out by the router');
  },
});
