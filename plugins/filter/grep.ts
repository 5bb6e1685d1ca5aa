import * as z from 'zod';
import { defineFilter, type EventView } from '../../engine/component.ts';
import type { Field } from '../../engine/events/field.ts';
import { rubyText } from '../../engine/ruby-values.ts';
import { parseRegexp, regexp, sections, text } from '../../engine/units.ts';
import { accessor, accessorField } from './accessor.ts';

/** `regexp1` to `regexp20`: the old spelling, which Fluentd still reads. */
const MAX_NUMBERED = 20;
const NUMBERS = Array.from({ length: MAX_NUMBERED }, (_, n) => n + 1);

const expression = z.object({
  key: accessor().describe('Field whose value is looked at'),
  pattern: regexp()
    .describe('Regular expression that the value is held against')
    .meta({ examples: ['/^5\\d\\d$/'] }),
});
const group = z.object({
  regexp: sections(expression).describe('Expressions that must match'),
  exclude: sections(expression).describe('Expressions that must not match'),
});
const numbered = (name: string, what: string): Record<string, z.ZodOptional<ReturnType<typeof text>>> =>
  Object.fromEntries(
    NUMBERS.map((n) => [`${name}${n}`, text().optional().describe(`Key and expression that ${what}, old spelling`)]),
  );

const config = z.object({
  regexp: sections(expression).describe('Expressions that must all match'),
  exclude: sections(expression).describe('Expressions of which none may match'),
  and: sections(group).describe('Expressions that count when all of them match'),
  or: sections(group).describe('Expressions that count when one of them matches'),
  ...numbered('regexp', 'must match'),
  ...numbered('exclude', 'must not match'),
});
type Config = z.output<typeof config>;

interface Expression {
  readonly key: Field;
  readonly pattern: RegExp;
}
interface Conditions {
  readonly all: Expression[];
  readonly any: Expression[];
  readonly notAll: Expression[];
  readonly notAny: Expression[];
}

export const grepFilter = defineFilter({
  name: 'grep',
  summary: 'Keeps or drops events by regular expressions on their fields.',
  config,
  examples: [
    {
      title: 'Server errors only, but not those of the health check',
      config: [
        '<filter app.**>',
        '  @type grep',
        '  <regexp>',
        '    key code',
        '    pattern /^5\\d\\d$/',
        '  </regexp>',
        '  <exclude>',
        '    key path',
        '    pattern /^\\/health/',
        '  </exclude>',
        '</filter>',
      ].join('\n'),
    },
  ],
  check: (parsed) => collect(parsed).problems,
  create(parsed) {
    const { all, any, notAll, notAny } = collect(parsed).conditions;
    const keeps = (event: EventView): boolean =>
      everyMatches(event, all) &&
      (any.length === 0 || someMatches(event, any)) &&
      (notAll.length === 0 || !everyMatches(event, notAll)) &&
      !someMatches(event, notAny);
    return {
      reads: [...all, ...any, ...notAll, ...notAny].map(({ key }) => key),
      process(event) {
        if (!keeps(event)) event.drop('filtered');
      },
    };
  },
});

/** A missing field is the empty text; maps and lists appear as Ruby prints them. */
function matches(event: EventView, { key, pattern }: Expression): boolean {
  return pattern.test(event.str(key) ?? rubyText(event.value(key)));
}

// Loops, because closures over the event would be made anew for each one.
function everyMatches(event: EventView, expressions: readonly Expression[]): boolean {
  for (const one of expressions) if (!matches(event, one)) return false;
  return true;
}

function someMatches(event: EventView, expressions: readonly Expression[]): boolean {
  for (const one of expressions) if (matches(event, one)) return true;
  return false;
}

/** Outside of a group, all of `regexp` must match and none of `exclude` may. */
function collect(parsed: Config): { conditions: Conditions; problems: string[] } {
  const problems: string[] = [];
  const conditions: Conditions = { all: [], any: [], notAll: [], notAny: [] };
  const add = (to: keyof Conditions, found: readonly Expression[], where: string): void => {
    for (const one of found) {
      if (conditions[to].some(({ key }) => key.text === one.key.text))
        problems.push(`${where}: key ${one.key.text} is given twice`);
      else conditions[to].push(one);
    }
  };
  add('all', readNumbered(parsed, 'regexp', problems), 'regexpN');
  add('notAny', readNumbered(parsed, 'exclude', problems), 'excludeN');
  for (const [name, wanted, unwanted] of [
    ['and', 'all', 'notAll'],
    ['or', 'any', 'notAny'],
  ] as const) {
    for (const one of parsed[name]) {
      if (one.regexp.length > 0 && one.exclude.length > 0)
        problems.push(`<${name}>: holds either <regexp> or <exclude>, not both`);
      if (one.regexp.length + one.exclude.length === 0) problems.push(`<${name}>: needs <regexp> or <exclude>`);
      add(wanted, one.regexp, `<${name}>`);
      add(unwanted, one.exclude, `<${name}>`);
    }
  }
  add('all', parsed.regexp, '<regexp>');
  add('notAny', parsed.exclude, '<exclude>');
  return { conditions, problems };
}

function readNumbered(parsed: Config, name: 'regexp' | 'exclude', problems: string[]): Expression[] {
  return NUMBERS.flatMap((n) => {
    const value = (parsed as Readonly<Record<string, unknown>>)[`${name}${n}`];
    if (typeof value !== 'string') return [];
    const blank = value.indexOf(' ');
    const key = accessorField(blank < 0 ? value : value.slice(0, blank));
    const pattern = blank < 0 ? 'expected a key, a blank and an expression' : parseRegexp(value.slice(blank + 1));
    if (typeof pattern === 'string') problems.push(`${name}${n}: ${pattern}`);
    else if (typeof key === 'string') problems.push(`${name}${n}: ${key}`);
    else return [{ key, pattern }];
    return [];
  });
}
