/** Everything that is wrong with a configuration, found before anything starts. */
import type * as z from 'zod';
import type { Kind, Registered } from '../component.ts';
import { compilePattern } from '../pipeline/match-pattern.ts';
import { injectConfig } from '../inject.ts';
import type { Param, Problem, Section } from './model.ts';
import { sortedByPlace, suggest } from './problems.ts';
import { childSections, paramText, sectionToInput } from './section.ts';
import { LOG_LEVELS, systemConfig, type SystemConfig } from './system.ts';
import { metaOf, shapeOf, validateInput, validateSection, type Validated } from './validate.ts';

/** What the check asks of the registry. */
export interface Lookup {
  find(kinds: readonly Kind[], type: string): Registered | undefined;
  names(kinds: readonly Kind[]): string[];
}

export interface CheckOptions {
  readonly registry: Lookup;
  /** Schema of `<buffer>`; the section's argument is its key `@arg`. */
  readonly buffer?: z.ZodType;
  /** `fluent.conf`, where sources without `bind` listen on all addresses. */
  readonly isFluentd?: boolean;
}

/** Walks the whole tree; the problems come in the order of the files. */
export async function checkConfig(root: Section, options: CheckOptions): Promise<readonly Problem[]> {
  const check = new Check(root, options);
  await check.run();
  return sortedByPlace(check.problems, filesOf(root));
}

/**
 * The `<system>` sections as one: parameters of later ones win.
 *
 * @returns with the defaults when a section is not valid; `problems` says what is wrong
 */
export function readSystem(sections: readonly Section[]): {
  readonly system: SystemConfig;
  readonly problems: readonly Problem[];
} {
  const problems = sections.flatMap((section) => validateSection(section, SYSTEM).problems);
  const [first] = sections;
  if (first === undefined || problems.length > 0) return { system: systemConfig.parse({}), problems };
  const params = new Map(sections.flatMap((section) => [...section.params]));
  const merged: Section = { ...first, params, sections: sections.flatMap((section) => section.sections) };
  const result = validateSection(merged, SYSTEM);
  return { system: (result.value ?? systemConfig.parse({})) as SystemConfig, problems: result.problems };
}

const SYSTEM: Validated = { name: 'system', config: systemConfig };

type Place = 'root' | 'label' | 'worker';
const KNOWN_SECTIONS: Record<Place, readonly string[]> = {
  root: ['source', 'filter', 'match', 'label', 'worker', 'system'],
  label: ['filter', 'match'],
  worker: ['source', 'filter', 'match', 'label'],
};

/** Outputs that the engine is itself. */
const BUILT_IN = new Set(['copy', 'relabel']);
/** What a section of an output may hold beside what its component declares. */
/** What the engine reads of an output and of a source, beside what its schema knows. */
const OUTPUT_READS = ['buffer', 'secondary', 'inject'];
const SOURCE_READS = ['durability'];
const DURABILITY = ['memory', 'os', 'fsync'];

class Check {
  readonly problems: Problem[] = [];
  readonly #root: Section;
  readonly #options: CheckOptions;
  readonly #labels = new Map<string, Section>();
  readonly #ids = new Map<string, Section>();
  readonly #workers: number;
  readonly #workerOwners = new Map<number, Section>();

