import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import { bool, parseRegexp, text } from '../../engine/units.ts';
import { groupNames, writeGroups } from './by-regexp.ts';
import { FAILURE, checkRules, makeRules, ruleFields, textOf } from './rules.ts';

const MAX_FORMATS = 20;
const NAMES = Array.from({ length: MAX_FORMATS }, (_, n) => `format${n + 1}`);
const formatFields = Object.fromEntries(
  NAMES.map((name, n) => [
    name,
    text()
      .optional()
      .describe(
        n === 0
          ? 'Regular expression between slashes, with named groups'
          : `Regular expression that goes on where format${n} ends`,
      ),
  ]),
);

type Config = Readonly<Record<string, unknown>>;

export const multilineParser = defineParser({
  name: 'multiline',
  summary: 'Reads events of several lines: the formats, put together, are one regular expression over all of them.',
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Group that holds the time; it is taken out of the record'),
    format_firstline: text()
      .optional()
      .describe('Regular expression of the first line of an event, for tail: lines that do not match belong to the event before')
      .meta({ examples: ['/^\\d{4}-\\d\\d-\\d\\d/'] }),
    unmatched_lines: bool()
      .default(false)
      .describe('Whether what is left of the text becomes an event with the field unmatched_line'),
    ...formatFields,
  }),
  examples: [
    {
      title: 'Java stack traces',
      config: [
        '<parse>',
        '  @type multiline',
        '  format_firstline /^\\d{4}-\\d\\d-\\d\\d/',
        '  format1 /^(?<time>\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d) \\[(?<thread>[^\\]]*)\\] (?<level>\\w+) (?<message>.*)/',
        '  time_format %Y-%m-%d %H:%M:%S',
        '</parse>',
      ].join('\n'),
    },
  ],
  check: (config) => {
    const expression = expressionOf(config);
    const first = firstLineOf(config);
    return [
      ...checkRules(config),
      ...(typeof expression === 'string' ? [expression] : []),
      ...(typeof first === 'string' ? [first] : []),
    ];
  },
  create(config, ctx) {
    const expression = expressionOf(config);
    if (typeof expression === 'string') throw new MillraceError('MR_CONFIG', expression);
    const first = firstLineOf(config);
    if (typeof first === 'string') throw new MillraceError('MR_CONFIG', first);
    const rules = makeRules(config, () => ctx.clock.now());
    const names = groupNames(expression);
    return {
      parse(bytes, start, end, into) {
        let rest = textOf(bytes, start, end);
        let found = expression.exec(rest);
        if (!config.unmatched_lines) {
          if (found === null) return FAILURE.pattern;
          return writeGroups(found.groups ?? {}, names, rules, into);
        }
        while (found !== null) {
          const failure = writeGroups(found.groups ?? {}, names, rules, into);
          if (failure !== undefined) return failure;
          // An expression that matches nothing would match it for ever.
          if (found[0] === '') return undefined;
          rest = rest.slice(found.index + found[0].length).replace(/^\n/, '');
          if (rest === '') return undefined;
          found = expression.exec(rest);
        }
        into.begin();
        into.keyName('unmatched_line');
        into.text(rest);
        into.commit();
        return undefined;
      },
    };
  },
});

/** All formats as one expression, or what is wrong with them. */
function expressionOf(config: Config): RegExp | string {
  const formats = NAMES.map((name) => config[name] as string | undefined);
  const count = formats.findLastIndex((format) => format !== undefined) + 1;
  if (count === 0) return 'format1: is required';
  let source = '';
  for (let n = 0; n < count; n++) {
    const format = formats[n];
    if (format === undefined) return `format${n + 1}: is missing, but there is a format${count}`;
    if (!isBetweenSlashes(format)) return `format${n + 1}: expected a regular expression between slashes`;
    source += format.slice(1, -1);
  }
  const expression = parseRegexp(`/${source}/m`);
  if (typeof expression === 'string') return `format1: ${expression}`;
  return groupNames(expression).length > 0 ? expression : 'format1: no named group such as (?<message>.*)';
}

function firstLineOf(config: Config): RegExp | string | undefined {
  const format = config['format_firstline'] as string | undefined;
  if (format === undefined) return undefined;
  if (!isBetweenSlashes(format)) return 'format_firstline: expected a regular expression between slashes';
  const expression = parseRegexp(format);
  return typeof expression === 'string' ? `format_firstline: ${expression}` : expression;
}

const isBetweenSlashes = (format: string): boolean => format.length > 2 && format.startsWith('/') && format.endsWith('/');
