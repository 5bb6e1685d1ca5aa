/** Reading dead letters, and marking them; one process does the marking: the daemon, or a command when none runs. */
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { idOfLine, isLetterId, parseLetter, type Letter } from './dead-letters-format.ts';
import { lettersDir, lettersRoot, MARKS, parseFileName, syncDirectory } from './dead-letters-names.ts';

export type Mark = 'replayed' | 'dropped';

export interface FoundLetter {
  readonly letter: Letter;
  /** Name of its file, for `pick`. */
  readonly file: string;
}

/** Lines that are no letters any more; the tail that a crash tore off counts too. */
export interface Damage {
  readonly file: string;
  readonly lines: number;
}

/** A file of marks is written anew when so much of it is about letters that are gone. */
const REWRITE_BYTES = 256 << 10;

export class DeadLetterStore {
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** Ids of outputs that have letters, in order. Asks the files, not their names. */
  async outputs(): Promise<string[]> {
    const found = new Set<string>();
    for (const folder of await namesIn(lettersRoot(this.#dataDir))) {
      const directory = join(lettersRoot(this.#dataDir), folder);
      for (const { name } of await filesIn(directory)) {
        const letter = (await linesOf(join(directory, name))).map(parseLetter).find((one) => one !== undefined);
        if (letter === undefined) continue;
        found.add(letter.output);
        break;
      }
    }
    return [...found].toSorted();
  }

  /**
   * Letters that are neither replayed nor dropped, newest first; one that was set aside twice is given once.
   *
   * @param onDamage  told of lines that cannot be read
   */
  async *letters(output: string, onDamage?: (damage: Damage) => void): AsyncGenerator<FoundLetter> {
    const directory = lettersDir(this.#dataDir, output);
    const marks = await readMarks(directory);
    const seen = new Set<string>();
    const files = await filesIn(directory);
    for (const { name, isNewest } of files.toReversed()) {
      const { lines, tail } = split(await readText(join(directory, name)));
      let damaged = tail !== '' && !isNewest ? 1 : 0;
      for (const line of lines.toReversed()) {
        const id = idOfLine(line);
        const letter = id !== undefined && seen.has(id) ? undefined : parseLetter(line);
        if (letter === undefined) {
          if (id === undefined || !seen.has(id)) damaged++;
          continue;
        }
        seen.add(letter.id);
        if (!isHidden(letter, marks)) yield { letter, file: name };
      }
      if (damaged > 0) onDamage?.({ file: join(directory, name), lines: damaged });
    }
  }

  /** Those of one file with the given ids that are still to be dealt with, oldest first. */
  async pick(output: string, file: string, ids: ReadonlySet<string>): Promise<Letter[]> {
    if (parseFileName(file) === undefined) return [];
    const directory = lettersDir(this.#dataDir, output);
    const marks = await readMarks(directory);
    const picked = new Map<string, Letter>();
    for (const line of await linesOf(join(directory, file))) {
      const id = idOfLine(line);
      if (id === undefined || !ids.has(id)) continue;
      const letter = parseLetter(line);
      if (letter !== undefined && !isHidden(letter, marks)) picked.set(letter.id, letter);
    }
    return [...picked.values()];
  }

  /** Marks letters; the marks are on the disk (fdatasync) when it returns. The same event set aside later is a letter again. */
  mark(output: string, letters: readonly Pick<Letter, 'id' | 'buriedMs'>[], mark: Mark, nowMs: number): void {
    const directory = lettersDir(this.#dataDir, output);
    // Not before it was set aside, whatever the clock has done since.
    const lines = letters.map(({ id, buriedMs }) => `${id} ${Math.max(nowMs, buriedMs)} ${mark}\n`);
    if (lines.length === 0) return;
    const fd = openSync(join(directory, MARKS), 'a+', 0o640);
    try {
      const { size } = fstatSync(fd);
      const last = Buffer.alloc(1);
      if (size > 0) readSync(fd, last, 0, 1, size - 1);
      // A line that a crash tore off must not swallow the first of ours.
      const bytes = Buffer.from(`${size > 0 && last[0] !== 0x0a ? '\n' : ''}${lines.join('')}`);
      for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at);
      fdatasyncSync(fd);
      if (size === 0) syncDirectory(directory);
    } finally {
      closeSync(fd);
    }
  }

  /**
   * Removes files of which every letter has been dealt with, and marks of letters that are gone.
   *
   * @param isOffline  nobody writes: the newest files may go as well
   */
  async tidy(output: string, isOffline: boolean): Promise<void> {
    const directory = lettersDir(this.#dataDir, output);
    const marks = await readMarks(directory);
    const kept = new Set<string>();
    for (const { name, isNewest } of await filesIn(directory)) {
      const letters = (await linesOf(join(directory, name))).map(parseLetter);
      const isDone = letters.every((letter) => letter !== undefined && isHidden(letter, marks));
      if (isDone && (isOffline || !isNewest)) rmSync(join(directory, name), { force: true });
      else for (const letter of letters) if (letter !== undefined) kept.add(letter.id);
    }
    const path = join(directory, MARKS);
    const { size } = (await stat(path).catch(() => undefined)) ?? { size: 0 };
    if (size > 0 && kept.size === 0) rmSync(path, { force: true });
    else if (size > REWRITE_BYTES) rewrite(directory, path, marks, kept);
  }
}

const isHidden = ({ id, buriedMs }: Letter, marks: ReadonlyMap<string, number>): boolean => (marks.get(id) ?? -1) >= buriedMs;

function rewrite(directory: string, path: string, marks: ReadonlyMap<string, number>, kept: ReadonlySet<string>): void {
  const lines = [...marks].filter(([id]) => kept.has(id)).map(([id, ms]) => `${id} ${ms} replayed\n`);
  const fd = openSync(`${path}.new`, 'w', 0o640);
  try {
    writeSync(fd, lines.join(''));
    fdatasyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
  syncDirectory(directory);
}

/** The latest mark of every id. */
async function readMarks(directory: string): Promise<Map<string, number>> {
  const marks = new Map<string, number>();
  for (const line of await linesOf(join(directory, MARKS))) {
    const [id = '', ms = '', mark] = line.split(' ');
    if (isLetterId(id) && (mark === 'replayed' || mark === 'dropped')) marks.set(id, Math.max(marks.get(id) ?? 0, Number(ms)));
  }
  return marks;
}

/** Files of letters by age; `isNewest`: the one that its worker may be writing. */
async function filesIn(directory: string): Promise<{ name: string; isNewest: boolean }[]> {
  const files = [];
  const newest = new Map<number, number>();
  for (const name of await namesIn(directory)) {
    const parsed = parseFileName(name);
    const found = parsed === undefined ? undefined : await stat(join(directory, name)).catch(() => undefined);
    // Removed at the bounds, just now.
    if (parsed === undefined || found === undefined) continue;
    newest.set(parsed.worker, Math.max(newest.get(parsed.worker) ?? 0, parsed.number));
    files.push({ name, ...parsed, mtimeMs: found.mtimeMs });
  }
  return files
    .toSorted((a, b) => a.mtimeMs - b.mtimeMs || a.number - b.number)
    .map(({ name, worker, number }) => ({ name, isNewest: newest.get(worker) === number }));
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).toSorted();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Empty when the file is gone. A file holds 16 MiB and one piece of letters at most. */
async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function split(text: string): { lines: string[]; tail: string } {
  const lines = text.split('\n');
  const tail = lines.pop() ?? '';
  return { lines, tail };
}

async function linesOf(path: string): Promise<string[]> {
  return split(await readText(path)).lines;
}
