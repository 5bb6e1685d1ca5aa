import type { Param, ParamValue, Section, SourcePlace } from './model.ts';

/** The place of values that stand in no file: tests, the command line. */
export const NOWHERE: SourcePlace = { file: '-', line: 1, column: 1 };

export function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && 'params' in value && value.params instanceof Map && 'sections' in value;
}

/** Direct sub-sections of one name, in order. */
export function childSections(section: Section, name: string): Section[] {
  return section.sections.filter((child) => child.name === name);
}

/**
 * The text of a parameter; numbers and booleans (YAML) are printed.
 *
 * @returns undefined when the parameter is absent, `use_default`, `use_nil`, a list or a map
 */
export function paramText(section: Section, name: string): string | undefined {
  const value = section.params.get(name)?.value;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/**
 * A section as a plain object for a schema: parameters by name, sub-sections as lists by name.
 * Parameters that are `use_default` or `use_nil` count as not given. `@type`, `@id`, `@label` and `@log_level`
 * belong to the engine and are left out unless `keep` names them.
 */
export function sectionToInput(section: Section, keep: (name: string) => boolean = () => false): Record<string, unknown> {
  const entries = new Map<string, unknown>();
  for (const { name, value } of section.params.values()) {
    if (value === undefined || value === null) continue;
    if (ENGINE_PARAMS.has(name) && !keep(name)) continue;
    entries.set(name, value);
  }
  const lists = new Map<string, Section[]>();
  for (const child of section.sections) {
    const list = lists.get(child.name);
    if (list) list.push(child);
    else lists.set(child.name, [child]);
  }
  for (const [name, list] of lists) entries.set(name, list);
  // fromEntries defines own properties, so a key named __proto__ stays a key.
  return Object.fromEntries(entries);
}

const ENGINE_PARAMS = new Set(['@type', '@id', '@label', '@log_level']);

/** A section as free-form data, sub-sections as nested objects (several of one name: a list). */
export function sectionToData(section: Section): Record<string, unknown> {
  const entries = new Map<string, unknown>();
  for (const { name, value } of section.params.values()) if (value !== undefined) entries.set(name, value);
  for (const child of section.sections) {
    const data = sectionToData(child);
    const present = entries.get(child.name);
    if (present === undefined) entries.set(child.name, data);
    else if (Array.isArray(present)) present.push(data);
    else entries.set(child.name, [present, data]);
  }
  return Object.fromEntries(entries);
}

/**
 * A section from plain data, for tests and for components that make sections: maps become sub-sections,
 * lists of maps repeated ones, everything else parameters.
 */
export function sectionFromData(
  name: string,
  data: Readonly<Record<string, unknown>>,
  arg = '',
  place: SourcePlace = NOWHERE,
): Section {
  const params = new Map<string, Param>();
  const sections: Section[] = [];
  for (const [key, value] of Object.entries(data)) {
    if (isSection(value)) sections.push(value);
    else if (isMap(value)) sections.push(sectionFromData(key, value, '', place));
    else if (Array.isArray(value) && value.length > 0 && value.every(isMap))
      for (const item of value) sections.push(sectionFromData(key, item, '', place));
    else params.set(key, { name: key, value: value as ParamValue | undefined, place });
  }
  return { name, arg, params, sections, place };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
