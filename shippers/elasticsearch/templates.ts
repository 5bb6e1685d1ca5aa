/**
 * The index templates that a target needs, as values: settings and ECS mappings as component templates, one index template for
 * data streams and one for plain (`logstash_format`) indices. Field types are those of ECS 9.
 */
import { createHash } from 'node:crypto';
import type { Server } from './client.ts';

export interface TemplateOptions {
  /** Names start with it: `millrace` gives `millrace-settings`, `millrace-ecs`, `millrace-streams`, `millrace-indices`. */
  readonly name: string;
  /** Data streams, `*` allowed: `logs-millrace-default`. */
  readonly dataStreams: readonly string[];
  /** Patterns of plain indices: `logstash-*`. */
  readonly indexPatterns: readonly string[];
  readonly shards: number;
  /** `undefined`: none on a single node, one otherwise (`auto_expand_replicas`). */
  readonly replicas: number | undefined;
  readonly refreshMs: number;
  /** Days that a data stream keeps; Elasticsearch 8.14 or later. */
  readonly retentionDays: number | undefined;
}

/** What the server has beyond its version: builds without the module `mapper-extras` lack the type. */
export interface Features {
  readonly matchOnlyText: boolean;
}

export type TemplateKind = 'component template' | 'index template';

export interface ManagedTemplate {
  readonly kind: TemplateKind;
  readonly name: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Above the `logs-*-*` that Elasticsearch brings with priority 100. */
const PRIORITY = 250;
/** Keyword terms longer than 32,766 bytes fail the whole document; 1,024 characters are at most 4,096 bytes. */
const IGNORE_ABOVE = 1024;
const FIELDS_MAX = 2000;

export function hasRetention(server: Server): boolean {
  return server.flavour === 'elasticsearch' && (server.major > 8 || (server.major === 8 && server.minor >= 14));
}

/** In the order in which they have to be put. */
export function templatesFor(options: TemplateOptions, server: Server, features: Features): readonly ManagedTemplate[] {
  const { name } = options;
  const components: ManagedTemplate[] = [
    { kind: 'component template', name: `${name}-settings`, body: { template: { settings: settingsFor(options, server) } } },
    { kind: 'component template', name: `${name}-ecs`, body: { template: { mappings: mappingsFor(features) } } },
  ];
  const composed = { composed_of: components.map((component) => component.name), priority: PRIORITY };
  const indices: ManagedTemplate[] = [];
  if (options.dataStreams.length > 0) {
    const lifecycle =
      options.retentionDays === undefined || !hasRetention(server)
        ? {}
        : { template: { lifecycle: { data_retention: `${options.retentionDays}d` } } };
    indices.push({
      kind: 'index template',
      name: `${name}-streams`,
      body: { index_patterns: options.dataStreams, data_stream: {}, ...composed, ...lifecycle },
    });
  }
  if (options.indexPatterns.length > 0) {
    indices.push({
      kind: 'index template',
      name: `${name}-indices`,
      body: { index_patterns: options.indexPatterns, ...composed },
    });
  }
  return [...components, ...indices].map((template) => marked(template, name));
}

/** Puts the mark of ownership on a template; `hash` tells two revisions apart at a glance. */
function marked({ kind, name, body }: ManagedTemplate, owner: string): ManagedTemplate {
  const hash = createHash('sha256').update(JSON.stringify(body)).digest('hex').slice(0, 16);
  return { kind, name, body: { ...body, _meta: { managed_by: 'millrace', name: owner, hash } } };
}

/** `owner`: only what this configuration has made; without it whatever any millrace has made. */
export function isOurs(body: unknown, owner?: string): boolean {
  const meta: unknown = isRecord(body) ? body['_meta'] : undefined;
  return isRecord(meta) && meta['managed_by'] === 'millrace' && (owner === undefined || meta['name'] === owner);
}

/**
 * The parts of a template that we decide, in one form for every server: settings flat and as text without `index.`, `data_stream` as a
 * flag (each server adds keys of its own), what the server filled in by itself left out.
 */
export function comparable(body: unknown): Record<string, unknown> {
  if (!isRecord(body)) return {};
  const template = isRecord(body['template']) ? body['template'] : {};
  const lifecycle = isRecord(template['lifecycle']) ? template['lifecycle']['data_retention'] : undefined;
  const settings: Record<string, string> = {};
  flatten(template['settings'], '', settings);
  return {
    ...(body['index_patterns'] !== undefined && { index_patterns: body['index_patterns'] }),
    ...(body['composed_of'] !== undefined && { composed_of: body['composed_of'], priority: body['priority'] }),
    ...(body['data_stream'] !== undefined && { data_stream: true }),
    ...(lifecycle !== undefined && { data_retention: lifecycle }),
    ...(Object.keys(settings).length > 0 && { settings }),
    ...(template['mappings'] !== undefined && { mappings: unifyMappings(template['mappings']) }),
    ...(isRecord(body['_meta']) && { _meta: body['_meta'] }),
  };
}

function flatten(value: unknown, path: string, into: Record<string, string>): void {
  if (isRecord(value)) {
    for (const [key, inner] of Object.entries(value)) flatten(inner, path === '' ? key : `${path}.${key}`, into);
  } else if (value !== undefined) into[path.replace(/^index\./, '')] = typeof value === 'string' ? value : JSON.stringify(value);
}

/** Older servers wrap mappings in `_doc` and print flags as text. */
function unifyMappings(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unifyMappings);
  if (value === 'true' || value === 'false') return value === 'true';
  if (!isRecord(value)) return value;
  if (isRecord(value['_doc'])) return unifyMappings(value['_doc']);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unifyMappings(inner)]));
}

