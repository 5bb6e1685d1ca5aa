import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { regexp, text } from '../../engine/units.ts';
import { checkGroups, parseByRegexp } from './by-regexp.ts';
import { checkRules, makeRules, ruleFields } from './rules.ts';

/** Fluentd's expression; the weekday is passed over. `\n` and the end of the text are where lines end in Ruby. */
const APACHE_ERROR =
  /(?<![^\n])\[[^ ]* (?<time>[^\]]*)\] \[(?<level>[^\]]*)\](?: \[pid (?<pid>[^\]]*)\])?(?: \[client (?<client>[^\]]*)\])? (?<message>[^\n]*)(?![^\n])/;

export const apacheErrorParser = defineParser({
  name: 'apache_error',
  summary: 'Reads the error log of Apache: level, pid, client and message.',
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Group that holds the time; it is taken out of the record'),
    expression: regexp().optional().describe('Regular expression with named groups, when the log has another form'),
  }),
  examples: [{ title: 'Error log', config: '<parse>\n  @type apache_error\n</parse>' }],
  check: (config) => [...checkRules(config), ...(config.expression === undefined ? [] : checkGroups(config.expression))],
  create: (config, ctx) =>
    parseByRegexp(
      config.expression ?? APACHE_ERROR,
      makeRules(config, () => ctx.clock.now()),
    ),
});
