/**
 * Reads the YAML spelling of a configuration into the same tree of sections, and keeps `alerts:`, `dashboards:`
 * and `targets:` as plain data whose places are known.
 *
 *     include: fluent.conf            # text or list; read before `config`
 *     system: { workers: 2 }
 *     config:
 *       - source: { $type: forward, port: 24224 }
 *       - match: { $tag: app.**, $type: stdout }
 *     alerts: [ ... ]
 *
 * @see https://docs.fluentd.org/configuration/config-file-yaml
 */
import { dirname, isAbsolute, relative } from 'node:path';
import {
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseDocument,
  type Alias,
  type Document,
  type Node,
  type Pair,
} from 'yaml';
import { readEmbedded } from './embedded.ts';
import { MAX_INCLUDE_DEPTH, hasWildcard, resolveInclude } from './files.ts';
import { includeFiles, openSection, type OpenSection, type ReadState } from './fluentd-conf.ts';
import type { Param, ParamValue, Section, SourcePlace } from './model.ts';

/** Data with the place of every part, so that an error in a rule or a dashboard can be shown where it stands. */
export interface Placed {
  readonly value: unknown;
  readonly place: SourcePlace;
  /** By key or by index in text. */
  readonly children: ReadonlyMap<string, Placed>;
}

export interface YamlResult {
  /** Top-level data beside Fluentd's sections, by name. */
  readonly extras: ReadonlyMap<string, Placed>;
}

export const EXTRA_NAMES = ['alerts', 'dashboards', 'targets'] as const;

/** A document of more values (aliases counted each time) is refused: a few aliases can stand for billions. */
const MAX_NODES = 200_000;
const MAX_DEPTH = 64;

/** Reads a whole file into ROOT (or into the section that includes it). Problems go to `state`. */
export function readYaml(file: string, text: string, into: OpenSection, state: ReadState): YamlResult {
  const reader = new YamlReader(file, text, state);
  const extras = new Map<string, Placed>();
  const root = reader.root();
  if (root === undefined) return { extras };
  // A list on top: the elements of a `config`, as `!include` expects them.
  if (Array.isArray(root.value)) reader.elements(root, into);
  else if (root.children.size > 0) {
    for (const [name, placed] of root.children) {
      if (name === 'include') for (const path of textsOf(placed)) includeFiles(path, { file, place: placed.place, into }, state);
      else if (name === 'system') into.sections.push(reader.section('system', placed));
      else if (name === 'config') reader.elements(placed, into);
      else if ((EXTRA_NAMES as readonly string[]).includes(name)) extras.set(name, placed);
      else
        reader.problem(
          placed.place,
          `unknown name ${name} at the top level`,
          `known are include, system, config, ${EXTRA_NAMES.join(', ')}`,
        );
    }
  } else if (root.value !== null) reader.problem(root.place, 'expected a map with system and config');
  return { extras };
}

class YamlReader {
  readonly #file: string;
  readonly #state: ReadState;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;
  readonly #resolved = new Map<Alias, Node | null>();
  #nodes = 0;

