import * as z from 'zod';
import { defineOutput } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';

export const relabel = defineOutput({
  name: 'relabel',
  summary: 'Sends events on to the section of the label named by @label.',
  config: z.strictObject({}),
  examples: [{ title: 'On to another label', config: '<match app.**>\n  @type relabel\n  @label @APP\n</match>' }],
  create: () => {
    throw new MillraceError('MR_INTERNAL', 'relabel is carried out by the router');
  },
});
