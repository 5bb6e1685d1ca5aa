import * as z from 'zod';
import { defineFilter, type Metrics } from '../../../engine/component.ts';
import { field, type Field } from '../../../engine/events/field.ts';
import { parseAccessor } from '../../../engine/events/record-accessor.ts';
import { bool, duration, list, oneOf, text } from '../../../engine/units.ts';
import { Address } from './address.ts';
import { addTo, deepFieldsOf, Enricher, FIELD_NAMES, type Rendering } from './enricher.ts';
import { GeoData } from './geo-data.ts';
import { readAddress } from './source-text.ts';

export { qqwryFilter } from './qqwry-filter.ts';

/** In the order in which they are tried: what names a client before what may name a server. */
const DEFAULT_KEYS = ['source.ip', 'client.ip', 'client_ip', 'clientip', 'remote_addr', 'remote', 'ip', 'host'];

const config = z.object({
  key: list()
    .default(DEFAULT_KEYS)
    .describe('fields that may hold the address; the first one that does counts')
    .meta({ examples: ['remote', '$.source.ip'] }),
  database: list()
    .default([])
    .describe(
      'paths of IP databases, asked in this order: qqwry.dat, .mmdb, ip2region .db and .xdb, ipv6wry.db; the format is told by the content',
    )
    .meta({ examples: ['/var/lib/geo/qqwry.dat', 'GeoLite2-City.mmdb,GeoLite2-ASN.mmdb'] }),
  fallback: bool()
    .default(true)
    .describe(
      'whether the IP data that come with millrace (ip2region for China, GeoLite2 of about 2019 for the world) answer where the databases know nothing',
    ),
  style: oneOf(['ecs', 'qqwry'])
    .default('ecs')
    .describe('names of the fields: those of the Elastic Common Schema, or country and area as fluent-plugin-qqwry writes them'),
  language: oneOf(['en', 'zh'])
    .default('en')
    .describe('language of names, for ecs; a name that is only known in the other one is given in that'),
  target: text()
    .optional()
    .describe('map that takes the place, made when it is missing; by default source.geo, for qqwry the record itself')
    .meta({ examples: ['client.geo'] }),
  as_target: text()
    .optional()
    .describe('map that takes the network (number, organization.name); by default `as` beside the target'),
  class_target: text()
    .optional()
    .describe(
      'field that takes the kind of address: public, private, loopback, link-local, cgnat, multicast, documentation, reserved, malformed',
    )
    .meta({ examples: ['source.address_class'] }),
  fields: list(oneOf(FIELD_NAMES))
    .default([...FIELD_NAMES])
    .describe('fields to add, for ecs; what is unknown is left out'),
  china_regions: oneOf(['iso', 'cn'])
    .default('iso')
    .describe(
      'country code of Hong Kong, Macao and Taiwan: iso gives HK, MO, TW as ISO 3166-1 and GeoLite2 do, cn gives CN with the regions CN-HK, CN-MO, CN-TW',
    ),
  strip_port: bool().default(false).describe('whether 1.2.3.4:80 and [::1]:80 count as addresses with a port'),
  address_list: oneOf(['none', 'first', 'last', 'first_public'])
    .default('none')
    .describe('part of a comma list (X-Forwarded-For) that counts; none: a list is no address'),
  tag_on_failure: list()
    .default([])
    .describe('texts added to the list in `tags` when a field was there and held no address')
    .meta({ examples: ['_geoip_lookup_failure'] }),
  check_interval: duration({ min: 100 })
    .prefault('2s')
    .describe('time between two looks at the database files; one that changed is checked and swapped in'),
});
type Config = z.output<typeof config>;

const METRICS = {
  hits: { type: 'counter', unit: 'events', help: 'Events whose address has a place.' },
  not_found: { type: 'counter', unit: 'events', help: 'Events whose address no database knows.' },
  special: { type: 'counter', unit: 'events', help: 'Events whose address is private, reserved, loopback or the like.' },
  malformed: { type: 'counter', unit: 'events', help: 'Events with a field that holds no address.' },
  absent: { type: 'counter', unit: 'events', help: 'Events without any of the fields; they pass unchanged.' },
  swaps: { type: 'counter', unit: 'files', help: 'Databases that were swapped for a new version.' },
} as const;

