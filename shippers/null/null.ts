import * as z from 'zod';
import { defineOutput } from '../../engine/component.ts';
import { bool } from '../../engine/units.ts';

export const nullOutput = defineOutput({
  name: 'null',
  summary: 'Throws events away; they are counted.',
  config: z.object({
    never_flush: bool().default(false).describe('Whether every delivery fails, to try out what buffers do then'),
  }),
  examples: [{ title: 'Heartbeats are not wanted', config: '<match heartbeat.**>\n  @type null\n</match>' }],
  create: ({ never_flush: neverDelivers }) => ({
    write: () => Promise.resolve(neverDelivers ? { retry: 'all', reason: 'never_flush is set' } : 'delivered'),
  }),
});
