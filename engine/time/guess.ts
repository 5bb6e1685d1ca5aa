/** Times whose format nobody named: the forms that Ruby's Time.parse and Time.iso8601 know and that logs use. */
import type { EventTime } from '../events/batch.ts';
import { MONTHS, civilOf, daysFromCivil } from './calendar.ts';
import { letterOffset, parseOffset, type Zone } from './zone.ts';

const CLOCK = String.raw`(?<hour>\d{1,2}):(?<minute>\d\d)(?::(?<second>\d\d)(?:[.,](?<fraction>\d+))?)?\s*(?<half>[AaPp]\.?[Mm]\.?(?![A-Za-z]))?`;
const ZONE = String.raw`\s*(?<zone>Z|[+-]\d\d(?::?\d\d)?|[A-Z]{2,4})?(?![A-Za-z\d])`;
const NAME = String.raw`(?<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?`;
const WEEKDAY = String.raw`(?:(?:sun|mon|tue|wed|thu|fri|sat)[a-z]*,?\s+)?`;

const FORMS = [
  // 2013-02-28 12:00:00.5 +0900, 2013-02-28T12:00Z, 2013/2/28
  String.raw`^\s*${WEEKDAY}(?<year>\d{4})(?<mark>[-/.])(?<month>\d{1,2})\k<mark>(?<day>\d{1,2})(?:(?:T|\s+)${CLOCK}${ZONE})?(?!\d)`,
  // Thu, 28 Feb 2013 12:00:00 GMT, 28-Feb-2013
  String.raw`^\s*${WEEKDAY}(?<day>\d{1,2})(?:\s+|-)${NAME}(?:\s+|-)(?<year>\d{4})(?:,?\s+${CLOCK}${ZONE})?(?!\d)`,
  // Thu Feb 28 12:00:00 JST 2013, Feb 28 12:00:00
  String.raw`^\s*${WEEKDAY}${NAME}\s+(?<day>\d{1,2})\s+${CLOCK}${ZONE}(?:\s+(?<year>\d{4}))?(?!\d)`,
  // Feb 28, 2013 12:00:00
  String.raw`^\s*${WEEKDAY}${NAME}\s+(?<day>\d{1,2}),?\s+(?<year>\d{4})(?:,?\s+${CLOCK}${ZONE})?(?!\d)`,
  // 20130228T120000Z, 20130228
  String.raw`^\s*(?<year>\d{4})(?<month>\d\d)(?<day>\d\d)(?:T?(?<hour>\d\d)(?<minute>\d\d)(?<second>\d\d)?(?:[.,](?<fraction>\d+))?${ZONE})?(?!\d)`,
  // 12:00:00: today
  String.raw`^\s*${CLOCK}${ZONE}\s*$`,
].map((source) => new RegExp(source, 'i'));

const ISO8601 =
  /^\s*(?<year>\d{4})-(?<month>\d\d)-(?<day>\d\d)T(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:\.(?<fraction>\d+))?(?<zone>Z|[+-]\d\d(?::?\d\d)?)?\s*$/i;

/** @returns undefined when the text has none of the known forms */
export function guessTime(text: string, zone: Zone, now: () => number): EventTime | undefined {
  if (text.length > 128) return undefined;
  for (const form of FORMS) {
    const groups = form.exec(text)?.groups;
    if (groups) return timeOf(groups, zone, now);
  }
  return undefined;
}

/** `%iso8601`: date, T, time, perhaps a fraction and a zone, nothing else. */
export function parseIso8601(text: string, zone: Zone, now: () => number): EventTime | undefined {
  const groups = text.length > 128 ? undefined : ISO8601.exec(text)?.groups;
  return groups && timeOf(groups, zone, now);
}

type Groups = Readonly<Record<string, string | undefined>>;

function timeOf(groups: Groups, zone: Zone, now: () => number): EventTime | undefined {
  const number = (name: string): number | undefined => (groups[name] === undefined ? undefined : Number(groups[name]));
  const seconds = Math.floor(now() / 1000);
  const today = civilOf(seconds + zone.offsetAt(seconds));
  const year = number('year') ?? today.year;
  const named = groups['name']?.toLowerCase();
  const month =
    named === undefined ? (number('month') ?? today.month) : MONTHS.findIndex((name) => name.toLowerCase().startsWith(named)) + 1;
  const day = number('day') ?? today.day;
  const hour = hourOf(number('hour') ?? 0, groups['half']);
  const minute = number('minute') ?? 0;
  const second = number('second') ?? 0;
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 24 || minute > 59 || second > 60)
    return undefined;
  const wall = daysFromCivil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
  const offset = groups['zone'] === undefined ? undefined : (parseOffset(groups['zone']) ?? letterOffset(groups['zone']));
  return {
    seconds: offset === undefined ? zone.instantOf(wall) : wall - offset,
    nanoseconds: Number((groups['fraction'] ?? '').slice(0, 9).padEnd(9, '0')),
  };
}

function hourOf(hour: number, half: string | undefined): number {
  return half === undefined ? hour : (hour % 12) + (half.toLowerCase().startsWith('p') ? 12 : 0);
}

const daysIn = (year: number, month: number): number => daysFromCivil(year, month + 1, 1) - daysFromCivil(year, month, 1);
