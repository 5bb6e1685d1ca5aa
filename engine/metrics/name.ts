// White space of every script, control characters, and what Unicode sets aside for formatting or as no character.
export const UNPRINTABLE = /[\s\p{C}\u2028\u2029]+/gu;

/**
 * A path that Graphite's plaintext protocol takes as one field and its functions can name: blanks and control
 * characters become `_`, slashes `-` (they would be folders), what has a meaning in targets (braces, brackets, stars,
 * quotes, commas) `_`. Dots stay. Text in any script stays.
 */
export function cleanPath(path: string): string {
  if (/^[\w.-]+$/.test(path)) return path;
  return path
    .trim()
    .replace(UNPRINTABLE, '_')
    .replaceAll('/', '-')
    .replace(/[{}[\]()*?"'`,\\=;~^!]/g, '_');
}

/** One step of a path from a value of the outside world: as `cleanPath`, and dots become `_`; never empty. */
export function cleanSegment(text: string): string {
  return cleanPath(text).replaceAll('.', '_') || '_';
}
