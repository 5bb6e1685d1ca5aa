/** How the commands speak: data on stdout, the rest on stderr, nothing from the network unfiltered on a terminal. */
import { styleText } from 'node:util';
import { ERROR_CODES, codeOf, messageOf } from '../engine/errors.ts';

export interface Streams {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly isTerminal: boolean;
}

export const standardStreams: Streams = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  // The types promise a boolean; without a terminal it is undefined.
  isTerminal: process.stdout.isTTY ?? false,
};

type Style = Parameters<typeof styleText>[0];

/** Coloured when the stream is a terminal; NO_COLOR and FORCE_COLOR are honoured by `styleText` itself. */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return stream.isTTY || process.env['FORCE_COLOR'] ? styleText(style, text, { stream }) : text;
}

/** Control characters, escapes and direction overrides shown as `\u{..}`; line feeds and tabs stay. */
export function visible(text: string): string {
  return text.replaceAll(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (char) => `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** Columns that a text takes on a terminal: wide East Asian characters count twice, combining ones not at all. */
export function widthOf(text: string): number {
  let width = 0;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (code >= 0x300 && code <= 0x36f) continue;
    width += isWide(code) ? 2 : 1;
  }
  return width;
}

function isWide(code: number): boolean {
  return (
    (code >= 0x1100 && code <= 0x115f) ||
    (code >= 0x2e80 && code <= 0xa4cf) ||
    (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) ||
    (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) ||
    (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1faff) ||
    (code >= 0x20000 && code <= 0x3fffd)
  );
}

/**
 * Columns for people: a header in capitals, two blanks between columns, numbers to the right, the last column as it is.
 *
 * @returns lines with a line feed at the end
 */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const texts = rows.map((row) => row.map((cell) => visible(String(cell))));
  const widths = header.map((title, column) => Math.max(widthOf(title), ...texts.map((row) => widthOf(row[column] ?? ''))));
  const isNumber = header.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === 'number'));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => {
        const room = ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
        if (isNumber[column] === true) return room + cell;
        return column === cells.length - 1 ? cell : cell + room;
      })
      .join('  ')
      .trimEnd();
  return `${[line(header), ...texts.map(line)].join('\n')}\n`;
}

/** Columns of the terminal; what is no terminal is not wrapped. */
export function columnsOf(stream: NodeJS.WriteStream = process.stdout): number {
  return stream.isTTY ? Math.max(40, stream.columns) : Infinity;
}

/** The beginning of a text that fits, with an ellipsis where it was cut. */
export function fitted(text: string, width: number): string {
  if (widthOf(text) <= width) return text;
  let cut = '';
  for (const char of text) {
    if (widthOf(`${cut}${char}…`) > width) break;
    cut += char;
  }
  return `${cut}…`;
}

/**
 * Words over lines of at most `width` columns; lines after the first begin with `indent` blanks. A word that is longer
 * stays whole.
 */
export function wrapped(text: string, width: number, indent = 0): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    const used = widthOf(longer) + (lines.length === 0 ? 0 : indent);
    if (line === '' || used <= width) line = longer;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}

/**
 * One error, the way every command shows it: code and message, then the remedy.
 *
 * @returns the exit code that belongs to it
 */
export function showError(error: unknown, err: (text: string) => void): number {
  const code = codeOf(error);
  const { exit, remedy } = ERROR_CODES[code];
  const message = visible(messageOf(error));
  err(
    `${paint('red', `error[${code}]`, process.stderr)}: ${message.includes('\n') || code === 'MR_CONFIG' ? `\n${message}` : message}\n`,
  );
  err(`  fix: ${remedy}\n`);
  if (process.env['MILLRACE_DEBUG'] === '1' && error instanceof Error) err(`${error.stack ?? ''}\n`);
  return exit;
}
