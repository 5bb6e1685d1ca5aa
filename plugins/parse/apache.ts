import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { regexp, text } from '../../engine/units.ts';
import { checkGroups, parseByRegexp } from './by-regexp.ts';
import { checkRules, makeRules, ruleFields } from './rules.ts';

const APACHE =
  /(?<![^\n])(?<host>[^ ]*) [^ ]* (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>[^ \t\r\n\f\v]+)(?: +(?<path>[^ ]*) +[^ \t\r\n\f\v]*)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^"]*)" "(?<agent>[^"]*)")?(?![^\n])/;

export const apacheParser = defineParser({
  name: 'apache',
  summary: 'Reads the access log of Apache with every field as text; apache2 gives numbers and knows escapes.',
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Group that holds the time; it is taken out of the record'),
    time_format: text().default('%d/%b/%Y:%H:%M:%S %z').describe('Format of the time, as in strptime'),
    expression: regexp().optional().describe('Regular expression with named groups, when the log has another form'),
  }),
  examples: [{ title: 'Access log', config: '<parse>\n  @type apache\n</parse>' }],
  check: (config) => [...checkRules(config), ...(config.expression === undefined ? [] : checkGroups(config.expression))],
  create: (config) => parseByRegexp(config.expression ?? APACHE, makeRules(config)),
});
