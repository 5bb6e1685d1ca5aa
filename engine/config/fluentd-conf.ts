/**
 * Reads Fluentd's configuration language (v1).
 *
 *     file      := { section | include | parameter | comment }
 *     section   := "<" name [arg] ">" EOL file "</" name ">" EOL
 *     include   := "@include" path EOL
 *     parameter := name [blanks value] EOL
 *     value     := 'single' | "double with #{...}" | JSON array or map | bare text to the end of the line
 *
 * @see https://docs.fluentd.org/configuration/config-file
 */
import { readEmbedded } from './embedded.ts';
import { MAX_INCLUDE_DEPTH, hasWildcard, resolveInclude, type Surroundings } from './files.ts';
import { readJsonLiteral } from './json-literal.ts';
import type { Param, Problem, Section, SourcePlace } from './model.ts';
import { TextCursor } from './text-cursor.ts';

/** A section that is still being filled. */
export interface OpenSection extends Section {
  readonly params: Map<string, Param>;
  readonly sections: Section[];
}

export interface ReadState {
  readonly surroundings: Surroundings;
  readonly problems: Problem[];
  /** Files being read, outermost first: names the loop when a file includes itself. */
  readonly stack: readonly string[];
  /** Reads an included YAML file; handed in, since YAML may include this language again. */
  readonly yaml?: ((path: string, text: string, into: OpenSection, state: ReadState) => void) | undefined;
}

/** More than this many problems are not collected: the first ones say what is wrong. */
export const MAX_PROBLEMS = 100;
const MAX_NESTING = 64;

export function openSection(name: string, arg: string, place: SourcePlace): OpenSection {
  return { name, arg, params: new Map(), sections: [], place };
}

/**
 * Reads a text into the section given: ROOT, or the section that includes it.
 * What is wrong goes to `state.problems`; reading goes on behind it.
 *
 * @param file  name of the file as the user knows it; includes are relative to it
 */
export function readFluentdConf(file: string, text: string, into: OpenSection, state: ReadState): void {
  new ConfReader(file, text, into, state).read();
}

const RESERVED = new Set(['@type', '@id', '@label', '@log_level']);
const STRICT_SECTIONS = new Set(['ROOT', 'match', 'source', 'filter', 'system']);

class ConfReader {
  readonly #cursor: TextCursor;
  readonly #state: ReadState;
  readonly #file: string;
  readonly #outer: OpenSection;
  /** Sections opened in this file, innermost last. */
  readonly #open: OpenSection[] = [];

  constructor(file: string, text: string, into: OpenSection, state: ReadState) {
    // A byte order mark would become part of the first name.
    this.#cursor = new TextCursor(file, text.startsWith('\uFEFF') ? text.slice(1) : text);
    this.#file = file;
    this.#outer = into;
    this.#state = state;
  }

  read(): void {
    const cursor = this.#cursor;
    for (;;) {
      cursor.skip(SPACING);
      if (cursor.atEnd || this.#state.problems.length >= MAX_PROBLEMS) break;
      const at = cursor.at;
      const done = cursor.skip(END_TAG_START)
        ? this.#endTag(at)
        : cursor.skip(START_TAG_START)
          ? this.#startTag(at)
          : this.#parameter(at);
      if (!done) cursor.skip(REST_OF_LINE);
    }
    for (const section of this.#open)
      this.#problemAt(section.place, `<${section.name}> is never closed`, `add </${section.name}>`);
  }

  get #current(): OpenSection {
    return this.#open.at(-1) ?? this.#outer;
  }

  /** All of these return false when the rest of the line is to be given up. */
  #startTag(at: number): boolean {
    const cursor = this.#cursor;
    const name = cursor.take(SECTION_NAME);
    if (name === undefined) return this.#problem(at, 'expected the name of a section directly after <');
    cursor.skip(BLANKS);
    const isComment = cursor.check(COMMENT);
    const arg = isComment ? '' : this.#text(ARGUMENT_CHARS, 'the argument');
    if (arg === FAILED) return false;
    const section = openSection(name, arg ?? '', cursor.placeOf(at));
    this.#current.sections.push(section);
    this.#open.push(section);
    if (!cursor.skip(TAG_END)) return this.#problem(at, `expected > at the end of <${name}`);
    if (this.#open.length > MAX_NESTING) return this.#problem(at, `sections nested deeper than ${MAX_NESTING}`);
    if (cursor.skip(LINE_END)) return true;
    // `<a></a>`: say what is wrong, and take the section as closed so that the rest is not blamed for it.
    if (cursor.rest().includes(`</${name}>`)) this.#open.pop();
    return this.#problem(cursor.at, `expected the end of the line after <${name}>`);
  }

  #endTag(at: number): boolean {
    const cursor = this.#cursor;
    const name = cursor.take(SECTION_NAME) ?? '';
    if (!cursor.skip(TAG_END)) return this.#problem(at, `expected > at the end of </${name}`);
    const opener = this.#open.findLastIndex((section) => section.name === name);
    if (opener < 0) {
      const current = this.#open.at(-1);
      this.#problem(
        at,
        `</${name}> closes nothing`,
        current ? `open is <${current.name}> from line ${current.place.line}` : 'no section is open in this file',
      );
    } else {
      for (const section of this.#open.splice(opener).slice(1))
        this.#problemAt(section.place, `<${section.name}> is not closed before </${name}>`, `add </${section.name}>`);
    }
    return cursor.skip(LINE_END) || this.#problem(cursor.at, `expected the end of the line after </${name}>`);
  }

