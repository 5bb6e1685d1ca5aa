import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { encodeKey } from '../../engine/events/entry-writer.ts';
import { text } from '../../engine/units.ts';
import { checkRules, makeRules, ruleFields } from './rules.ts';

export const noneParser = defineParser({
  name: 'none',
  summary: 'Takes each line as it is, as one field.',
  config: z.object({
    ...ruleFields,
    message_key: text().default('message').describe('Field that the line is put into'),
  }),
  examples: [{ title: 'Whole lines', config: '<parse>\n  @type none\n  message_key log\n</parse>' }],
  check: checkRules,
  create(config) {
    const key = encodeKey(config.message_key);
    const rules = makeRules(config);
    return {
      parse(bytes, start, end, into) {
        into.begin();
        if (rules.hasConversions) {
          const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end);
          rules.write(into, config.message_key, line);
        } else {
          into.key(key);
          into.utf8(bytes, start, end);
        }
        into.commit();
        return undefined;
      },
    };
  },
});
