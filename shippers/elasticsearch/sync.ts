/** `targets.elasticsearch`: keeps the templates of `templates.ts` in step with Elasticsearch or OpenSearch. */
import { resolve } from 'node:path';
import * as z from 'zod';
import { httpUrl, readPem } from '../../engine/endpoint.ts';
import { MillraceError } from '../../engine/errors.ts';
import { differences, type Step, type TargetPlan } from '../../engine/sync.ts';
import { bool, duration, integer, list, secret, text } from '../../engine/units.ts';
import { createElasticsearchClient, type ElasticsearchClient, type ElasticsearchOptions, type Server } from './client.ts';
import {
  comparable,
  type Features,
  hasRetention,
  isOurs,
  type ManagedTemplate,
  type TemplateKind,
  templatesFor,
} from './templates.ts';

const DAY_MS = 86_400_000;

export const elasticsearchTarget = z.strictObject({
  hosts: list(httpUrl())
    .prefault(['http://127.0.0.1:9200'])
    .describe('URLs of Elasticsearch or OpenSearch; the first that answers is used'),
  user: text().optional().describe('Name of the user'),
  password: secret().optional().describe('Password of the user'),
  api_key: secret().optional().describe('API key in its encoded form, instead of user and password'),
  ca_file: text().optional().describe('File with the certificate of the authority, PEM'),
  ssl_verify: bool().prefault(true).describe('Whether the certificate of the server is checked'),
  name: text()
    .pipe(z.string().regex(/^[a-z][a-z0-9-]*$/, { error: 'expected a name in lower case: letters, digits and -' }))
    .prefault('millrace')
    .describe('Prefix of the names of the templates'),
  data_streams: list().prefault(['logs-millrace-*']).describe('Names or patterns of the data streams that the templates are for'),
  index_patterns: list()
    .prefault([])
    .describe('Patterns of plain indices, for `logstash_format` or Elasticsearch before 7.9: `logstash-*`'),
  shards: integer({ min: 1, max: 1024 }).prefault(1).describe('Primary shards of a new index'),
  replicas: integer({ min: 0, max: 16 })
    .optional()
    .describe('Copies of each shard; without it none on a single node and one otherwise'),
  refresh_interval: duration({ min: 100 }).prefault('5s').describe('Time until a new event can be found'),
  retention: duration({ min: DAY_MS })
    .optional()
    .describe('Age at which a data stream forgets, in whole days; Elasticsearch 8.14 or later'),
});
export type ElasticsearchTarget = z.output<typeof elasticsearchTarget>;

/** Connection options of a target; reads `ca_file`, relative to `baseDir`. */
export function connectionOf(
  target: Pick<ElasticsearchTarget, 'hosts' | 'user' | 'password' | 'api_key' | 'ca_file' | 'ssl_verify'>,
  baseDir: string,
): ElasticsearchOptions {
  const { hosts, user, password, api_key: apiKey, ca_file: caFile, ssl_verify: verify } = target;
  return { hosts, user, password, apiKey, verify, ca: caFile === undefined ? undefined : readPem(resolve(baseDir, caFile)) };
}

/**
 * Compares what is there with what should be.
 *
 * @throws MillraceError MR_REFUSED naming every object in the way that is not ours; and what `client.call` throws
 */
export async function planElasticsearch(target: ElasticsearchTarget, client: ElasticsearchClient): Promise<TargetPlan> {
  const server = await client.server();
  if (target.retention !== undefined && !hasRetention(server)) {
    throw new MillraceError(
      'MR_REFUSED',
      `${client.address} is ${describe(server)}, which has no retention of its own (Elasticsearch 8.14 has): remove \`retention\``,
    );
  }
  const { name } = target;
  const wanted = templatesFor(
    {
      name,
      dataStreams: target.data_streams,
      indexPatterns: target.index_patterns,
      shards: target.shards,
      replicas: target.replicas,
      refreshMs: target.refresh_interval,
      retentionDays: target.retention === undefined ? undefined : Math.floor(target.retention / DAY_MS),
    },
    server,
    await featuresOf(client),
  );
  const existing = await readTemplates(client, name);
  const foreign = wanted.filter((template) => existing.has(keyOf(template)) && !isOurs(existing.get(keyOf(template)), name));
  if (foreign.length > 0) {
    const names = foreign.map((template) => `${template.kind} ${template.name}`).join(', ');
    throw new MillraceError(
      'MR_REFUSED',
      `${names} on ${client.address} was not made by this configuration and is left alone: choose another \`name\``,
    );
  }

  const work: { step: Step; run?: () => Promise<unknown> }[] = wanted.map((template) => ({
    step: stepFor(template, existing.get(keyOf(template))),
    run: () => putTemplate(client, template),
  }));
  for (const [key, body] of existing) {
    const [kind, stale] = splitKey(key);
    if (wanted.some((template) => keyOf(template) === key) || !isOurs(body, name)) continue;
    work.push({ step: { target: 'elasticsearch', action: 'delete', what: key }, run: () => deleteTemplate(client, kind, stale) });
  }
  return {
    steps: work.map((item) => item.step),
    async apply() {
      for (const { step, run } of work) if (step.action !== 'keep') await run?.();
    },
  };
}

