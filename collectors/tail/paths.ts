/** From the patterns of `path` to files, and from files to tags. */
import { readdirSync, statSync, type Dirent } from 'node:fs';
import { join } from 'node:path';

export const GLOB_POLICIES = ['backward_compatible', 'extended', 'always'] as const;
export type GlobPolicy = (typeof GLOB_POLICIES)[number];

/** Patterns that one with `{a,b}` may stand for. */
export const BRACES_MAX = 100;

/** Whether a path is a pattern; otherwise it names one file, which need not exist yet. */
export function isPattern(path: string, policy: GlobPolicy): boolean {
  if (path.includes('*')) return true;
  if (policy === 'backward_compatible') return false;
  return /[?[]/.test(path) || (policy === 'always' && path.includes('{'));
}

/** Which of the files that patterns find are wanted, and how many at most. */
export interface Search {
  readonly isWanted: (path: string) => boolean;
  readonly max: number;
}

/**
 * Files that absolute patterns find, in order and without repeats. Paths that are no pattern are given back as they are,
 * and first.
 *
 * @returns one more than `max` when there are more; which ones are left out then is up to the file system
 */
export function findFiles(patterns: readonly string[], policy: GlobPolicy, { isWanted, max }: Search): string[] {
  const named = patterns.filter((pattern) => !isPattern(pattern, policy) && isWanted(pattern)).slice(0, max + 1);
  const found = new Found(new Set(named), isWanted, max);
  for (const pattern of patterns)
    if (isPattern(pattern, policy)) for (const one of expandBraces(pattern)) walk('/', one.split('/').filter(Boolean), found);
  return [...found.paths].sort();
}

class Found {
  readonly paths: Set<string>;
  readonly #isWanted: (path: string) => boolean;
  readonly #max: number;

  constructor(paths: Set<string>, isWanted: (path: string) => boolean, max: number) {
    this.paths = paths;
    this.#isWanted = isWanted;
    this.#max = max;
  }

  get isFull(): boolean {
    return this.paths.size > this.#max;
  }

  add(path: string): void {
    if (!this.isFull && this.#isWanted(path)) this.paths.add(path);
  }
}

/** A test for whole paths, for `exclude_path`. */
export function pathMatcher(patterns: readonly string[]): (path: string) => boolean {
  const expressions = patterns.flatMap((pattern) =>
    expandBraces(pattern).map((one) => {
      const body = one
        .split('/')
        .map((part) => (part === '**' ? '(?:[^/]+(?:/[^/]+)*)?' : partSource(part)))
        .join('/');
      return new RegExp(`^${body.replaceAll('(?:[^/]+(?:/[^/]+)*)?/', '(?:[^/]+/)*')}$`, 's');
    }),
  );
  return (path) => expressions.some((expression) => expression.test(path));
}

/** `*` in a tag stands for the path, its slashes as dots. Of a tag with several, the first two pieces count, as in Fluentd. */
export function tagOf(tag: string, path: string): string {
  if (!tag.includes('*')) return tag;
  const [before = '', after = ''] = tag.split('*');
  const middle = path
    .replaceAll('/', '.')
    .replaceAll(/\.{2,}/g, '.')
    .replace(/^\./, '');
  return `${before}${middle}${after}`;
}

function walk(folder: string, parts: readonly string[], found: Found): void {
  if (found.isFull) return;
  const [part, ...rest] = parts;
  if (part === undefined) return;
  if (part === '**') {
    walk(folder, rest, found);
    for (const entry of list(folder))
      if (entry.isDirectory() && !entry.name.startsWith('.')) walk(join(folder, entry.name), parts, found);
    return;
  }
  if (!/[*?[]/.test(part)) {
    const path = join(folder, part);
    if (rest.length > 0) walk(path, rest, found);
    else if (kindOf(path) === 'file') found.add(path);
    return;
  }
  const expression = new RegExp(`^${partSource(part)}$`, 's');
  for (const entry of list(folder)) {
    if (found.isFull) return;
    if (!expression.test(entry.name)) continue;
    const path = join(folder, entry.name);
    const kind = entry.isFile() ? 'file' : entry.isDirectory() ? 'folder' : entry.isSymbolicLink() ? kindOf(path) : undefined;
    if (rest.length > 0) {
      if (kind === 'folder') walk(path, rest, found);
    } else if (kind === 'file') found.add(path);
  }
}

function list(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    // A folder that is not there (yet) or cannot be read holds no files to read.
    return [];
  }
}

function kindOf(path: string): 'file' | 'folder' | undefined {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isFile() === true) return 'file';
  return found?.isDirectory() === true ? 'folder' : undefined;
}

/** One part between slashes as the source of an expression; `*` and `?` leave hidden files alone. */
function partSource(part: string): string {
  let source = /^[*?[]/.test(part) ? '(?!\\.)' : '';
  for (let at = 0; at < part.length; at++) {
    const char = part[at] as string;
    const close = char === '[' ? part.indexOf(']', at + 2) : -1;
    if (char === '*') source += '[^/]*';
    else if (char === '?') source += '[^/]';
    else if (close > 0) {
      const set = part.slice(at + 1, close);
      const isNegated = /^[!^]/.test(set);
      source += `[${isNegated ? '^/' : ''}${(isNegated ? set.slice(1) : set).replaceAll(/[\\\]^[]/g, '\\$&')}]`;
      at = close;
    } else source += char.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  }
  return source;
}

/** Whether `{a,b}` in a pattern stands for more patterns than are looked for. */
export function hasTooManyChoices(pattern: string): boolean {
  return expandBraces(pattern, BRACES_MAX + 1).length > BRACES_MAX;
}

/** What `{a,b}` stands for, in order, at most `max` of them. */
function expandBraces(pattern: string, max = BRACES_MAX): string[] {
  const expanded: string[] = [];
  const open = [pattern];
  for (let next = open.pop(); next !== undefined && expanded.length < max; next = open.pop()) {
    const found = /^([^{}]*)\{([^{}]*)\}(.*)$/s.exec(next);
    if (found === null) expanded.push(next);
    else {
      const [, before = '', choices = '', after = ''] = found;
      for (const choice of choices.split(',').reverse()) open.push(`${before}${choice}${after}`);
    }
  }
  return expanded;
}
