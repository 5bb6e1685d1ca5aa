import {
  closeSync,
  fdatasyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Clock, Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import { systemClock } from '../telemetry/clock.ts';
import { LetterWriter, type DeadLetter } from './dead-letters-format.ts';
import { fileNameOf, lettersDir, parseFileName, syncDirectory } from './dead-letters-names.ts';

export interface DeadLetterLimits {
  /** Of all letters of one output; shared evenly by the workers. */
  readonly limitBytes: number;
  readonly maxAgeMs: number;
}

export const DEAD_LETTER_LIMITS: DeadLetterLimits = { limitBytes: 256 << 20, maxAgeMs: 30 * 86_400_000 };

export interface DeadLetterOptions {
  /** Data directory; undefined when nothing may be kept on disk: the events are then logged. */
  readonly directory: string | undefined;
  readonly output: string;
  readonly log: Log;
  readonly clock?: Clock;
  readonly worker?: { readonly id: number; readonly count: number };
  readonly limits?: DeadLetterLimits;
  /** Gets `dead_letters`, `dead_letters_removed` (at the bounds) and `dead_letters_failed` (could not be written). */
  readonly metrics?: Record<string, number>;
}

const NO_COUNTS = { dead_letters: 0, dead_letters_removed: 0, dead_letters_failed: 0 };

interface OpenFile {
  readonly fd: number;
  readonly sinceMs: number;
  bytes: number;
}

/** Letters go to a new file at this size, so that the oldest can go without touching the rest. */
const FILE_BYTES = 16 << 20;
const FILES_AT_LEAST = 8;
/** Written at once; a whole refused chunk would make a text of hundreds of megabytes. */
const PIECE_BYTES = 1 << 20;
/** Letters that are shown in the log when there is no directory to keep them in. */
const LOGGED = 10;

/**
 * The graveyard of one output in one worker: events that will never be delivered, one line each in
 * `<data>/dead-letters/<output>/w<worker>-<number>.ndjson`, with the reason and the event as it was.
 *
 * At the bounds the oldest file is removed, counted and said in the log: the newest letters tell what is wrong now.
 * A file is never continued after a restart, so that a line that was torn stays the last one of its file.
 */
export class DeadLetters {
  readonly #o: DeadLetterOptions;
  readonly #clock: Clock;
  readonly #limits: DeadLetterLimits;
  readonly #writer = new LetterWriter();
  readonly #counts = { ...NO_COUNTS };
  #file: OpenFile | undefined;
  #number = 0;
  #isTrouble = false;

  constructor(options: DeadLetterOptions) {
    this.#o = options;
    this.#clock = options.clock ?? systemClock;
    const limits = options.limits ?? DEAD_LETTER_LIMITS;
    this.#limits = { ...limits, limitBytes: Math.floor(limits.limitBytes / (options.worker?.count ?? 1)) };
    this.#count('dead_letters', 0);
  }

  /**
   * Keeps the events; they are on the disk (fdatasync) when it returns.
   *
   * @returns false when they could not be written: they are not safe, and the output must not move on
   */
  readonly bury = (letters: readonly DeadLetter[]): boolean => {
    const events = letters.reduce((sum, { batch }) => sum + batch.count, 0);
    if (this.#o.directory === undefined) {
      this.#show(letters);
      this.#count('dead_letters', events);
      return true;
    }
    try {
      this.#append(letters);
    } catch (error) {
      this.#count('dead_letters_failed', events);
      // Said once: the output comes again and again until there is room.
      if (!this.#isTrouble) this.#o.log.error({ reason: messageOf(error), events }, 'dead letters cannot be written');
      this.#isTrouble = true;
      return false;
    }
    this.#isTrouble = false;
    this.#count('dead_letters', events);
    return true;
  };

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  #show(letters: readonly DeadLetter[]): void {
    let shown = 0;
    for (const letter of letters) {
      if (shown >= LOGGED) return;
      this.#writer.lines(letter, this.#o.output, this.#clock.now(), (line) => {
        if (shown++ < LOGGED)
          this.#o.log.error({ letter: line.trimEnd().slice(0, 2000) }, 'dead letter; no data directory to keep it in');
      });
    }
  }

  #append(letters: readonly DeadLetter[]): void {
    let lines: string[] = [];
    let length = 0;
    const flush = (): void => {
      if (lines.length > 0) this.#write(Buffer.from(lines.join(''), 'utf8'));
      lines = [];
      length = 0;
    };
    const nowMs = this.#clock.now();
    for (const letter of letters)
      this.#writer.lines(letter, this.#o.output, nowMs, (line) => {
        lines.push(line);
        length += line.length;
        if (length >= PIECE_BYTES) flush();
      });
    flush();
    if (this.#file !== undefined) fdatasyncSync(this.#file.fd);
  }

  #write(bytes: Buffer): void {
    const file = this.#fileFor(bytes.length);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file.fd, bytes, at);
      file.bytes += bytes.length;
    } catch (error) {
      this.#cutBack(file);
      throw error;
    }
  }

  /** Half a line in the middle of a file would spoil the one behind it. */
  #cutBack(file: OpenFile): void {
    try {
      ftruncateSync(file.fd, file.bytes);
    } catch {
      // Then the torn line stays the last one of its file, and the next letter goes to a new one.
      this.close();
    }
  }

  #fileFor(length: number): OpenFile {
    const { limitBytes, maxAgeMs } = this.#limits;
    const nowMs = this.#clock.now();
    const present = this.#file;
    const bound = Math.min(FILE_BYTES, limitBytes / FILES_AT_LEAST);
    const isDone =
      present !== undefined &&
      present.bytes > 0 &&
      (present.bytes + length > bound || nowMs - present.sinceMs > maxAgeMs / FILES_AT_LEAST);
    if (present !== undefined && !isDone) return present;
    if (present !== undefined) fdatasyncSync(present.fd);
    this.close();
    const directory = lettersDir(this.#o.directory ?? '', this.#o.output);
    mkdirSync(directory, { recursive: true, mode: 0o750 });
    this.#makeRoom(directory, length);
    this.#number++;
    const fd = openSync(join(directory, fileNameOf(this.#worker, this.#number)), 'ax', 0o640);
    this.#file = { fd, sinceMs: nowMs, bytes: 0 };
    // The names must be as safe as what is written under them.
    for (const one of [directory, join(directory, '..'), join(directory, '..', '..')]) syncDirectory(one);
    return this.#file;
  }

  get #worker(): number {
    return this.#o.worker?.id ?? 0;
  }

  /** Removes the oldest files until `length` more bytes fit, and those beyond the age. Worker 0 looks after the files of workers that are no more. */
  #makeRoom(directory: string, length: number): void {
    const { limitBytes, maxAgeMs } = this.#limits;
    const { id, count } = this.#o.worker ?? { id: 0, count: 1 };
    const files = [];
    for (const name of readdirSync(directory)) {
      const parsed = parseFileName(name);
      if (parsed === undefined) continue;
      if (parsed.worker === id) this.#number = Math.max(this.#number, parsed.number);
      if (parsed.worker !== id && !(id === 0 && parsed.worker >= count)) continue;
      const { size, mtimeMs } = statSync(join(directory, name), { throwIfNoEntry: false }) ?? { size: 0, mtimeMs: 0 };
      files.push({ name, size, mtimeMs });
    }
    files.sort((a, b) => a.mtimeMs - b.mtimeMs);
    let total = length + files.reduce((sum, { size }) => sum + size, 0);
    for (const { name, size, mtimeMs } of files) {
      const isOld = this.#clock.now() - mtimeMs > maxAgeMs;
      if (total <= limitBytes && !isOld) break;
      const lines = linesOf(join(directory, name));
      rmSync(join(directory, name), { force: true });
      total -= size;
      this.#count('dead_letters_removed', lines);
      this.#o.log.error(
        { file: name, letters: lines, why: isOld ? 'dead_letter_max_age' : 'dead_letter_limit_size' },
        'removed the oldest dead letters',
      );
    }
  }

  #count(name: keyof typeof NO_COUNTS, more: number): void {
    this.#counts[name] += more;
    if (this.#o.metrics !== undefined) Object.assign(this.#o.metrics, this.#counts);
  }
}

function linesOf(path: string): number {
  let lines = 0;
  for (const byte of readFileSync(path)) if (byte === 0x0a) lines++;
  return lines;
}
