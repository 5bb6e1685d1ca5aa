/** Dead letters: what was refused for good, why, and sending it again. Reading works whether millrace runs or not. */
import { createInterface } from 'node:readline/promises';
import { DeadLetterStore, type Damage, type FoundLetter } from '../../engine/delivery/dead-letters-store.ts';
import type { Letter } from '../../engine/delivery/dead-letters-format.ts';
import { EXIT, MillraceError } from '../../engine/errors.ts';
import { LETTERS_MAX, type ReplayAnswer } from '../../engine/server/dead-letters.ts';
import { suggest } from '../../engine/config/problems.ts';
import { askControl, dataDirectory } from '../control-client.ts';
import { takeDataDir } from '../data-dir.ts';
import {
  isFiltered,
  letterJson,
  letterMatcher,
  letterText,
  LetterGroups,
  selectLetters,
  type LetterFilter,
} from '../dead-letters.ts';
import { columnsOf, fitted, table, visible, widthOf, wrapped, type Streams } from '../output.ts';

export interface DlqOptions extends LetterFilter {
  readonly data?: string;
  readonly json?: boolean;
  readonly limit?: number;
}

/** How many there are, by output and reason. Exit 0, also when there are none. */
export async function dlqLs(output: string | undefined, options: DlqOptions, streams: Streams): Promise<number> {
  const groups = new LetterGroups();
  for await (const { letter } of found(output, options, streams)) groups.add(letter);
  const all = groups.all;
  if (options.json === true) {
    streams.out(`${JSON.stringify({ schema: 'millrace/dlq@1', groups: all.map(groupJson) }, undefined, 2)}\n`);
    return EXIT.ok;
  }
  if (all.length === 0) {
    streams.out('no dead letters\n');
    return EXIT.ok;
  }
  // Behind the longest id, the counts and the two times.
  const room = columnsOf() - Math.max(6, ...all.map(({ output: id }) => widthOf(visible(id)))) - 55;
  const rows = all.map(({ output: id, letters, oldestMs, newestMs, reason }) => [
    id,
    letters,
    timeText(oldestMs),
    timeText(newestMs),
    fitted(visible(firstLine(reason)), Math.max(20, room)),
  ]);
  streams.out(table(['OUTPUT', 'LETTERS', 'OLDEST', 'NEWEST', 'REASON'], rows));
  streams.out(`\n${wrapped('`millrace dlq show` has the events, `millrace dlq replay OUTPUT` sends them again', columnsOf())}\n`);
  return EXIT.ok;
}

const SHOWN = 20;

/** Letters in full, newest first. */
export async function dlqShow(output: string | undefined, options: DlqOptions, streams: Streams): Promise<number> {
  const limit = options.limit ?? SHOWN;
  let shown = 0;
  let more = 0;
  for await (const { letter } of found(output, options, streams)) {
    if (shown === limit) {
      more++;
      continue;
    }
    if (options.json === true) streams.out(`${JSON.stringify(letterJson(letter))}\n`);
    else streams.out(`${shown > 0 ? '\n' : ''}${letterText(letter)}`);
    shown++;
  }
  if (options.json !== true && shown === 0) streams.out('no dead letters\n');
  if (more > 0) streams.err(`${more} more; --limit shows more of them\n`);
  return EXIT.ok;
}

export interface ReplayOptions extends DlqOptions {
  readonly dryRun?: boolean;
  readonly to?: string;
}

/**
 * Sends letters to their output again, oldest first. A letter is done with once the server has taken it; what it refuses
 * again stays. Stops at the first that the server does not decide about.
 *
 * @returns 0 when all were taken, 1 when some were not
 */
export async function dlqReplay(output: string, options: ReplayOptions, streams: Streams): Promise<number> {
  const files = await chosen(output, options, streams);
  const letters = files.reduce((sum, { ids }) => sum + ids.length, 0);
  const target = options.to ?? output;
  if (options.dryRun === true) {
    streams.out(`would send ${counted(letters)} to ${visible(target)}; nothing was sent\n`);
    return EXIT.ok;
  }
  const done = { delivered: 0, refused: 0, waiting: 0, gone: 0 };
  const reasons = new Map<string, number>();
  for (const { file, ids, isLast } of pieces(files)) {
    const body = { output, file, ids, isLast, ...(options.to === undefined ? {} : { to: options.to }) };
    const { outcomes } = (await askControl(options.data, '/api/v1/dlq/replay', body)) as ReplayAnswer;
    done.gone += ids.length - outcomes.length;
    for (const outcome of outcomes) {
      done[outcome.kind]++;
      if (outcome.kind !== 'delivered' && (reasons.has(outcome.reason) || reasons.size < 10))
        reasons.set(outcome.reason, (reasons.get(outcome.reason) ?? 0) + 1);
    }
    if (done.waiting > 0) break;
  }
  const left = letters - done.delivered - done.gone;
  if (options.json === true)
    streams.out(
      `${JSON.stringify({ schema: 'millrace/dlq-replay@1', letters, ...done, left, reasons: Object.fromEntries(reasons) })}\n`,
    );
  else {
    streams.out(`${counted(done.delivered)} delivered to ${visible(target)}, ${done.refused} refused again, ${left} left\n`);
    for (const [reason, count] of reasons) streams.err(`${count}: ${visible(firstLine(reason))}\n`);
    if (done.waiting > 0)
      streams.err('stopped there: the server has to take letters again first; those that are left are kept\n');
  }
  return left === 0 ? EXIT.ok : EXIT.no;
}

