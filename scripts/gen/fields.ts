/** Reads a component's zod schema as a list of parameters, for the reference pages and the JSON schema. */
import * as z from 'zod';

export interface FieldInfo {
  readonly name: string;
  /** The kind of value of `engine/units.ts`: duration, size, section ...; otherwise the JSON type. */
  readonly kind: string;
  readonly required: boolean;
  /** As it would be written in a configuration; undefined when there is none. */
  readonly fallback: string | undefined;
  readonly description: string;
  readonly examples: readonly string[];
  readonly secret: boolean;
  readonly values: readonly string[];
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** The parameters of a sub-section. */
  readonly fields: readonly FieldInfo[];
}

/** @returns the parameters in the order of the schema; none when it is no object */
export function fieldsOf(schema: z.ZodType): FieldInfo[] {
  const object = findObject(schema);
  return object ? Object.entries(object.shape).map(([name, field]) => readField(name, field as z.ZodType)) : [];
}

interface Inner {
  readonly type: string;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly out?: z.ZodType;
  readonly element?: z.ZodType;
  readonly options?: readonly z.ZodType[];
  readonly entries?: Readonly<Record<string, string>>;
  readonly defaultValue?: unknown;
}

// Zod types its definitions per class; what is read here are their common names.
const inner = (schema: z.ZodType): Inner => schema._zod.def as unknown as Inner;

interface Walked {
  meta: Record<string, unknown>;
  optional: boolean;
  fallback: unknown;
  /** A prefault is written as in a configuration, a default in the unit that the component gets. */
  fallbackIsInput: boolean;
  innermost: z.ZodType;
  values: readonly string[];
}

function readField(name: string, schema: z.ZodType): FieldInfo {
  const walked = walk(schema);
  const { meta } = walked;
  const kind = typeof meta['kind'] === 'string' ? meta['kind'] : inner(walked.innermost).type;
  const object = kind === 'section' || kind === 'sections' || kind === 'object' ? findObject(schema) : undefined;
  const examples = Array.isArray(meta['examples']) ? meta['examples'] : [];
  return {
    name,
    kind,
    required: !walked.optional && !schema.safeParse(undefined).success,
    fallback: printFallback(walked, kind),
    description: typeof meta['description'] === 'string' ? meta['description'] : '',
    examples: examples.map((example) => (typeof example === 'string' ? example : JSON.stringify(example))),
    secret: meta['secret'] === true,
    values: walked.values,
    min: typeof meta['min'] === 'number' ? meta['min'] : undefined,
    max: typeof meta['max'] === 'number' ? meta['max'] : undefined,
    fields: object ? fieldsOf(object) : [],
  };
}

/** Goes from the outermost wrapper inwards; what is said further out wins. */
function walk(schema: z.ZodType): Walked {
  const walked: Walked = {
    meta: {},
    optional: false,
    fallback: undefined,
    fallbackIsInput: false,
    innermost: schema,
    values: [],
  };
  for (let next: z.ZodType | undefined = schema; next;) {
    const current: z.ZodType = next;
    const def = inner(current);
    walked.innermost = current;
    walked.meta = { ...current.meta(), ...walked.meta };
    if (def.type === 'optional') walked.optional = true;
    if ((def.type === 'default' || def.type === 'prefault') && walked.fallback === undefined) {
      walked.fallback = def.defaultValue;
      walked.fallbackIsInput = def.type === 'prefault';
    }
    if (def.entries) walked.values = Object.values(def.entries);
    next = def.innerType ?? pipeSide(def);
  }
  return walked;
}

/** The side of a pipe that says more: a transform says nothing. */
function pipeSide(def: Inner): z.ZodType | undefined {
  if (!def.in || !def.out) return undefined;
  return inner(def.in).type === 'transform' ? def.out : def.in;
}

function findObject(schema: z.ZodType): z.ZodObject | undefined {
  for (let next: z.ZodType | undefined = schema; next;) {
    if (next instanceof z.ZodObject) return next;
    const def = inner(next);
    next = def.innerType ?? pipeSide(def) ?? def.element ?? def.options?.find((option) => findObject(option) !== undefined);
  }
  return undefined;
}

function printFallback({ fallback, fallbackIsInput }: Walked, kind: string): string | undefined {
  if (fallback === undefined || fallback === null) return undefined;
  if (typeof fallback === 'number' && !fallbackIsInput) {
    if (kind === 'duration') return printDuration(fallback);
    if (kind === 'size') return printSize(fallback);
  }
  if (fallback instanceof RegExp) return String(fallback);
  if (Array.isArray(fallback))
    return fallback.length === 0
      ? undefined
      : fallback.every((item) => typeof item !== 'object')
        ? fallback.join(',')
        : JSON.stringify(fallback);
  if (typeof fallback === 'object') return Object.keys(fallback).length === 0 ? undefined : JSON.stringify(fallback);
  return typeof fallback === 'string' ? (fallback === '' ? '""' : fallback) : JSON.stringify(fallback);
}

export function printDuration(ms: number): string {
  for (const [unit, size] of [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`;
  return ms === 0 ? '0s' : `${ms}ms`;
}

export function printSize(bytes: number): string {
  for (const [unit, size] of [
    ['g', 1024 ** 3],
    ['m', 1024 ** 2],
    ['k', 1024],
  ] as const)
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`;
  return String(bytes);
}
