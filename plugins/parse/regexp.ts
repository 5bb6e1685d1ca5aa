import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { regexp, text } from '../../engine/units.ts';
import { checkGroups, parseByRegexp } from './by-regexp.ts';
import { checkRules, makeRules, ruleFields } from './rules.ts';

export const regexpParser = defineParser({
  name: 'regexp',
  summary: "Reads each line by a regular expression in Ruby's syntax; named groups become fields.",
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Group that holds the time; it is taken out of the record'),
    expression: regexp()
      .describe('Regular expression with named groups')
      .meta({ examples: ['/^(?<time>\\S+ \\S+) (?<level>\\w+) (?<message>.*)$/'] }),
  }),
  examples: [
    {
      title: 'Date, level and text',
      config: [
        '<parse>',
        '  @type regexp',
        '  expression /^(?<time>\\S+ \\S+) \\[(?<level>\\w+)\\] (?<message>.*)$/',
        '  time_format %Y-%m-%d %H:%M:%S',
        '</parse>',
      ].join('\n'),
    },
  ],
  check: (config) => [...checkRules(config), ...checkGroups(config.expression)],
  create: (config) => parseByRegexp(config.expression, makeRules(config)),
});
