import type { Problem, SourcePlace } from './model.ts';

export const hasErrors = (problems: readonly Problem[]): boolean => problems.some((problem) => problem.severity === 'error');

/**
 * Problems for a terminal, one paragraph each, in the order given:
 *
 *     millrace.yaml:12:5: error: unknown parameter prot
 *         did you mean port?
 */
export function formatProblems(problems: readonly Problem[]): string {
  return problems
    .map(
      (problem) =>
        `${formatPlace(problem.place)}: ${problem.severity}: ${problem.message}\n${problem.hint === undefined ? '' : `    ${problem.hint}\n`}`,
    )
    .join('');
}

export function formatPlace({ file, line, column }: SourcePlace): string {
  return `${file}:${line}:${column}`;
}

/** In the order of their places within each file; files in the order in which the problems name them. */
export function sortedByPlace(problems: readonly Problem[], files: readonly string[] = []): Problem[] {
  const ranks = new Map<string, number>();
  for (const file of [...files, ...problems.map((problem) => problem.place.file)])
    if (!ranks.has(file)) ranks.set(file, ranks.size);
  const rank = ({ place }: Problem): number => ranks.get(place.file) ?? 0;
  return problems.toSorted((a, b) => rank(a) - rank(b) || a.place.line - b.place.line || a.place.column - b.place.column);
}

/**
 * What to say about a name that is not known: the closest known one, or all of them when they are few.
 *
 * @returns undefined when nothing helpful can be said
 */
export function suggest(name: string, known: readonly string[]): string | undefined {
  const close = closest(name, known);
  if (close !== undefined) return `did you mean ${close}?`;
  if (known.length === 0) return undefined;
  return known.length <= MAX_LISTED
    ? `known: ${known.join(', ')}`
    : `known: ${known.slice(0, MAX_LISTED).join(', ')} and ${known.length - MAX_LISTED} more`;
}

const MAX_LISTED = 16;

/** The known name with the fewest letters changed, at most a third of them; undefined when none is that close. */
export function closest(name: string, known: readonly string[]): string | undefined {
  if (name.length > 64) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(name.length / 3)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    // Of two as close the longer one: a letter left out is the commonest slip.
    if (distance < bestDistance || (distance === bestDistance && best !== undefined && candidate.length > best.length)) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions, changes and swaps of neighbours that lead from one text to the other. */
export function editDistance(from: string, to: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      let cost = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1])
        cost = Math.min(cost, (beforeLast[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[to.length] ?? 0;
}
