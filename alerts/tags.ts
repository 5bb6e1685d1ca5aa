/**
 * Makes Fluentd's tag patterns executable: `*` one part, `**` any number of parts, `{a,b}` one of several, blanks
 * between alternatives.
 */
export function compileTagPattern(patterns: string): (tag: string) => boolean {
  const expressions = patterns
    .split(/\s+/)
    .filter((pattern) => pattern !== '')
    .map((pattern) => new RegExp(`^${sourceOf(pattern)}$`));
  return (tag) => expressions.some((expression) => expression.test(tag));
}

/** `a.**` also takes `a` itself, and `**.a` takes `a`. */
function sourceOf(pattern: string): string {
  return pattern
    .split(/(\.\*\*|\*\*\.|\*\*|\*|\{|\}|,)/)
    .map((piece, index, all) => {
      if (piece === '.**') return String.raw`(?:\..*)?`;
      if (piece === '**.') return String.raw`(?:.*\.)?`;
      if (piece === '**') return '.*';
      if (piece === '*') return String.raw`[^.]*`;
      const depth = all.slice(0, index).filter((p) => p === '{').length - all.slice(0, index).filter((p) => p === '}').length;
      if (piece === '{') return '(?:';
      if (piece === '}' && depth > 0) return ')';
      if (piece === ',' && depth > 0) return '|';
      return piece.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
    })
    .join('');
}
