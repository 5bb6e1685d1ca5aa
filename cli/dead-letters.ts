/** Dead letters for the command line: which of them, grouped why, and one of them in full. */
import type { Fields } from '../engine/events/batch.ts';
import { readEvent, type Letter } from '../engine/delivery/dead-letters-format.ts';
import type { Damage, DeadLetterStore, FoundLetter } from '../engine/delivery/dead-letters-store.ts';
import { MillraceError } from '../engine/errors.ts';
import { compilePattern } from '../engine/pipeline/match-pattern.ts';
import { parseDuration } from '../engine/units.ts';
import { visible } from './output.ts';

export interface LetterFilter {
  /** Part of the reason, in any case. */
  readonly reason?: string;
  /** A tag pattern. */
  readonly tag?: string;
  readonly id?: readonly string[];
  /** Set aside within so long, such as 2h. */
  readonly since?: string;
}

/** @throws MillraceError MR_USAGE for a pattern or a duration that is none */
export function letterMatcher({ reason, tag, id, since }: LetterFilter, nowMs: number): (letter: Letter) => boolean {
  const part = reason?.toLowerCase();
  const pattern = tag === undefined ? undefined : compilePattern(tag);
  if (pattern !== undefined && typeof pattern !== 'function')
    throw new MillraceError('MR_USAGE', `--tag ${tag}: ${pattern.error}`);
  const sinceMs = since === undefined ? undefined : parseDuration(since);
  if (since !== undefined && sinceMs === undefined)
    throw new MillraceError('MR_USAGE', `--since ${since}: expected a duration such as 90s, 30m, 2h or 1d`);
  const ids = id === undefined ? undefined : new Set(id);
  return (letter) =>
    (part === undefined || letter.reason.toLowerCase().includes(part)) &&
    (pattern === undefined || pattern(letter.tag)) &&
    (sinceMs === undefined || letter.buriedMs >= nowMs - sinceMs) &&
    (ids === undefined || ids.has(letter.id));
}

/** Whether it names any letters in particular. */
export function isFiltered({ reason, tag, id, since }: LetterFilter): boolean {
  return [reason, tag, id, since].some((value) => value !== undefined);
}

export async function* selectLetters(
  store: DeadLetterStore,
  outputs: readonly string[],
  matches: (letter: Letter) => boolean,
  onDamage: (damage: Damage) => void,
): AsyncGenerator<FoundLetter> {
  for (const output of outputs) for await (const found of store.letters(output, onDamage)) if (matches(found.letter)) yield found;
}

export interface LetterGroup {
  readonly output: string;
  /** Of the newest letter. */
  readonly reason: string;
  letters: number;
  oldestMs: number;
  newestMs: number;
}

/** Reasons of one output that are listed; more are one line. */
const GROUPS_MAX = 50;
const OTHER_REASONS = 'other reasons';

/** Letters by output and reason; reasons that differ in values only (ids, numbers, quoted texts) are one. */
export class LetterGroups {
  readonly #groups = new Map<string, Map<string, LetterGroup>>();

  add({ output, reason, buriedMs }: Letter): void {
    const ofOutput = this.#groups.get(output) ?? new Map<string, LetterGroup>();
    this.#groups.set(output, ofOutput);
    const kind = kindOf(reason);
    const key = ofOutput.has(kind) || ofOutput.size < GROUPS_MAX ? kind : OTHER_REASONS;
    const group = ofOutput.get(key);
    if (group === undefined) {
      const shown = key === OTHER_REASONS ? key : reason;
      ofOutput.set(key, { output, reason: shown, letters: 1, oldestMs: buriedMs, newestMs: buriedMs });
      return;
    }
    group.letters++;
    group.oldestMs = Math.min(group.oldestMs, buriedMs);
    group.newestMs = Math.max(group.newestMs, buriedMs);
  }

  /** The commonest reasons of each output first. */
  get all(): LetterGroup[] {
    return [...this.#groups.values()].flatMap((ofOutput) => [...ofOutput.values()].toSorted((a, b) => b.letters - a.letters));
  }
}

function kindOf(reason: string): string {
  return reason
    .replaceAll(/\[[^[\]]*\]|'[^']*'|"[^"]*"|`[^`]*`/g, '*')
    .replaceAll(/[0-9a-v]{32}|\d+/g, '#')
    .slice(0, 200);
}

/** For scripts: everything, with the event in both forms. */
export function letterJson(letter: Letter): Fields {
  const { id, buriedMs, output, reason, status, tries, tag, metadata, event } = letter;
  const { time, record } = readEvent(event);
  const buried = new Date(buriedMs).toISOString();
  return { id, output, buried, reason, status, tries, tag, time, record, metadata, event: Buffer.from(event).toString('base64') };
}

/** For people; nothing in it moves the cursor or changes colours. */
export function letterText(letter: Letter): string {
  const { id, buriedMs, output, reason, status, tries, tag, event } = letter;
  const { time, record } = readEvent(event);
  const rows: readonly (readonly [string, string])[] = [
    ['letter', id],
    ['output', output],
    ['buried', `${new Date(buriedMs).toISOString()}, after ${tries} ${tries === 1 ? 'try' : 'tries'}`],
    ['reason', status === undefined ? reason : `${status}: ${reason}`],
    ['tag', tag],
    ['time', time],
    ['record', JSON.stringify(record)],
  ];
  // A line feed in a reason would look like a row of ours.
  const lines = rows.map(([name, value]) => `${name.padEnd(8)}${visible(value).replaceAll('\n', '\\n')}`);
  return `${lines.join('\n')}\n`;
}
