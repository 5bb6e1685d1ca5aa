import type { SourcePlace } from './model.ts';

/** A position in the text of one file, moved by sticky regular expressions. */
export class TextCursor {
  readonly text: string;
  at = 0;
  readonly #file: string;
  #lineStarts: number[] | undefined;

  constructor(file: string, text: string) {
    this.#file = file;
    this.text = text;
  }

  get atEnd(): boolean {
    return this.at >= this.text.length;
  }

  /** Does `pattern` (sticky) match here? The cursor stays. */
  check(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    return pattern.test(this.text);
  }

  /** Moves behind what `pattern` (sticky) matches here; false when it matches nothing here. */
  skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }

  take(pattern: RegExp): string | undefined {
    const start = this.at;
    return this.skip(pattern) ? this.text.slice(start, this.at) : undefined;
  }

  /** What is left of the line. */
  rest(): string {
    return /^[^\r\n]*/.exec(this.text.slice(this.at, this.at + 4096))?.[0] ?? '';
  }

  /** Line and column from 1; a line ends with LF, CR or CRLF. */
  placeOf(at: number): SourcePlace {
    const starts = (this.#lineStarts ??= lineStartsOf(this.text));
    let low = 0;
    for (let high = starts.length; high - low > 1;) {
      const middle = (low + high) >>> 1;
      if ((starts[middle] ?? 0) <= at) low = middle;
      else high = middle;
    }
    return { file: this.#file, line: low + 1, column: at - (starts[low] ?? 0) + 1 };
  }
}

function lineStartsOf(text: string): number[] {
  const starts = [0];
  for (const match of text.matchAll(/\r\n|\r|\n/g)) starts.push(match.index + match[0].length);
  return starts;
}