const describe = (server: Server): string =>
  `${server.flavour === 'opensearch' ? 'OpenSearch' : 'Elasticsearch'} ${server.version}`;
const keyOf = (template: Pick<ManagedTemplate, 'kind' | 'name'>): string => `${template.kind} ${template.name}`;

function splitKey(key: string): [TemplateKind, string] {
  const kind = key.startsWith('component') ? 'component template' : 'index template';
  return [kind, key.slice(kind.length + 1)];
}

function stepFor(template: ManagedTemplate, existing: unknown): Step {
  const what = keyOf(template);
  if (existing === undefined) return { target: 'elasticsearch', action: 'create', what };
  // The hash alone would miss a change by hand, the content alone one in what the server keeps to itself.
  const changes = differences(comparable(existing), comparable(template.body));
  if (changes.length === 0) return { target: 'elasticsearch', action: 'keep', what };
  return {
    target: 'elasticsearch',
    action: 'change',
    what,
    detail: changes.filter((line) => !line.startsWith('_meta.hash')).join('\n'),
  };
}

/** All templates whose name starts with `name-`, ours or not. */
async function readTemplates(client: ElasticsearchClient, name: string): Promise<Map<string, unknown>> {
  const found = new Map<string, unknown>();
  const components = await client.find('read the component templates', (api) =>
    api.cluster.getComponentTemplate({ name: `${name}-*` }),
  );
  for (const { name: each, component_template: body } of components?.component_templates ?? []) {
    found.set(keyOf({ kind: 'component template', name: each }), body);
  }
  const templates = await client.find('read the index templates', (api) => api.indices.getIndexTemplate({ name: `${name}-*` }));
  for (const { name: each, index_template: body } of templates?.index_templates ?? []) {
    found.set(keyOf({ kind: 'index template', name: each }), body);
  }
  return found;
}

/** Asks the server to compose a template with the type without storing it. */
async function featuresOf(client: ElasticsearchClient): Promise<Features> {
  try {
    await client.call('try the type match_only_text', (api) =>
      api.indices.simulateTemplate({
        index_patterns: ['millrace-probe-that-no-index-is-called'],
        priority: 0x3fff_ffff,
        template: { mappings: { properties: { message: { type: 'match_only_text' } } } },
      }),
    );
    return { matchOnlyText: true };
  } catch (error) {
    if (error instanceof MillraceError && error.code === 'MR_REFUSED') return { matchOnlyText: false };
    throw error;
  }
}

async function putTemplate(client: ElasticsearchClient, template: ManagedTemplate): Promise<void> {
  const { kind, name, body } = template;
  // Paths and bodies are the same on every version; the typed calls would need a cast for each field that OpenSearch names otherwise.
  const path = kind === 'component template' ? `/_component_template/${name}` : `/_index_template/${name}`;
  await client.call(`put the ${kind} ${name}`, (api) => api.transport.request({ method: 'PUT', path, body }));
}

async function deleteTemplate(client: ElasticsearchClient, kind: TemplateKind, name: string): Promise<void> {
  await client.find(`delete the ${kind} ${name}`, (api) =>
    kind === 'component template' ? api.cluster.deleteComponentTemplate({ name }) : api.indices.deleteIndexTemplate({ name }),
  );
}

/** Opens a client, plans, and hands it to `use`; closes the client in any case. */
export async function withElasticsearch<T>(
  target: ElasticsearchTarget,
  baseDir: string,
  use: (plan: TargetPlan, client: ElasticsearchClient) => Promise<T>,
): Promise<T> {
  const client = createElasticsearchClient(connectionOf(target, baseDir));
  try {
    return await use(await planElasticsearch(target, client), client);
  } finally {
    await client.close();
  }
}