  #parameter(at: number): boolean {
    const cursor = this.#cursor;
    const name = this.#text(NAME_CHARS, 'the name');
    if (name === FAILED) return false;
    // Neither a blank nor anything readable: cannot happen behind SPACING, but must not loop.
    if (name === undefined || name === null) return this.#problem(at, 'expected the name of a parameter');
    const section = this.#current;
    const isRoot = section.name === 'ROOT' && section === this.#outer;
    cursor.skip(BLANKS);
    if (name === '@include' || (isRoot && name === 'include')) return this.#include(at);
    if (name.startsWith('@') && !RESERVED.has(name)) {
      const message = `${name}: names that start with @ are reserved`;
      if (STRICT_SECTIONS.has(section.name)) return this.#problem(at, message, 'known are @type, @id, @label and @log_level');
      this.#warn(at, message);
    }
    const value = this.#value();
    if (value === FAILED) return false;
    // The last one of a repeated parameter wins, at the position of the first.
    section.params.set(name, { name, value, place: cursor.placeOf(at) });
    return (
      cursor.skip(LINE_END) ||
      this.#problem(cursor.at, `expected the end of the line after the value of ${name}`, 'put the whole value in quotes')
    );
  }

  #value(): string | null | undefined | typeof FAILED {
    const cursor = this.#cursor;
    if (cursor.check(END_OF_LINE)) return '';
    if (!cursor.check(JSON_START)) {
      const text = this.#text(VALUE_CHARS, 'the value');
      return text === null ? null : text === undefined ? undefined : text;
    }
    const at = cursor.at;
    const json = readJsonLiteral(cursor.text, at, this.#state.surroundings);
    if ('text' in json) {
      cursor.at = json.end;
      return json.text;
    }
    this.#problem(json.at, json.error, 'a value that starts with [ or { is read as JSON; put other text in quotes');
    return FAILED;
  }

  /** Quoted or bare text; `undefined` is use_default, `null` is use_nil. Bare text is everything that `chars` takes. */
  #text(chars: RegExp, what: string): string | null | undefined | typeof FAILED {
    const cursor = this.#cursor;
    if (cursor.skip(DOUBLE_QUOTE)) return this.#doubleQuoted(cursor.at - 1, what);
    if (cursor.skip(SINGLE_QUOTE)) return this.#singleQuoted(cursor.at - 1, what);
    return cursor.take(chars) ?? '';
  }

  #doubleQuoted(start: number, what: string): string | null | undefined | typeof FAILED {
    const cursor = this.#cursor;
    const { text } = cursor;
    let result = '';
    let special: { value: null | undefined } | undefined;
    let failed = false;
    for (;;) {
      result += cursor.take(PLAIN_IN_DOUBLE) ?? '';
      const at = cursor.at;
      const char = text[at];
      if (char === undefined) break;
      cursor.at++;
      if (char === '"') return failed ? FAILED : special ? special.value : result;
      if (char === '\\') {
        const escape = text[cursor.at++] ?? '';
        if (escape === '\r' && text[cursor.at] === '\n') cursor.at++;
        if (/[a-zA-Z0-9]/.test(escape) && !ESCAPES.has(escape)) {
          failed = true;
          this.#problem(
            at,
            `unknown escape \\${escape} in double quotes`,
            'use single quotes, where a backslash is just a backslash',
          );
        } else if (escape !== '\n' && escape !== '\r') result += ESCAPES.get(escape) ?? escape;
      } else if (char === '#' && text[cursor.at] === '{') {
        const inner = readEmbedded(text, cursor.at + 1, this.#state.surroundings);
        cursor.at = inner.end;
        if ('error' in inner) {
          failed = true;
          this.#problem(at, inner.error);
        } else if (typeof inner.value === 'string') result += inner.value;
        else special ??= { value: inner.value };
      } else result += char;
    }
    // Everything to the end of the file was taken for the text: go on at the next line instead.
    cursor.at = start + 1;
    this.#problem(start, `${what} has no closing double quote`);
    return FAILED;
  }

  #singleQuoted(start: number, what: string): string | typeof FAILED {
    const cursor = this.#cursor;
    const raw = cursor.take(PLAIN_IN_SINGLE) ?? '';
    if (cursor.skip(SINGLE_QUOTE)) return raw.replaceAll(/\\(['\\])/g, '$1');
    this.#problem(start, `${what} has no closing single quote on the same line`);
    return FAILED;
  }

  #include(at: number): boolean {
    const cursor = this.#cursor;
    const spec = this.#text(VALUE_CHARS, 'the path');
    if (spec === FAILED) return false;
    if (!cursor.skip(LINE_END)) return this.#problem(cursor.at, 'expected the end of the line after the path');
    includeFiles(spec ?? '', { file: this.#file, place: cursor.placeOf(at), into: this.#current }, this.#state);
    return true;
  }

  #problem(at: number, message: string, hint?: string): false {
    return this.#problemAt(this.#cursor.placeOf(at), message, hint);
  }

  #problemAt(place: SourcePlace, message: string, hint?: string): false {
    this.#state.problems.push({ severity: 'error', place, message, ...(hint !== undefined && { hint }) });
    return false;
  }

  #warn(at: number, message: string): void {
    this.#state.problems.push({ severity: 'warning', place: this.#cursor.placeOf(at), message });
  }
}

