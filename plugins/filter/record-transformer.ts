import * as z from 'zod';
import { defineFilter, type EventView } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { field, type Field } from '../../engine/events/field.ts';
import { rubyFloat } from '../../engine/ruby-values.ts';
import { attributes, bool, list, text } from '../../engine/units.ts';
import { accessorField, accessor } from './accessor.ts';
import { TagParts, compileTemplate, type Template } from './template.ts';

/** One line of `<record>`. */
interface Assignment {
  /** Where the value goes; undefined when the key has placeholders. */
  readonly target: Field | undefined;
  readonly key: Template;
  readonly value: Template;
}

export const recordTransformerFilter = defineFilter({
  name: 'record_transformer',
  summary: 'Adds, replaces and removes fields.',
  config: z.object({
    record: attributes().default({}).describe('Fields to set, with placeholders; a key such as $.source.ip sets a nested field'),
    remove_keys: list(accessor()).default([]).describe('Fields to remove, after the others were set'),
    renew_record: bool().default(false).describe('Whether the event starts from an empty record'),
    keep_keys: list().default([]).describe('Fields that stay when renew_record is set'),
    renew_time_key: text().optional().describe("Field whose number of seconds becomes the event's time"),
    auto_typecast: bool().default(true).describe('Whether a value that is one placeholder keeps the type of what it stands for'),
    enable_ruby: bool().default(false).describe('Whether placeholders are Ruby; Ruby is not run, so only false is accepted'),
  }),
  examples: [
    {
      title: 'Names of the Elastic Common Schema for an access log of Apache',
      config: [
        '<filter apache.access>',
        '  @type record_transformer',
        '  remove_keys host,user,method,path,code,size,referer,agent',
        '  <record>',
        '    $.source.ip ${record["host"]}',
        '    $.http.request.method ${record["method"]}',
        '    $.http.response.status_code ${record["code"]}',
        '    $.http.response.body.bytes ${record["size"]}',
        '    $.url.original ${record["path"]}',
        '    $.user_agent.original ${record["agent"]}',
        '    service web',
        '  </record>',
        '</filter>',
      ].join('\n'),
    },
  ],
  check(config) {
    const problems: string[] = [];
    if (config.enable_ruby)
      problems.push(
        'enable_ruby: Ruby is not run here; placeholders without Ruby are ${record["a"]["b"]}, ${tag_parts[0]}, ${hostname}, ${time}',
      );
    if (config.keep_keys.length > 0 && !config.renew_record) problems.push('keep_keys: needs renew_record true');
    for (const key of Object.keys(config.record)) {
      const result = isPath(key) ? accessorField(key) : undefined;
      if (typeof result === 'string') problems.push(`<record>: ${result}`);
    }
    return problems;
  },
  create(config, ctx) {
    const unknown = (placeholder: string): void =>
      ctx.log.warn(
        { placeholder },
        'unknown placeholder, its value is empty; fields are written ${record["name"]} with double quotes',
      );
    const options = { keepsTypes: config.auto_typecast, unknown };
    const assignments = Object.entries(config.record).map(([key, value]): Assignment => {
      const target = isPath(key) ? accessorField(key) : field([key]);
      return {
        target: key.includes('${') || typeof target === 'string' ? undefined : target,
        key: compileTemplate(key, { ...options, keepsTypes: false }),
        value: compileTemplate(jsonOf(value), options),
      };
    });
    const targets = assignments.map(({ target }) => target);
    const isStatic = targets.every((target) => target !== undefined);
    const isOwn = targets.map((target) => target === undefined || !isNested(target));
    const holders = holdersOf(targets);
    const kept = config.keep_keys.map((key) => ({ key, field: field([key]) }));
    const timeField = config.renew_time_key === undefined ? undefined : field([config.renew_time_key]);
    const parts = new TagParts();
    const values: unknown[] = [];

    const renew = (event: EventView): void => {
      const record: Fields = {};
      for (const { key, field: source } of kept) if (event.has(source)) define(record, key, event.value(source));
      event.replace(record);
    };
    return {
      reads: assignments.flatMap(({ value, key }) => [...value.reads, ...key.reads]),
      process(event) {
        parts.use(event.tag);
        // All values come from the record as it was, so they are found before any is set.
        for (let n = 0; n < assignments.length; n++) values[n] = (assignments[n] as Assignment).value.of(event, parts);
        const names = isStatic ? targets : assignments.map(({ target, key }) => target ?? field([String(key.of(event, parts))]));
        if (config.renew_record) renew(event);
        for (let n = 0; n < assignments.length; n++) if (isOwn[n] === true) event.set(names[n] as Field, values[n]);
        for (const holder of holders) setNested(event, holder, values);
        if (timeField !== undefined && event.has(timeField)) setTime(event, event.value(timeField));
        for (const unwanted of config.remove_keys) event.delete(unwanted);
        values.length = 0;
      },
    };
  },
});

const isPath = (key: string): boolean => key.startsWith('$.') || key.startsWith('$[');

/** Fields below one top-level map: the map is read and written once for all of them. */
interface Holder {
  readonly field: Field;
  readonly inner: readonly { readonly path: readonly string[]; readonly index: number }[];
}

/** List indices are left to the event: they need the list that is there. */
const isNested = ({ path }: Field): boolean => path.length > 1 && path.every((step) => typeof step === 'string');

function holdersOf(targets: readonly (Field | undefined)[]): Holder[] {
  const holders = new Map<string, { field: Field; inner: { path: string[]; index: number }[] }>();
  for (const [index, target] of targets.entries()) {
    if (target === undefined || !isNested(target)) continue;
    const [top = '', ...path] = target.path as readonly string[];
    let holder = holders.get(top);
    if (holder === undefined) holders.set(top, (holder = { field: field([top]), inner: [] }));
    holder.inner.push({ path, index });
  }
  return [...holders.values()];
}

function setNested(event: EventView, holder: Holder, values: readonly unknown[]): void {
  const present = event.has(holder.field) ? event.value(holder.field) : undefined;
  const map: Fields = isMap(present) ? present : {};
  for (const { path, index } of holder.inner) {
    let inner = map;
    for (let step = 0; step < path.length - 1; step++) {
      const key = path[step] as string;
      const next = Object.hasOwn(inner, key) ? inner[key] : undefined;
      if (isMap(next)) inner = next;
      else {
        const made: Fields = {};
        define(inner, key, made);
        inner = made;
      }
    }
    define(inner, path.at(-1) as string, values[index]);
  }
  event.set(holder.field, map);
}

function isMap(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** Text that looks like JSON is JSON; when it is none it stays text. */
function jsonOf(value: unknown): unknown {
  if (typeof value !== 'string' || !/^[{[]/.test(value)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    // As in Fluentd: `[INFO] ${tag}` is ordinary text.
    return value;
  }
}

function setTime(event: EventView, value: unknown): void {
  const exact = rubyFloat(value);
  // Beyond what an EventTime can hold, the time stays.
  if (!(exact >= 0 && exact < 4_294_967_296)) return;
  const seconds = Math.floor(exact);
  event.setTime(seconds, Math.floor((exact - seconds) * 1e9));
}

function define(record: Fields, key: string, value: unknown): void {
  Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true });
}
