/** Several lines that are one event: gathered until the next first line begins, or nothing more comes. */
import { paramText } from '../../engine/config/section.ts';
import type { Section } from '../../engine/config/model.ts';
import { parseRegexp } from '../../engine/units.ts';
import type { Lines } from './lines.ts';
import type { Reader } from './reader.ts';

const LINE_FEED = 10;
/** Without a first line to wait for, the parser is asked after each line; a text that never fits ends here. */
const MAX_TRIES = 1000;

/** Where lines are held back. */
export type Holder = Pick<Reader, 'held' | 'heldSince' | 'tries' | 'isGroupTooLong' | 'release'>;

export interface JoinOptions {
  /** Of the first line of an event; undefined: the parser says when the text is whole. */
  readonly firstLine: RegExp | undefined;
  /** A longer text is left out. */
  readonly maxBytes: number;
  readonly keepsUnmatched: boolean;
  onTooLong(): void;
  /** A line came before any first line. */
  onStray(line: Buffer): void;
  now(): number;
}

/** Whether the lines of this parser are to be joined, and by what. */
export function joiningOf(parse: Section | undefined): { readonly firstLine: RegExp | undefined } | undefined {
  const type = parse && paramText(parse, '@type');
  if (parse === undefined || type === undefined || !type.includes('multiline')) return undefined;
  const format = paramText(parse, 'format_firstline');
  const expression = format === undefined ? undefined : parseRegexp(format);
  // What is wrong with it is said by the parser, which has the same parameter.
  return { firstLine: typeof expression === 'string' ? undefined : expression };
}

/**
 * Takes lines in place of `Lines`. What is held back stays with its reader, whose position stays before it: after a
 * crash it is read again.
 */
export class Joiner {
  readonly #o: JoinOptions;
  readonly #lines: Lines;

  constructor(options: JoinOptions, lines: Lines) {
    this.#o = options;
    this.#lines = lines;
  }

  take(bytes: Buffer, from: number, to: number, isHead: boolean, path: string, reader: Holder): void {
    if (isHead && bytes[from] === 0xef && bytes[from + 1] === 0xbb && bytes[from + 2] === 0xbf) from += 3;
    for (let at = from; at < to;) {
      let end = bytes.indexOf(LINE_FEED, at);
      end = end < 0 || end >= to ? to : end + 1;
      if (this.#o.firstLine === undefined) this.#try(bytes, at, end, path, reader);
      else this.#line(this.#o.firstLine, bytes, at, end, path, reader);
      at = end;
    }
  }

  #line(firstLine: RegExp, bytes: Buffer, from: number, to: number, path: string, reader: Holder): void {
    if (firstLine.test(this.#lines.textOf(bytes, from, to))) {
      this.flush(path, reader);
      this.#hold(bytes, from, to, reader);
    } else if (reader.held.length > 0) this.#hold(bytes, from, to, reader);
    else if (!reader.isGroupTooLong) {
      this.#o.onStray(bytes.subarray(from, to));
      if (this.#o.keepsUnmatched) this.#lines.takeWhole(bytes, from, to, path);
    }
  }

  #try(bytes: Buffer, from: number, to: number, path: string, reader: Holder): void {
    this.#hold(bytes, from, to, reader);
    const { held } = reader;
    reader.tries++;
    if (held.length === 0 || this.#lines.tryWhole(held.bytes, 0, held.length, path)) reader.release();
    else if (reader.tries >= MAX_TRIES) this.flush(path, reader);
  }

  #hold(bytes: Buffer, from: number, to: number, reader: Holder): void {
    reader.heldSince = this.#o.now();
    if (reader.isGroupTooLong) return;
    if (reader.held.length + to - from <= this.#o.maxBytes) return reader.held.raw(bytes, from, to);
    this.#o.onTooLong();
    reader.release();
    // The rest of it is passed over, up to the next first line.
    reader.isGroupTooLong = this.#o.firstLine !== undefined;
  }

  /** Takes what is held as a whole event. */
  flush(path: string, reader: Holder): void {
    const { held } = reader;
    if (held.length > 0) this.#lines.takeWhole(held.bytes, 0, held.length, path);
    reader.release();
  }
}
