/** One section against the schema of its component; every issue gets the place of the parameter that it is about. */
import * as z from 'zod';
import type { Definition } from '../component.ts';
import type { Param, Problem, Section, SourcePlace } from './model.ts';
import { sortedByPlace, suggest } from './problems.ts';
import { childSections, sectionToInput } from './section.ts';

/** What of a component's declaration is needed here. */
export type Validated = Pick<Definition, 'name' | 'config' | 'check'>;

export interface ValidateOptions {
  /** Sections and parameters that the engine reads itself (`buffer`, `durability`), which the schema does not know. */
  readonly engineReads?: readonly string[];
  /** Values for parameters that are not given (Fluentd's own `bind`). */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

export type Validation =
  | { readonly value: unknown; readonly problems: readonly [] }
  | { readonly value?: undefined; readonly problems: readonly Problem[] };

/**
 * Reads a section by a component's schema and its own rules.
 *
 * @returns the value as `create` takes it, or everything that is wrong, in the order of the file. Never throws.
 */
export function validateSection(section: Section, definition: Validated, options: ValidateOptions = {}): Validation {
  const input = { ...options.defaults, ...sectionToInput(section, (name) => shapeOf(definition.config)?.[name] !== undefined) };
  for (const name of options.engineReads ?? []) if (shapeOf(definition.config)?.[name] === undefined) delete input[name];
  return validateInput(section, input, definition);
}

/** The same for an input that was made from the section already (`<buffer>` with its argument). */
export function validateInput(section: Section, input: Record<string, unknown>, definition: Validated): Validation {
  const parsed = strict(definition.config).safeParse(input);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, section, definition));
    return { problems: sortedByPlace(problems) };
  }
  const broken = definition.check?.(parsed.data) ?? [];
  if (broken.length === 0) return { value: parsed.data, problems: [] };
  return {
    problems: broken.map((message) => ({
      severity: 'error',
      place: placeOfRule(section, message),
      message: `${definition.name}: ${message}`,
    })),
  };
}

/** A misspelt parameter is an error, also where the schema forgot to say that it knows all names. */
function strict(schema: z.ZodType): z.ZodType {
  return schema instanceof z.ZodObject && schema.def.catchall === undefined ? schema.strict() : schema;
}

function problemsOf(issue: z.core.$ZodIssue, section: Section, definition: Validated): Problem[] {
  const found = locate(section, issue.path);
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys(shapeOf(schemaAt(definition.config, issue.path)) ?? {}).filter((name) => !name.startsWith('@'));
    return issue.keys.map((key) => unknownName(found.section, key, known, definition.name));
  }
  const name = issue.path.findLast((step) => typeof step === 'string') ?? '';
  const schema = schemaAt(definition.config, issue.path);
  if (found.param === undefined && found.isMissing)
    return [error(found.place, `${definition.name}: ${isSectionKind(schema) ? `<${name}>` : name} is required`, issue.message)];
  const label = name === '' ? definition.name : name;
  const values = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  const given = found.param?.value;
  const hint = typeof given === 'string' && values.length > 0 ? suggest(given, values) : undefined;
  return [
    error(
      found.place,
      `${label}: ${issue.message}${shownValue(given, schema)}`,
      hint?.startsWith('did you mean') ? hint : undefined,
    ),
  ];
}

function unknownName(section: Section, key: string, known: readonly string[], component: string): Problem {
  const param = section.params.get(key);
  const [child] = childSections(section, key);
  const place = param?.place ?? child?.place ?? section.place;
  const what = param === undefined && child !== undefined ? `unknown section <${key}>` : `unknown parameter ${key}`;
  return error(place, `${what} in ${component}`, suggest(key, known));
}

const error = (place: SourcePlace, message: string, hint?: string): Problem => ({
  severity: 'error',
  place,
  message,
  ...(hint !== undefined && { hint }),
});

interface Located {
  /** Innermost section on the path. */
  readonly section: Section;
  readonly place: SourcePlace;
  readonly param?: Param | undefined;
  /** The last step of the path is not there. */
  readonly isMissing: boolean;
}

/** Follows an issue's path through the sections as far as they go. */
function locate(start: Section, path: readonly PropertyKey[]): Located {
  let section = start;
  for (let i = 0; i < path.length; i++) {
    const name = String(path[i]);
    const children = childSections(section, name);
    if (children.length === 0) {
      const param = section.params.get(name);
      return { section, place: param?.place ?? section.place, param, isMissing: param === undefined && i === path.length - 1 };
    }
    const next = path[i + 1];
    const index = typeof next === 'number' ? next : 0;
    if (typeof next === 'number') i++;
    section = children[index] ?? section;
  }
  return { section, place: section.place, isMissing: false };
}

/** A rule that starts with the name of a parameter is shown there. */
function placeOfRule(section: Section, message: string): SourcePlace {
  const name = /^([\w$@.]+)(?::| )/.exec(message)?.[1] ?? '';
  return section.params.get(name)?.place ?? childSections(section, name)[0]?.place ?? section.place;
}

/** Kinds whose values cannot hold a secret, so that the value found may be shown. */
const SHOWN_KINDS = new Set(['integer', 'float', 'bool', 'duration', 'size', 'port', 'enum']);

function shownValue(value: unknown, schema: z.ZodType | undefined): string {
  const meta = metaOf(schema);
  if (!SHOWN_KINDS.has(String(meta['kind'])) || meta['secret'] === true) return '';
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return '';
  const text = String(value);
  return `, found ${JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}...` : text)}`;
}

// ---- schemas -----------------------------------------------------------------------------------

/** The fields of an object schema, through defaults, optionals and pipes; undefined for other schemas. */
export function shapeOf(schema: z.ZodType | undefined): Readonly<Record<string, z.ZodType>> | undefined {
  const inner = schema && unwrap(schema);
  return inner instanceof z.ZodObject ? (inner.shape as Readonly<Record<string, z.ZodType>>) : undefined;
}

/** `kind`, `unit`, `secret` and the like, from the outermost wrapper that says them. */
export function metaOf(schema: z.ZodType | undefined): Readonly<Record<string, unknown>> {
  let meta: Record<string, unknown> = {};
  for (let at = schema; at !== undefined; at = innerOf(at)) meta = { ...at.meta(), ...meta };
  return meta;
}

function isSectionKind(schema: z.ZodType | undefined): boolean {
  return ['section', 'sections', 'rawSection', 'rawSections', 'attributes'].includes(String(metaOf(schema)['kind']));
}

function schemaAt(schema: z.ZodType, path: readonly PropertyKey[]): z.ZodType | undefined {
  let at: z.ZodType | undefined = schema;
  for (const step of path) {
    if (at === undefined) return undefined;
    const inner = unwrap(at);
    if (inner instanceof z.ZodArray) at = inner.element as z.ZodType;
    else at = shapeOf(inner)?.[String(step)];
  }
  return at;
}

function unwrap(schema: z.ZodType): z.ZodType {
  let at = schema;
  for (let inner = innerOf(at); inner !== undefined; inner = innerOf(at)) at = inner;
  return at;
}

function innerOf(schema: z.ZodType): z.ZodType | undefined {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodReadonly
  )
    return schema.unwrap() as z.ZodType;
  if (!(schema instanceof z.ZodPipe)) return undefined;
  // A transform in front only prepares the input; behind, it changes what was read.
  return (schema.in instanceof z.ZodTransform ? schema.out : schema.in) as z.ZodType;
}