export const geoFilter = defineFilter({
  name: 'geo',
  summary: 'Adds where an IP address is: country, region, city, coordinates, provider.',
  config,
  metrics: METRICS,
  examples: [
    {
      title: 'Where the clients of nginx are, with the data that come with millrace',
      config: ['<filter nginx.**>', '  @type geo', '  key remote', '</filter>'].join('\n'),
    },
    {
      title: 'Names in Chinese, the kind of address as a field, the first public address behind proxies',
      config: [
        '<filter app.**>',
        '  @type geo',
        '  key http_x_forwarded_for,remote',
        '  address_list first_public',
        '  strip_port true',
        '  language zh',
        '  class_target source.address_class',
        '</filter>',
      ].join('\n'),
    },
  ],
  check(config) {
    const problems: string[] = [];
    if (config.key.length === 0) problems.push('key: name at least one field');
    for (const name of [...config.key, ...targetsOf(config)]) {
      const path = pathOf(name);
      if (typeof path === 'string') problems.push(path);
    }
    if (config.style === 'qqwry' && config.as_target !== undefined)
      problems.push('as_target: qqwry has no such field; the provider is in area');
    return problems;
  },
  create(config, ctx) {
    const keys = config.key.map(sourceField);
    const rendering = renderingOf(config);
    const deepFields = deepFieldsOf(rendering, (path) => field(path));
    const tags = field(['tags']);
    const address = new Address();
    const options = { stripPort: config.strip_port, list: config.address_list };
    const data = new GeoData(
      ctx,
      { paths: config.database, withDefault: config.fallback, checkMs: config.check_interval },
      () => {
        enricher.swap(data.chain);
        ctx.metrics.swaps.add(1);
      },
    );
    const enricher = new Enricher(data.chain, rendering);
    const counted = counters(ctx.metrics);
    return {
      reads: keys,
      async start() {
        await data.start();
        enricher.swap(data.chain);
      },
      stop: () => data.stop(),
      process(event) {
        let isThere = false;
        for (const key of keys) {
          if (!event.locate(key)) continue;
          isThere = true;
          if (!readAddress(address, event.bytes, event.from, event.to, options)) continue;
          const answer = enricher.answer(address);
          counted[answer.outcome].add(1);
          return addTo(event, answer, deepFields);
        }
        counted[isThere ? 'malformed' : 'absent'].add(1);
        if (!isThere) return;
        addTo(event, enricher.malformed, deepFields);
        if (config.tag_on_failure.length > 0) event.set(tags, withTags(event.value(tags), config.tag_on_failure));
      },
    };
  },
});

function counters(metrics: Metrics<typeof METRICS>) {
  return {
    hit: metrics.hits,
    not_found: metrics.not_found,
    special: metrics.special,
    malformed: metrics.malformed,
    absent: metrics.absent,
  };
}

function targetsOf({ target, as_target, class_target }: Config): string[] {
  return [target, as_target, class_target].filter((name): name is string => name !== undefined && name !== '');
}

function renderingOf(config: Config): Rendering {
  const target = steps(config.target ?? (config.style === 'qqwry' ? '' : 'source.geo'));
  return {
    style: config.style,
    language: config.language,
    policy: config.china_regions,
    fields: config.fields,
    target,
    asTarget: config.as_target === undefined ? [...target.slice(0, -1), 'as'] : steps(config.as_target),
    classTarget: config.class_target === undefined ? undefined : steps(config.class_target),
  };
}

/** `source.ip` is the field of that name or the path; `$...` is Fluentd's record accessor. */
function sourceField(name: string): Field {
  if (!name.startsWith('$')) return field(name);
  const path = parseAccessor(name);
  return field(typeof path === 'string' ? [path] : 'error' in path ? [name] : path);
}

function steps(name: string): readonly string[] {
  const path = pathOf(name);
  return typeof path === 'string' ? [] : path;
}

/** @returns the steps, or what is wrong */
function pathOf(name: string): readonly string[] | string {
  if (name === '') return [];
  const path = name.startsWith('$') ? parseAccessor(name) : name.split('.');
  if (typeof path === 'string') return [path];
  if ('error' in path) return path.error;
  const found = path.map(String);
  return found.includes('') ? `${name}: a name between two dots is missing` : found;
}

function withTags(present: unknown, added: readonly string[]): unknown[] {
  const before: unknown[] = Array.isArray(present) ? present : present === undefined || present === null ? [] : [present];
  return [...before, ...added.filter((tag) => !before.includes(tag))];
}
