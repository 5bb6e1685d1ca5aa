/** Reading lines by a regular expression, for the parsers that have one. */
import type { Parser } from '../../engine/component.ts';
import { MillraceError } from '../../engine/errors.ts';
import type { EntryWriter } from '../../engine/events/entry-writer.ts';
import { FAILURE, textOf, type Rules } from './rules.ts';

export function checkGroups(expression: RegExp): string[] {
  return groupNames(expression).length > 0 ? [] : ['expression: no named group such as (?<message>.*)'];
}

/** Names of the groups of an expression, in order. */
export function groupNames(expression: RegExp): string[] {
  // With an empty alternative the expression always matches, and a match lists all names.
  return Object.keys(new RegExp(`${expression.source}|`, expression.flags).exec('')?.groups ?? {});
}

export function parseByRegexp(expression: RegExp, rules: Rules): Parser {
  const names = groupNames(expression);
  const [problem] = checkGroups(expression);
  if (problem !== undefined) throw new MillraceError('MR_CONFIG', problem);
  return {
    parse(bytes, start, end, into) {
      const groups = expression.exec(textOf(bytes, start, end))?.groups;
      return groups === undefined ? FAILURE.pattern : writeGroups(groups, names, rules, into);
    },
  };
}

/**
 * Writes an entry. Groups that took no part are left out; empty ones stay.
 *
 * @returns the reason of a failure, when nothing was written
 */
export function writeGroups(
  groups: Readonly<Record<string, string | undefined>>,
  names: readonly string[],
  rules: Rules,
  into: EntryWriter,
): string | undefined {
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
}
