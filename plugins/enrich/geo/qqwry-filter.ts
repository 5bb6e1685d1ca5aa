/**
 * fluent-plugin-qqwry as a filter, with its parameters and the fields that it adds. What it does otherwise: text that is no
 * address leaves the event as it is (the plugin's lookup raises, and the whole chunk is tried again), and private and reserved
 * addresses have no place.
 *
 * @see https://github.com/fakechris/fluent-plugin-qqwry
 */
import * as z from 'zod';
import { defineFilter, type EventView } from '../../../engine/component.ts';
import { field, type Field } from '../../../engine/events/field.ts';
import { attributes, bool, duration, list, text } from '../../../engine/units.ts';
import { Address } from './address.ts';
import { GeoData } from './geo-data.ts';
import { textsOf } from './place.ts';
import { specialRange } from './special.ts';

const PLACEHOLDER = /\$\{\s*(\w+)\s*\[\s*(?:'([^']*)'|"([^"]*)")\s*\]\s*\}/g;
const NAMES = ['country', 'area'] as const;
type Name = (typeof NAMES)[number];

const ignored = (): z.ZodOptional<ReturnType<typeof text>> =>
  text().optional().describe('taken over from the output plugin, without effect: a filter keeps the tag');

const config = z.object({
  qqwry_database: text()
    .optional()
    .describe('path of qqwry.dat, or of another IP database; without it the data that come with millrace answer')
    .meta({ examples: ['/var/lib/geo/qqwry.dat'] }),
  qqwry_lookup_key: list()
    .default(['host'])
    .describe('fields that hold addresses; a dot leads into a map')
    .meta({ examples: ['host', 'client.ip,server.ip'] }),
  record: attributes()
    .default({})
    .describe("fields to add; ${country['FIELD']} and ${area['FIELD']} stand for the two texts of the address in that field"),
  enable_key_country: list()
    .default([])
    .describe('names of fields that take the country, one per lookup key: the old form of <record>'),
  enable_key_area: list()
    .default([])
    .describe('names of fields that take the area, one per lookup key: the old form of <record>'),
  check_interval: duration({ min: 100 })
    .prefault('2s')
    .describe('time between two looks at the database file; a new one is checked and swapped in'),
  tag: ignored(),
  remove_tag_prefix: ignored(),
  remove_tag_suffix: ignored(),
  add_tag_prefix: ignored(),
  add_tag_suffix: ignored(),
  include_tag_key: bool().optional().describe('taken over from the output plugin, without effect'),
  tag_key: ignored(),
  hostname_command: ignored(),
  flush_interval: ignored(),
  log_level: ignored(),
});

interface Part {
  readonly name: Name;
  readonly key: string;
}
interface Assignment {
  readonly target: Field;
  readonly source: string;
  /** Set when the value is exactly one placeholder. */
  readonly only: Part | undefined;
  readonly isJson: boolean;
}

export const qqwryFilter = defineFilter({
  name: 'qqwry',
  summary: 'Adds country and area of an IP address, with the parameters of fluent-plugin-qqwry.',
  config,
  metrics: {
    hits: { type: 'counter', unit: 'addresses', help: 'Addresses that have a place.' },
    not_found: { type: 'counter', unit: 'addresses', help: 'Addresses that no database knows.' },
    special: { type: 'counter', unit: 'addresses', help: 'Addresses that are private, reserved, loopback or the like.' },
    malformed: { type: 'counter', unit: 'addresses', help: 'Fields that hold no address.' },
  },
  examples: [
    {
      title: 'As in the README of fluent-plugin-qqwry',
      config: [
        '<filter access.apache>',
        '  @type qqwry',
        '  qqwry_lookup_key host',
        '  <record>',
        "    country ${country['host']}",
        "    area ${area['host']}",
        '  </record>',
        '</filter>',
      ].join('\n'),
    },
  ],
  check({ record, enable_key_country, enable_key_area, qqwry_lookup_key }) {
    const problems: string[] = [];
    for (const [target, value] of Object.entries(record)) {
      for (const [placeholder, name] of templateText(value).matchAll(PLACEHOLDER)) {
        if (!isName(name))
          problems.push(`<record> ${target}: ${placeholder} is unknown; there are \${country['FIELD']} and \${area['FIELD']}`);
      }
    }
    const named = { enable_key_country, enable_key_area };
    for (const [name, targets] of Object.entries(named)) {
      if (targets.length > 0 && qqwry_lookup_key.length > targets.length) {
        problems.push(`${name}: ${qqwry_lookup_key.length} lookup keys need as many fields, ${targets.length} are named`);
      }
    }
    return problems;
  },
  create(config, ctx) {
    const keys = config.qqwry_lookup_key.map((key) => ({ key, field: field(key) }));
    const assignments = [
      ...Object.entries(config.record).map(([target, value]) => compile(target, templateText(value))),
      ...NAMES.flatMap((name) =>
        (name === 'country' ? config.enable_key_country : config.enable_key_area).map((target, index) =>
          compile(target, `\${${name}['${config.qqwry_lookup_key[index] ?? ''}']}`),
        ),
      ),
    ];
    const data = new GeoData(
      ctx,
      {
        paths: config.qqwry_database === undefined ? [] : [config.qqwry_database],
        withDefault: false,
        checkMs: config.check_interval,
      },
      () => undefined,
    );
    const address = new Address();
    const { metrics } = ctx;
    const lookUp = (event: EventView, key: Field): ReturnType<typeof textsOf> | undefined => {
      if (!event.locate(key)) return undefined;
      const isAddress = address.parseBytes(event.bytes, event.from, event.to);
      const isSpecial = isAddress && specialRange(address) !== undefined;
      const place = isAddress && !isSpecial ? data.chain.lookup(address) : undefined;
      if (place === undefined) (isSpecial ? metrics.special : isAddress ? metrics.not_found : metrics.malformed).add(1);
      else metrics.hits.add(1);
      return place && textsOf(place);
    };
    return {
      reads: keys.map(({ field }) => field),
      start: () => data.start(),
      stop: () => data.stop(),
      process(event) {
        const found = new Map<string, ReturnType<typeof textsOf>>();
        for (const { key, field: source } of keys) {
          const texts = lookUp(event, source);
          if (texts) found.set(key, texts);
        }
        if (found.size === 0) return;
        const valueOf = ({ name, key }: Part): string | null => found.get(key)?.[name] || null;
        for (const { target, source, only, isJson } of assignments) {
          if (only) event.set(target, valueOf(only));
          else event.set(target, fill(source, isJson, valueOf));
        }
      },
    };
  },
});

function compile(target: string, source: string): Assignment {
  const parts = partsOf(source);
  const isOnly = parts.length === 1 && source.trim().replace(PLACEHOLDER, '') === '';
  return {
    target: field([target]),
    source,
    only: isOnly ? parts[0] : undefined,
    isJson: /^\s*(?:\[.*\]|\{.*\}|-?\d+(?:\.\d+)?)\s*$/s.test(source),
  };
}

function partsOf(source: string): Part[] {
  return [...source.matchAll(PLACEHOLDER)].flatMap(([, name, single, double]) =>
    isName(name) ? [{ name, key: single ?? double ?? '' }] : [],
  );
}

/** Text with what is known in it; a text in the shape of JSON is read as such, with null for what is unknown. */
function fill(source: string, isJson: boolean, valueOf: (part: Part) => string | null): unknown {
  const filled = source.replace(PLACEHOLDER, (placeholder, name: string, single?: string, double?: string) => {
    if (!isName(name)) return placeholder;
    const value = valueOf({ name, key: single ?? double ?? '' });
    return isJson ? JSON.stringify(value) : (value ?? '');
  });
  if (!isJson) return filled;
  try {
    return JSON.parse(filled) as unknown;
  } catch {
    // Looked like JSON and is none: the text itself is what was written.
    return filled;
  }
}

function isName(name: string | undefined): name is Name {
  return name === 'country' || name === 'area';
}

const templateText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
