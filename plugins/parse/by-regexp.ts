/** Reading lines by a regular expression, for the parsers that have one. */
import type { Parser } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import { FAILURE, type Rules } from './rules.ts';

export function checkGroups(expression: RegExp): string[] {
  return groupNames(expression).length > 0 ? [] : ['expression: no named group such as (?<message>.*)'];
}

/** Names of the groups of an expression, in order. */
function groupNames(expression: RegExp): string[] {
  // With an empty alternative the expression always matches, and a match lists all names.
  return Object.keys(new RegExp(`${expression.source}|`, expression.flags).exec('')?.groups ?? {});
}

/** Groups that took no part are left out; empty ones stay. */
export function parseByRegexp(expression: RegExp, rules: Rules): Parser {
  const names = groupNames(expression);
  const [problem] = checkGroups(expression);
  if (problem !== undefined) throw new MillraceError('MR_CONFIG', problem);
  return {
    parse(bytes, start, end, into) {
      const line = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', start, end);
      const groups = expression.exec(line)?.groups;
      if (groups === undefined) return FAILURE.pattern;
      into.begin();
      for (const name of names) {
        const value = groups[name];
        if (value === undefined) continue;
        if (name === rules.timeKey) {
          const time = rules.time(value);
          if (time === undefined) {
            into.abort();
            return FAILURE.time;
          }
          into.time(time.seconds, time.nanoseconds);
          if (!rules.keepTimeKey) continue;
        }
        rules.write(into, name, value);
      }
      into.commit();
      return undefined;
    },
  };
}