function settingsFor(options: TemplateOptions, server: Server): Record<string, unknown> {
  return {
    index: {
      number_of_shards: options.shards,
      ...(options.replicas === undefined ? { auto_expand_replicas: '0-1' } : { number_of_replicas: options.replicas }),
      refresh_interval: `${options.refreshMs}ms`,
      codec: 'best_compression',
      // One field of the wrong type must not cost the whole document.
      'mapping.ignore_malformed': true,
      'mapping.total_fields.limit': FIELDS_MAX,
      // Beyond the limit a field is stored but not indexed; before 8.14 the document is refused.
      ...(hasRetention(server) && { 'mapping.total_fields.ignore_dynamic_beyond_limit': true }),
    },
  };
}

const KEYWORD = { type: 'keyword', ignore_above: IGNORE_ABOVE };
const LONG = { type: 'long' };
const GEO = {
  properties: {
    continent_code: KEYWORD,
    country_iso_code: KEYWORD,
    country_name: KEYWORD,
    region_iso_code: KEYWORD,
    region_name: KEYWORD,
    city_name: KEYWORD,
    timezone: KEYWORD,
    location: { type: 'geo_point' },
  },
};
const ENDPOINT = {
  properties: {
    address: KEYWORD,
    ip: { type: 'ip' },
    port: LONG,
    bytes: LONG,
    geo: GEO,
    as: { properties: { number: LONG, organization: { properties: { name: KEYWORD } } } },
  },
};

/**
 * Typed where a type matters; everything else is dynamic. `host`, `user`, `log`, `service` and `error` stay dynamic on purpose: Fluentd's
 * parsers and Docker write them as plain text, ECS as objects, and a mapping for one refuses the other.
 */
export function mappingsFor(features: Features): Record<string, unknown> {
  const text = features.matchOnlyText ? { type: 'match_only_text' } : { type: 'text', norms: false };
  return {
    date_detection: false,
    dynamic_templates: [
      { ip: { path_match: '*.ip', match_mapping_type: 'string', mapping: { type: 'ip' } } },
      { geo_point: { path_match: '*.geo.location', match_mapping_type: 'object', mapping: { type: 'geo_point' } } },
      { keyword: { match_mapping_type: 'string', mapping: KEYWORD } },
    ],
    properties: {
      '@timestamp': { type: 'date' },
      message: text,
      tag: KEYWORD,
      source: ENDPOINT,
      client: ENDPOINT,
      http: {
        properties: {
          version: KEYWORD,
          request: { properties: { method: KEYWORD, referrer: KEYWORD, id: KEYWORD, body: { properties: { bytes: LONG } } } },
          response: { properties: { status_code: LONG, mime_type: KEYWORD, body: { properties: { bytes: LONG } } } },
        },
      },
      url: { properties: { original: KEYWORD, path: KEYWORD, query: KEYWORD, domain: KEYWORD, scheme: KEYWORD } },
      user_agent: { properties: { original: KEYWORD, name: KEYWORD, version: KEYWORD } },
      event: {
        properties: {
          action: KEYWORD,
          category: KEYWORD,
          created: { type: 'date' },
          dataset: KEYWORD,
          duration: LONG,
          ingested: { type: 'date' },
          kind: KEYWORD,
          module: KEYWORD,
          original: { type: 'keyword', index: false, doc_values: false },
          outcome: KEYWORD,
          sequence: LONG,
          type: KEYWORD,
        },
      },
    },
  };
}

/** Dotted paths of all typed fields with their types; what `check` of a board looks fields up in. */
export function typedFields(): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (!isRecord(value)) return;
    if (typeof value['type'] === 'string') found.set(path, value['type']);
    const { properties } = value;
    if (isRecord(properties))
      for (const [key, inner] of Object.entries(properties)) walk(inner, path === '' ? key : `${path}.${key}`);
  };
  walk(mappingsFor({ matchOnlyText: true }), '');
  return found;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
