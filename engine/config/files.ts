import { globSync, readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';

/** What a configuration may look at beside its own text; handed in, so that tests need no disk. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly hostname: string;
  /** Absent outside a worker: `#{worker_id}` is then the empty text. */
  readonly workerId?: number | undefined;
  readonly files: ConfigFiles;
}

export interface ConfigFiles {
  /** The text of a file, or why there is none. */
  read(path: string): string | { readonly error: string };
  /** Paths that match, in byte order; a pattern without wildcards gives the path itself when it exists. */
  glob(pattern: string): readonly string[];
}

/** Bounds that keep an include loop or a wrong file from filling the memory. */
export const MAX_FILE_BYTES = 16 * 1024 * 1024;
export const MAX_INCLUDE_DEPTH = 16;

export const diskFiles: ConfigFiles = {
  read(path) {
    try {
      const bytes = readFileSync(path);
      if (bytes.length > MAX_FILE_BYTES) return { error: `${path} is larger than ${MAX_FILE_BYTES} bytes` };
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    } catch (error) {
      if (error instanceof TypeError) return { error: `${path} is not UTF-8 text` };
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      return { error: `cannot read ${path}: ${code === 'ENOENT' ? 'no such file' : code}` };
    }
  },
  glob(pattern) {
    return sortBytes(globSync(pattern).filter((path) => path !== '.' && path !== '..'));
  },
};

/** Files in memory, for tests and for checking a text that stands in no file. */
export function memoryFiles(files: Readonly<Record<string, string>>): ConfigFiles {
  const paths = Object.keys(files);
  return {
    read: (path) => (Object.hasOwn(files, path) ? (files[path] ?? '') : { error: `cannot read ${path}: no such file` }),
    glob: (pattern) => sortBytes(paths.filter((path) => globRegExp(pattern).test(path))),
  };
}

export const hasWildcard = (path: string): boolean => /[*?[\]]/.test(path);

/**
 * The files an include names, relative to the including file.
 *
 * @returns an error text for what cannot be a path: URLs, and braces, which Fluentd refuses too
 */
export function resolveInclude(spec: string, from: string, files: ConfigFiles): readonly string[] | { readonly error: string } {
  const path = spec.startsWith('file://') ? spec.slice('file://'.length) : spec;
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(path)) return { error: `cannot include ${redactUrl(path)}: only files can be included` };
  if (/[{}]/.test(path)) return { error: `cannot include ${path}: braces are not allowed in an include path` };
  if (path === '') return { error: 'expected a path after @include' };
  return files.glob(isAbsolute(path) ? path : join(dirname(from), path));
}

/** A URL may carry a password in front of the host. */
const redactUrl = (url: string): string => url.replace(/\/\/[^@/]*@/, '//***@');

function sortBytes(paths: readonly string[]): string[] {
  return paths.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

function globRegExp(pattern: string): RegExp {
  const source = pattern.replaceAll(/\*\*\/|\*|\?|\[[^\]]+\]|[^*?]/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '*') return '[^/]*';
    if (part === '?') return '[^/]';
    return part.length > 1 && part.startsWith('[') ? classRegExp(part) : part.replace(/[\\^$.|+(){}[\]]/g, '\\$&');
  });
  return new RegExp(`^${source}$`);
}

/** `[a-z]` and `[!a]`; a range that runs backwards matches nothing, as in a shell. */
function classRegExp(part: string): string {
  const source = `[${part.slice(1, -1).replace(/^[!^]/, '^').replaceAll(/[\\[]/g, '\\$&')}]`;
  try {
    return new RegExp(source).source;
  } catch {
    // Not a class at all: no file name is matched by it.
    return '(?!)';
  }
}
