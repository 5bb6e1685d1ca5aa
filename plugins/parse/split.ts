/** Cutting lines at a delimiter, as Ruby does. */

/**
 * Ruby's `split`: a single blank stands for any run of white space.
 *
 * @param limit  number of pieces at most; the last one keeps the rest. Without it empty pieces at the end stay, too
 */
export function splitText(line: string, delimiter: string, limit = Infinity): string[] {
  const isBlank = delimiter === ' ';
  let rest = isBlank ? line.trimStart() : line;
  const pieces: string[] = [];
  while (pieces.length + 1 < limit) {
    const at = isBlank ? rest.search(/\s/) : rest.indexOf(delimiter);
    if (at < 0) break;
    pieces.push(rest.slice(0, at));
    rest = isBlank ? rest.slice(at).trimStart() : rest.slice(at + delimiter.length);
  }
  pieces.push(rest);
  return pieces;
}

/** Offset of the next `mark` in `bytes[at, end)`, `end` when there is none. */
export function findMark(bytes: Uint8Array, at: number, end: number, mark: Uint8Array): number {
  const first = mark[0] as number;
  const last = end - mark.length;
  for (; at <= last; at++) {
    if (bytes[at] !== first) continue;
    let n = 1;
    while (n < mark.length && bytes[at + n] === mark[n]) n++;
    if (n === mark.length) return at;
  }
  return end;
}