  constructor(root: Section, options: CheckOptions) {
    this.#root = root;
    this.#options = options;
    this.#workers = readSystem(childSections(root, 'system')).system.workers;
    for (const scope of [root, ...childSections(root, 'worker')])
      for (const label of childSections(scope, 'label')) if (!this.#labels.has(label.arg)) this.#labels.set(label.arg, label);
  }

  async run(): Promise<void> {
    await this.#level(this.#root, 'root');
  }

  async #level(scope: Section, where: Place): Promise<void> {
    for (const param of scope.params.values())
      this.#report(param, 'warning', `${param.name} is not used here`, 'parameters stand inside of sections');
    /** The match that takes everything: what follows is never reached. */
    let taker: Section | undefined;
    for (const section of scope.sections) {
      if (!KNOWN_SECTIONS[where].includes(section.name)) {
        this.#report(
          section,
          where === 'root' ? 'warning' : 'error',
          `unknown section <${section.name}>`,
          suggest(section.name, KNOWN_SECTIONS[where]),
        );
        continue;
      }
      if (section.name === 'filter' || section.name === 'match') {
        if (taker !== undefined)
          this.#report(
            section,
            'warning',
            `<${section.name} ${section.arg}> is never reached`,
            `<match ${taker.arg}> in line ${taker.place.line} takes every event`,
          );
        this.#pattern(section);
      }
      await this.#section(section);
      if (section.name === 'match' && section.arg.split(/\s+/).some((pattern) => pattern === '**' || pattern === ''))
        taker ??= section;
    }
  }

  async #section(section: Section): Promise<void> {
    switch (section.name) {
      case 'system':
        this.problems.push(...validateSection(section, SYSTEM).problems);
        break;
      case 'label':
        this.#labelName(section);
        await this.#level(section, 'label');
        break;
      case 'worker':
        this.#workerRange(section);
        await this.#level(section, 'worker');
        break;
      case 'source':
        await this.#component(section, ['source']);
        break;
      case 'filter':
        await this.#component(section, ['filter', 'consumer']);
        break;
      default:
        await this.#output(section);
    }
  }

  async #output(section: Section): Promise<void> {
    const type = paramText(section, '@type');
    // The router carries these two out; their declarations, where there are any, still say what they take.
    const isBuiltIn = type !== undefined && BUILT_IN.has(type);
    if (isBuiltIn && this.#options.registry.find(['output'], type) === undefined) this.#common(section);
    else await this.#component(section, ['output', 'consumer']);
    if (type === 'relabel' && section.params.get('@label') === undefined)
      this.#report(section, 'error', 'relabel needs an @label');
    if (type === 'copy' && childSections(section, 'store').length === 0)
      this.#report(section, 'error', 'copy needs at least one <store>');
    for (const buffer of childSections(section, 'buffer')) this.#buffer(buffer);
    for (const inject of childSections(section, 'inject'))
      this.problems.push(...validateSection(inject, { name: '<inject>', config: injectConfig }).problems);
    for (const store of childSections(section, 'store')) await this.#output(store);
    for (const secondary of childSections(section, 'secondary'))
      if (paramText(secondary, '@type') !== undefined) await this.#component(secondary, ['output']);
  }

  #buffer(section: Section): void {
    const { buffer } = this.#options;
    if (buffer === undefined) return;
    const input = { ...sectionToInput(section, (name) => name === '@type'), '@arg': section.arg };
    this.problems.push(...validateInput(section, input, { name: '<buffer>', config: buffer }).problems);
  }

  async #component(section: Section, kinds: readonly Kind[]): Promise<void> {
    this.#common(section);
    const definition = await this.#definition(section, kinds);
    if (definition === undefined) return;
    const isOutput = kinds.includes('output');
    const durability = kinds.includes('source') ? paramText(section, 'durability') : undefined;
    if (durability !== undefined && !DURABILITY.includes(durability))
      this.#reportParam(section, 'durability', `durability: must be one of ${DURABILITY.join(', ')}, found "${durability}"`);
    const shape = shapeOf(definition.config) ?? {};
    const listens =
      this.#options.isFluentd === true && section.name === 'source' && 'bind' in shape && !section.params.has('bind');
    if (listens)
      this.#report(
        section,
        'warning',
        `${definition.name} listens on all addresses, as in Fluentd`,
        'set bind to say where, for instance 127.0.0.1',
      );
    const result = validateSection(section, definition, {
      ...(isOutput && { engineReads: OUTPUT_READS }),
      ...(kinds.includes('source') && { engineReads: SOURCE_READS }),
      ...(listens && { defaults: { bind: '0.0.0.0' } }),
    });
    this.problems.push(...result.problems);
    for (const [name, kind] of PARTS)
      if (String(metaOf(shape[name])['kind']).startsWith('rawSection'))
        for (const part of childSections(section, name)) await this.#part(part, kind);
  }

  /** `<parse>` and `<format>`; without a `@type` the component's own choice holds. */
  async #part(section: Section, kind: Kind): Promise<void> {
    if (!section.params.has('@type')) return;
    const definition = await this.#definition(section, [kind]);
    if (definition !== undefined) this.problems.push(...validateSection(section, definition).problems);
  }

  async #definition(section: Section, kinds: readonly Kind[]): Promise<Validated | undefined> {
    const type = paramText(section, '@type');
    const { registry } = this.#options;
    if (type === undefined) {
      this.#reportParam(section, '@type', `<${section.name}> has no @type`, suggest('', registry.names(kinds)));
      return undefined;
    }
    const found = registry.find(kinds, type);
    if (found !== undefined) return found.load();
    this.#reportParam(section, '@type', `no ${kinds.join(' or ')} is named ${type}`, suggest(type, registry.names(kinds)));
    return undefined;
  }

  #common(section: Section): void {
    const id = paramText(section, '@id');
    if (id !== undefined) {
      const other = this.#ids.get(id);
      if (other === undefined) this.#ids.set(id, section);
      else this.#reportParam(section, '@id', `@id ${id} is used twice`, `first in ${other.place.file}:${other.place.line}`);
    }
    const level = paramText(section, '@log_level');
    if (level !== undefined && !(LOG_LEVELS as readonly string[]).includes(level))
      this.#reportParam(section, '@log_level', `@log_level: expected one of ${LOG_LEVELS.join(', ')}`);
    const label = paramText(section, '@label');
    if (label !== undefined && label !== '@ROOT' && !this.#labels.has(label))
      this.#reportParam(section, '@label', `no <label ${label}> is there`, suggest(label, [...this.#labels.keys()]));
  }

  #pattern(section: Section): void {
    const result = compilePattern(section.arg);
    if ('error' in result) this.#report(section, 'error', result.error);
    else if (/^[^\s{},/]+(?:,[^\s{},/]+)+$/.test(section.arg))
      this.#report(
        section,
        'warning',
        `the comma in <${section.name} ${section.arg}> is part of the tag`,
        'patterns are separated by blanks',
      );
  }

  #labelName(section: Section): void {
    if (!section.arg.startsWith('@')) this.#report(section, 'error', `<label ${section.arg}>: the name of a label starts with @`);
    else if (section.arg === '@ROOT')
      this.#report(section, 'error', '<label @ROOT>: that name stands for what is outside of labels');
    else if (this.#labels.get(section.arg) !== section)
      this.#report(
        section,
        'error',
        `<label ${section.arg}> appears twice`,
        `first in line ${this.#labels.get(section.arg)?.place.line ?? 0}`,
      );
  }

  #workerRange(section: Section): void {
    const found = /^(\d{1,3})(?:-(\d{1,3}))?$/.exec(section.arg.trim());
    const from = Number(found?.[1]);
    const to = Number(found?.[2] ?? found?.[1]);
    if (!found || from > to)
      return this.#report(section, 'error', `<worker ${section.arg}>: expected a number or a range such as 0-2`);
    if (to >= this.#workers)
      return this.#report(
        section,
        'error',
        `<worker ${section.arg}>: there are workers 0 to ${this.#workers - 1} only`,
        'set workers in <system>',
      );
    for (let worker = from; worker <= to; worker++) {
      const other = this.#workerOwners.get(worker);
      if (other !== undefined)
        return this.#report(
          section,
          'error',
          `<worker ${section.arg}>: worker ${worker} has a section already`,
          `in ${other.place.file}:${other.place.line}`,
        );
      this.#workerOwners.set(worker, section);
    }
  }

  #reportParam(section: Section, name: string, message: string, hint?: string): void {
    this.#report(section.params.get(name) ?? section, 'error', message, hint);
  }

  #report(at: Section | Param, severity: Problem['severity'], message: string, hint?: string): void {
    this.problems.push({ severity, place: at.place, message, ...(hint !== undefined && { hint }) });
  }
}

const PARTS: ReadonlyArray<readonly [string, Kind]> = [
  ['parse', 'parser'],
  ['format', 'formatter'],
];

/** Files in the order in which the tree names them. */
function filesOf(root: Section): string[] {
  const files = new Set<string>();
  const visit = ({ place, params, sections }: Section): void => {
    for (const { file } of [place, ...[...params.values()].map((param) => param.place)]) files.add(file);
    sections.forEach(visit);
  };
  visit(root);
  return [...files];
}