/** Reads the files of one include into a section. A file that is not there is a warning, a pattern without a match is nothing. */
export function includeFiles(
  spec: string,
  from: { readonly file: string; readonly place: SourcePlace; readonly into: OpenSection },
  state: ReadState,
): void {
  const { place } = from;
  const report = (message: string, severity: Problem['severity'] = 'error'): unknown =>
    state.problems.push({ severity, place, message });
  const paths = resolveInclude(spec, from.file, state.surroundings.files);
  if ('error' in paths) return void report(paths.error);
  // Fluentd says nothing here; a configuration that lacks a part should at least be told.
  if (paths.length === 0 && !hasWildcard(spec)) report(`${spec}: no such file, nothing is included`, 'warning');
  for (const path of paths) {
    if (state.stack.includes(path)) report(`${path} includes itself: ${[...state.stack, path].join(' > ')}`);
    else if (state.stack.length >= MAX_INCLUDE_DEPTH) report(`includes nested deeper than ${MAX_INCLUDE_DEPTH}`);
    else readIncluded(path, from, state);
  }
}

function readIncluded(path: string, { place, into }: { place: SourcePlace; into: OpenSection }, state: ReadState): void {
  const text = state.surroundings.files.read(path);
  if (typeof text !== 'string') return void state.problems.push({ severity: 'error', place, message: text.error });
  const inner: ReadState = { ...state, stack: [...state.stack, path] };
  if (/\.ya?ml$/.test(path) && state.yaml) state.yaml(path, text, into, inner);
  else readFluentdConf(path, text, into, inner);
}

const FAILED = Symbol('failed');

const ESCAPES = new Map([
  ['r', '\r'],
  ['n', '\n'],
  ['t', '\t'],
  ['f', '\f'],
  ['b', '\b'],
  ['0', '\0'],
]);

// All sticky: they match at the cursor or not at all.
const SPACING = /(?:[ \t\r\n]|#[^\r\n]*)+/y;
const BLANKS = /[ \t]+/y;
const LINE_END = /[ \t]*(?:#[^\r\n]*)?(?:\r\n|[\r\n]|$)/y;
const END_OF_LINE = /[\r\n]|$/y;
const REST_OF_LINE = /[^\r\n]*/y;
const END_TAG_START = /<\//y;
const START_TAG_START = /</y;
const TAG_END = /[ \t\r\n]*>/y;
const COMMENT = /#/y;
const SECTION_NAME = /[a-zA-Z0-9_]+/y;
const JSON_START = /[[{]/y;
const DOUBLE_QUOTE = /"/y;
const SINGLE_QUOTE = /'/y;
const NAME_CHARS = /[^ \t\r\n]+/y;
const PLAIN_IN_DOUBLE = /[^"\\#]+/y;
const PLAIN_IN_SINGLE = /(?:\\['\\]|[^'\r\n])*/y;
/** To the end of the line or to blanks before a comment; blanks at the end are left out. */
const VALUE_CHARS = /(?:[^ \t\r\n]|[ \t]+(?![ \t]*(?:#|[\r\n]|$)))+/y;
/** To the closing `>` or the end of the line; blanks before the `>` are left out. */
const ARGUMENT_CHARS = /(?:[^ \t\r\n>]|[ \t]+(?![ \t]*(?:>|[\r\n]|$)))+/y;
