import { translateRubyRegexp } from '../config/ruby-regexp.ts';

export type TagMatcher = (tag: string) => boolean;

/**
 * Compiles the argument of `<match>` or `<filter>`: patterns separated by white space, any of which may match.
 *
 * `*` is one part of a tag (perhaps empty), `**` any number of parts, `{a,b}` either, `/re/` an expression over
 * the whole tag, `\x` the character x. An empty text matches everything. A dot at the end of a pattern and a
 * brace that is never closed are forgiven, as in Fluentd.
 *
 * @returns a text that says what is wrong with a pattern
 */
export function compilePattern(text: string): TagMatcher | { readonly error: string } {
  const matchers: TagMatcher[] = [];
  for (const pattern of text.split(/\s+/).filter((part) => part !== '')) {
    const matcher = compileOne(pattern);
    if ('error' in matcher) return matcher;
    matchers.push(matcher);
  }
  const [first, second] = matchers;
  if (first === undefined) return () => true;
  return second === undefined ? first : (tag) => matchers.some((matches) => matches(tag));
}

function compileOne(pattern: string): TagMatcher | { readonly error: string } {
  if (pattern === '**') return () => true;
  if (pattern.startsWith('/')) {
    if (pattern.length < 2 || !pattern.endsWith('/'))
      return { error: `${pattern}: expected a closing / (patterns are separated by blanks, an expression cannot contain one)` };
    const regexp = translateRubyRegexp(`\\A(?:${pattern.slice(1, -1)})\\z`);
    return typeof regexp === 'string' ? { error: `${pattern}: ${regexp}` } : (tag) => regexp.test(tag);
  }
  if (/^[^*{\\]*[^*{\\.]$/.test(pattern)) return (tag) => tag === pattern;
  const source = globSource(pattern);
  if (source === undefined) return { error: `${pattern}: braces nested deeper than ${MAX_BRACES}` };
  const regexp = new RegExp(`^${source}$`, 'su');
  return (tag) => regexp.test(tag);
}

const MAX_BRACES = 32;

/**
 * Step by step as Fluentd's GlobMatchPattern, whose answers for odd patterns follow from this order of tests:
 * a dot is kept back until it is known what follows, since `a.**` matches `a` too.
 */
function globSource(pattern: string): string | undefined {
  /** Finished alternatives of each open brace. */
  const groups: string[][] = [];
  const parts: string[] = [''];
  let dot = false;
  const put = (source: string): void => void parts.push((parts.pop() ?? '') + source);
  /** Twice the same freedom means the same as once, and would be tried in as many ways as a tag can be cut. */
  const putOnce = (source: string): void => {
    if (!(parts.at(-1) ?? '').endsWith(source)) put(source);
  };
  const close = (): void => {
    const alternatives = [...(groups.pop() ?? []), parts.pop() ?? ''];
    put(`(?:${alternatives.join('|')})`);
  };
  const characters = Array.from(pattern);
  for (let i = 0; i < characters.length; i++) {
    const char = characters[i] ?? '';
    if (char === '*' && characters[i + 1] === '*') {
      // The dot before is optional, but nothing may stand between it and what is before: `a.**` is not `ab`.
      if (dot) put('(?![^.])');
      dot = false;
      i++;
      if (characters[i + 1] === '.') {
        putOnce('(?:.*\\.|^)');
        i++;
      } else putOnce('.*');
      continue;
    }
    if (dot) put('\\.');
    dot = false;
    if (char === '\\') {
      i++;
      put(escaped(characters[i] ?? ''));
    } else if (char === '.') dot = true;
    else if (char === '*') {
      // Any number of parts is followed by any text already.
      if (!(parts.at(-1) ?? '').endsWith('.*')) put('[^.]*');
    } else if (char === '{') {
      if (groups.length === MAX_BRACES) return undefined;
      groups.push([]);
      parts.push('');
    } else if (char === '}' && groups.length > 0) close();
    else if (char === ',' && groups.length > 0) {
      groups.at(-1)?.push(parts.pop() ?? '');
      parts.push('');
    } else put(escaped(char));
  }
  while (groups.length > 0) close();
  return parts.join('');
}

const escaped = (char: string): string => char.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