  constructor(file: string, text: string, state: ReadState) {
    this.#file = file;
    this.#state = state;
    this.#document = parseDocument(text.startsWith('\uFEFF') ? text.slice(1) : text, {
      lineCounter: this.#lines,
      prettyErrors: false,
      stringKeys: false,
      logLevel: 'silent',
    });
  }

  /** The document as data with places; undefined when it cannot be read. */
  root(): Placed | undefined {
    for (const error of this.#document.errors) this.problem(this.#placeAt(error.pos[0]), problemText(error.message));
    if (this.#document.errors.length > 0) return undefined;
    const { contents } = this.#document;
    return contents === null ? undefined : this.#placed(contents, this.#placeOf(contents), 0);
  }

  /** A list of `- source: ...`, `- match: ...`; includes are spliced in by `#placed`. */
  elements(list: Placed, into: OpenSection): void {
    if (!Array.isArray(list.value)) {
      if (list.value !== null) this.problem(list.place, 'expected a list of source, filter, match, label and worker');
      return;
    }
    for (const item of list.children.values()) {
      if (!isRecord(item.value)) this.problem(item.place, 'expected source:, filter:, match:, label: or worker:');
      for (const [name, body] of item.children) {
        if (name === 'include')
          for (const path of textsOf(body)) includeFiles(path, { file: body.place.file, place: body.place, into }, this.#state);
        else into.sections.push(this.section(name, body));
      }
    }
  }

  section(name: string, body: Placed): Section {
    const hasElements = (name === 'label' || name === 'worker') && body.children.has('config');
    const args = name === 'label' ? ['$name', '$arg'] : name === 'match' || name === 'filter' ? ['$tag', '$arg'] : ['$arg'];
    const argument = args.map((key) => body.children.get(key)).find((found) => found !== undefined);
    // A list of tags means any of them, which is a blank in pattern syntax; lists elsewhere are joined as Fluentd does.
    const joiner = name === 'match' || name === 'filter' ? ' ' : ',';
    const section = openSection(name, argument === undefined ? '' : textsOf(argument).join(joiner), body.place);
    if (body.value !== null && !isRecord(body.value)) this.problem(body.place, `expected a map below ${name}:`);
    for (const [key, child] of body.children) {
      if (args.includes(key)) continue;
      if (hasElements && key === 'config') this.elements(child, section);
      else this.#member(key, child, section);
    }
    return section;
  }

  problem(place: SourcePlace, message: string, hint?: string): void {
    this.#state.problems.push({ severity: 'error', place, message, ...(hint !== undefined && { hint }) });
  }

  #member(key: string, child: Placed, section: OpenSection): void {
    const name = SHORTHANDS.get(key) ?? key;
    const items =
      Array.isArray(child.value) && isRecord(child.value[0])
        ? [...child.children.values()]
        : isRecord(child.value)
          ? [child]
          : undefined;
    if (items === undefined) {
      const param: Param = { name, value: child.value as ParamValue | undefined, place: child.place };
      section.params.set(name, param);
    } else for (const item of items) section.sections.push(this.section(name, item));
  }

  #placed(node: Node | null, place: SourcePlace, depth: number): Placed {
    if (++this.#nodes > MAX_NODES || depth > MAX_DEPTH) {
      if (this.#nodes === MAX_NODES + 1 || depth > MAX_DEPTH)
        this.problem(place, depth > MAX_DEPTH ? `nested deeper than ${MAX_DEPTH}` : `more than ${MAX_NODES} values`);
      return leaf(null, place);
    }
    if (isAlias(node)) return this.#placed(this.#resolve(node), place, depth + 1);
    if (node !== null && node.tag !== undefined && node.tag.startsWith('!')) return this.#tagged(node, place, depth);
    return this.#untagged(node, place, depth);
  }

  /** Resolving walks the whole document, and an alias inside an aliased part is met many times. */
  #resolve(alias: Alias): Node | null {
    let node = this.#resolved.get(alias);
    if (node === undefined) this.#resolved.set(alias, (node = alias.resolve(this.#document) ?? null));
    return node;
  }

  #untagged(node: Node | null, place: SourcePlace, depth: number): Placed {
    if (isMap(node)) return this.#map(node.items as Pair<Node, Node | null>[], place, depth);
    if (isSeq(node))
      return placedList(
        node.items.flatMap((item) => this.#item(item as Node | null, depth)),
        place,
      );
    return leaf(isScalar(node) ? node.value : null, place);
  }

  #map(pairs: readonly Pair<Node, Node | null>[], place: SourcePlace, depth: number): Placed {
    const children = new Map<string, Placed>();
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : '';
      if (name === '') this.problem(this.#placeOf(key), 'expected a name');
      const child = this.#placed(value, this.#placeOf(key), depth + 1);
      if (name !== '<<') children.set(name, child);
      else
        for (const part of Array.isArray(child.value) ? child.children.values() : [child])
          for (const [inner, merged] of part.children) if (!children.has(inner)) children.set(inner, merged);
    }
    return { value: Object.fromEntries([...children].map(([name, child]) => [name, child.value])), place, children };
  }

  /** One item of a list; an `!include` stands for the items of the lists it names. */
  #item(node: Node | null, depth: number): Placed[] {
    const placed = this.#placed(node, this.#placeOf(node), depth + 1);
    return node?.tag === '!include' && Array.isArray(placed.value) ? [...placed.children.values()] : [placed];
  }

  #tagged(node: Node, place: SourcePlace, depth: number): Placed {
    const text = isScalar(node) && typeof node.value === 'string' ? node.value : undefined;
    if (node.tag === '!fluent/json') return leaf(JSON.stringify(this.#untagged(node, place, depth).value), place);
    if (node.tag === '!fluent/s' && text !== undefined) return leaf(this.#interpolate(text, place), place);
    if (node.tag === '!include' && text !== undefined) return this.#include(text, place);
    if (node.tag !== '!')
      this.problem(place, `unknown tag ${node.tag}`, 'known are !include PATH, !fluent/s TEXT and !fluent/json');
    return this.#untagged(node, place, depth);
  }

  #interpolate(text: string, place: SourcePlace): string | null | undefined {
    let result = '';
    for (let at = 0; ;) {
      const next = text.indexOf('#{', at);
      if (next < 0) return result + text.slice(at);
      result += text.slice(at, next);
      const inner = readEmbedded(text, next + 2, this.#state.surroundings);
      at = inner.end;
      if ('error' in inner) {
        this.problem(place, inner.error);
        return '';
      }
      if (typeof inner.value !== 'string') return inner.value;
      result += inner.value;
    }
  }

  /** The lists of all files named, one after another; a single file may hold any value. */
  #include(spec: string, place: SourcePlace): Placed {
    const { surroundings, stack, problems } = this.#state;
    const paths = resolveInclude(spec, this.#file, surroundings.files);
    if ('error' in paths) {
      this.problem(place, paths.error);
      return leaf(null, place);
    }
    if (paths.length === 0 && !hasWildcard(spec))
      problems.push({ severity: 'warning', place, message: `${spec}: no such file, nothing is included` });
    const parts: Placed[] = [];
    for (const path of paths) {
      const text = surroundings.files.read(path);
      if (stack.includes(path)) this.problem(place, `${path} includes itself: ${[...stack, path].join(' > ')}`);
      else if (stack.length >= MAX_INCLUDE_DEPTH) this.problem(place, `includes nested deeper than ${MAX_INCLUDE_DEPTH}`);
      else if (typeof text !== 'string') this.problem(place, text.error);
      else if (!/\.ya?ml$/.test(path)) parts.push(placedList([includeElement(path, this.#file, place)], place));
      else {
        const part = new YamlReader(path, text, { ...this.#state, stack: [...stack, path] }).root();
        if (part) parts.push(part);
      }
    }
    if (parts.length === 1 && parts[0] && !hasWildcard(spec)) return parts[0];
    return placedList(
      parts.flatMap((part) => (Array.isArray(part.value) ? [...part.children.values()] : [part])),
      place,
    );
  }

  #placeOf(node: Node | null): SourcePlace {
    return this.#placeAt(node?.range?.[0] ?? 0);
  }

  #placeAt(offset: number): SourcePlace {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

const SHORTHANDS = new Map([
  ['$type', '@type'],
  ['$id', '@id'],
  ['$label', '@label'],
  ['$log_level', '@log_level'],
]);

const leaf = (value: unknown, place: SourcePlace): Placed => ({ value, place, children: new Map() });

function placedList(items: readonly Placed[], place: SourcePlace): Placed {
  return { value: items.map((item) => item.value), place, children: new Map(items.map((item, index) => [String(index), item])) };
}

/** `- !include part.conf` stands for `- include: part.conf`; the path is given as seen from the including file. */
function includeElement(path: string, from: string, place: SourcePlace): Placed {
  const seen = isAbsolute(path) ? path : relative(dirname(from), path);
  return { value: { include: seen }, place, children: new Map([['include', leaf(seen, place)]]) };
}

function textsOf(placed: Placed): string[] {
  const values: unknown[] = Array.isArray(placed.value) ? placed.value : [placed.value];
  return values.filter((value) => value !== null && value !== undefined).map(String);
}

/** The library runs out of stack before it is our turn to count; how deep that is depends on who called. */
function problemText(text: string): string {
  return text.startsWith('Maximum call stack') ? `nested deeper than ${MAX_DEPTH}` : (text.split('\n', 1)[0] ?? '');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