export interface DropOptions extends DlqOptions {
  readonly all?: boolean;
  readonly yes?: boolean;
}

/** Forgets letters. Needs a filter or `--all`, and a yes. */
export async function dlqDrop(output: string, options: DropOptions, streams: Streams): Promise<number> {
  if (!isFiltered(options) && options.all !== true)
    throw new MillraceError('MR_USAGE', 'name the letters with --reason, --tag, --id or --since, or say --all');
  const files = await chosen(output, options, streams);
  const letters = files.reduce((sum, { ids }) => sum + ids.length, 0);
  if (letters > 0 && options.yes !== true && !(await isAgreed(letters, output, streams))) return EXIT.no;
  let dropped = 0;
  try {
    for (const { file, ids, isLast } of pieces(files)) {
      const answer = await askControl(options.data, '/api/v1/dlq/drop', { output, file, ids, isLast });
      dropped += (answer as { dropped: number }).dropped;
    }
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'MR_NO_STATUS') throw error;
    dropped += await dropAlone(output, files, options);
  }
  streams.out(options.json === true ? `${JSON.stringify({ dropped })}\n` : `${counted(dropped)} dropped\n`);
  return EXIT.ok;
}

/** Nothing runs: the lock of the data directory sees to it that it stays so. */
async function dropAlone(output: string, files: readonly Chosen[], { data }: DlqOptions): Promise<number> {
  const directory = takeDataDir(dataDirectory(data));
  try {
    const store = new DeadLetterStore(directory.path);
    let dropped = 0;
    for (const { file, ids } of files) {
      const letters = await store.pick(output, file, new Set(ids));
      store.mark(output, letters, 'dropped', Date.now());
      dropped += letters.length;
    }
    await store.tidy(output, true);
    return dropped;
  } finally {
    directory.release();
  }
}

async function isAgreed(letters: number, output: string, { isTerminal }: Streams): Promise<boolean> {
  if (!isTerminal || !process.stdin.isTTY) throw new MillraceError('MR_USAGE', 'nobody can be asked here: say --yes');
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(`Forget ${counted(letters)} of ${visible(output)} for good? [y/N] `);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** @throws MillraceError MR_USAGE when the output has no letters, with those that have */
async function* found(output: string | undefined, options: DlqOptions, { err }: Streams): AsyncGenerator<FoundLetter> {
  const store = new DeadLetterStore(dataDirectory(options.data));
  const matches = letterMatcher(options, Date.now());
  const outputs = await store.outputs();
  if (output !== undefined && !outputs.includes(output)) {
    if (outputs.length === 0) return;
    const hint = suggest(output, outputs);
    throw new MillraceError('MR_USAGE', `output ${output} has no dead letters${hint === undefined ? '' : `; ${hint}`}`);
  }
  const onDamage = ({ file, lines }: Damage): void =>
    err(`${file}: ${lines} damaged ${lines === 1 ? 'line' : 'lines'} left out\n`);
  yield* selectLetters(store, output === undefined ? outputs : [output], matches, onDamage);
}

interface Chosen {
  readonly file: string;
  readonly ids: string[];
}

/** The letters that a command means, oldest first, at most `--limit` of the oldest. */
async function chosen(output: string, options: DlqOptions, streams: Streams): Promise<Chosen[]> {
  const all: { readonly file: string; readonly letter: Pick<Letter, 'id'> }[] = [];
  for await (const { file, letter } of found(output, options, streams)) all.push({ file, letter: { id: letter.id } });
  const files = new Map<string, Chosen>();
  for (const { file, letter } of all.toReversed().slice(0, options.limit)) {
    const present = files.get(file) ?? { file, ids: [] };
    files.set(file, present);
    present.ids.push(letter.id);
  }
  return [...files.values()];
}

/** What fits in one request. */
function pieces(files: readonly Chosen[]): (Chosen & { readonly isLast: boolean })[] {
  const all = files.flatMap(({ file, ids }) =>
    Array.from({ length: Math.ceil(ids.length / LETTERS_MAX) }, (_, n) => ({
      file,
      ids: ids.slice(n * LETTERS_MAX, (n + 1) * LETTERS_MAX),
    })),
  );
  return all.map((piece, n) => ({ ...piece, isLast: n === all.length - 1 }));
}

const counted = (letters: number): string => (letters === 1 ? '1 letter' : `${letters} letters`);
const timeText = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}Z`;
const firstLine = (text: string): string => text.split('\n', 1)[0] ?? '';

function groupJson({ output, reason, letters, oldestMs, newestMs }: LetterGroups['all'][number]): object {
  return { output, reason, letters, oldest: new Date(oldestMs).toISOString(), newest: new Date(newestMs).toISOString() };
}
