/**
 * `targets.kibana`: keeps boards in step with Kibana or OpenSearch Dashboards through export and import of saved objects, or with
 * a file for people who import by hand.
 *
 * Kibana's migrations rewrite what was imported, so content cannot be compared with ours; the revision in the mark can. What a person
 * changes in Kibana is therefore kept until our own revision changes.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import * as z from 'zod';
import { httpUrl, readPem } from '../../engine/endpoint.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import type { Step, TargetPlan } from '../../engine/sync.ts';
import { bool, oneOf, secret, text } from '../../engine/units.ts';
import { createHttpClient, type HttpClient } from '../http.ts';
import type { Board } from '../model.ts';
import { checkNdjson } from './check.ts';
import { isOurDataView, type KibanaOptions, renderKibana, revisionOf, type SavedObject, toNdjson } from './render.ts';

export const kibanaTarget = z
  .strictObject({
    url: httpUrl().optional().describe('URL of Kibana or OpenSearch Dashboards; without it the boards go to `file`'),
    file: text().optional().describe('File that takes the boards as NDJSON, for an import by hand'),
    user: text().optional().describe('Name of the user'),
    password: secret().optional().describe('Password of the user'),
    api_key: secret().optional().describe('API key in its encoded form, instead of user and password'),
    ca_file: text().optional().describe('File with the certificate of the authority, PEM'),
    ssl_verify: bool().prefault(true).describe('Whether the certificate of the server is checked'),
    space: text().optional().describe('Id of the space; without it the default one'),
    flavour: oneOf(['kibana', 'opensearch-dashboards'])
      .prefault('kibana')
      .describe('Product that reads `file`; with `url` it is asked'),
    name: text()
      .pipe(z.string().regex(/^[a-z][a-z0-9-]*$/, { error: 'expected a name in lower case: letters, digits and -' }))
      .prefault('millrace')
      .describe('Prefix of the ids of the saved objects'),
    index: text().prefault('logs-millrace-*').describe('Pattern of the data streams or indices that the boards look at'),
    time_field: text().prefault('@timestamp').describe('Field with the time of an event'),
  })
  .refine((target) => target.url !== undefined || target.file !== undefined, 'expected `url` or `file`');
export type KibanaTarget = z.output<typeof kibanaTarget>;

/**
 * @param client  undefined: plan for `file`
 * @throws MillraceError MR_REFUSED naming every object in the way that is not ours; MR_CONNECT, MR_AUTH, MR_PROTOCOL
 */
export async function planKibana(
  target: KibanaTarget,
  boards: readonly Board[],
  baseDir: string,
  client: HttpClient | undefined,
): Promise<TargetPlan> {
  const flavour = client === undefined ? target.flavour : await flavourOf(client);
  const options: KibanaOptions = { name: target.name, index: target.index, timeField: target.time_field, flavour };
  const objects = renderKibana(boards, options);
  const [problem] = checkNdjson(toNdjson(objects));
  if (problem !== undefined) throw new MillraceError('MR_INTERNAL', `the rendered boards would not be imported: ${problem}`);
  if (client === undefined) return planFile(resolve(baseDir, target.file ?? 'boards.ndjson'), toNdjson(objects));

  const space = target.space === undefined ? '' : `/s/${encodeURIComponent(target.space)}`;
  const existing = await exportObjects(client, space, objects);
  const foreign = objects.filter((object) => {
    const attributes = existing.get(keyOf(object));
    if (attributes === undefined) return false;
    return object.type === 'index-pattern' ? !isOurDataView(attributes, options) : revisionOf(attributes) === undefined;
  });
  if (foreign.length > 0) {
    throw new MillraceError(
      'MR_REFUSED',
      `${foreign.map(keyOf).join(', ')} on ${client.address} does not carry the mark of millrace and is left alone: choose another \`name\``,
    );
  }
  const steps = objects.map((object) => stepFor(object, existing.get(keyOf(object))));
  return {
    steps,
    async apply() {
      if (steps.some((step) => step.action !== 'keep')) await importObjects(client, space, objects);
    },
  };
}

const keyOf = (object: { readonly type: string; readonly id: string }): string =>
  `${object.type === 'index-pattern' ? 'data view' : object.type} ${object.id}`;

function stepFor(object: SavedObject, attributes: Readonly<Record<string, unknown>> | undefined): Step {
  const what = keyOf(object);
  if (attributes === undefined) return { target: 'kibana', action: 'create', what };
  if (object.type === 'index-pattern') {
    const fields = ['title', 'timeFieldName'].filter((field) => attributes[field] !== object.attributes[field]);
    const detail = fields
      .map((field) => `${field}: ${String(attributes[field])} -> ${String(object.attributes[field])}`)
      .join('\n');
    return fields.length === 0
      ? { target: 'kibana', action: 'keep', what }
      : { target: 'kibana', action: 'change', what, detail };
  }
  const [before, after] = [revisionOf(attributes), revisionOf(object.attributes)];
  if (before === after) return { target: 'kibana', action: 'keep', what };
  return { target: 'kibana', action: 'change', what, detail: `revision: ${before} -> ${after}` };
}

/** A file is ours when it holds nothing but saved objects; anything else in its place is left alone. */
function planFile(file: string, ndjson: string): TargetPlan {
  const what = `file ${file}`;
  let before: string | undefined;
  try {
    before = readFileSync(file, 'utf8');
  } catch (cause) {
    if (!(cause instanceof Error && 'code' in cause && cause.code === 'ENOENT')) {
      throw new MillraceError('MR_NO_INPUT', `cannot read ${file}: ${messageOf(cause)}`, { cause });
    }
  }
  if (before !== undefined && before !== '' && !before.includes('managed by millrace')) {
    throw new MillraceError('MR_REFUSED', `${file} was not written by millrace and is left alone: name another \`file\``);
  }
  const action = before === undefined ? 'create' : before === ndjson ? 'keep' : 'change';
  return {
    steps: [{ target: 'kibana', action, what }],
    async apply() {
      if (action === 'keep') return;
      try {
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, ndjson);
      } catch (cause) {
        throw new MillraceError('MR_DISK', `cannot write ${file}: ${messageOf(cause)}`, { cause });
      }
    },
  };
}

/** Kibana counts from 4, OpenSearch Dashboards from 1 to 3. */
async function flavourOf(client: HttpClient): Promise<KibanaOptions['flavour']> {
  const { json, status } = await client.send('GET', '/api/status');
  const version = isRecord(json) && isRecord(json['version']) ? json['version']['number'] : undefined;
  const major = typeof version === 'string' ? Number.parseInt(version, 10) : Number.NaN;
  if (Number.isNaN(major)) {
    throw new MillraceError(
      'MR_PROTOCOL',
      `${client.address} is neither Kibana nor OpenSearch Dashboards: GET /api/status answered ${status} without a version`,
    );
  }
  return major < 4 ? 'opensearch-dashboards' : 'kibana';
}

/**
 * The attributes of those objects that exist. An export that names a missing object is refused as a whole with 400 and the list
 * of the missing ones, so it is asked again without them.
 */
async function exportObjects(
  client: HttpClient,
  space: string,
  objects: readonly SavedObject[],
): Promise<Map<string, Readonly<Record<string, unknown>>>> {
  let wanted = objects.map(({ type, id }) => ({ type: type as string, id }));
  for (let round = 0; round < 2 && wanted.length > 0; round++) {
    const body = JSON.stringify({ objects: wanted, includeReferencesDeep: false, excludeExportDetails: true });
    const answer = await client.send('POST', `${space}/api/saved_objects/_export`, body, 'application/json');
    if (answer.status === 200) return parseExport(answer.text);
    const missing = missingOf(answer.json);
    if (answer.status !== 400 || missing.size === 0) throw refusal(client, 'export saved objects', answer.status, answer.json);
    wanted = wanted.filter((object) => !missing.has(keyOf(object)));
  }
  if (wanted.length === 0) return new Map();
  throw new MillraceError('MR_PROTOCOL', `${client.address} keeps saying that objects are missing which it was not asked for`);
}

function parseExport(ndjson: string): Map<string, Readonly<Record<string, unknown>>> {
  const found = new Map<string, Readonly<Record<string, unknown>>>();
  for (const line of ndjson.split('\n')) {
    if (line.trim() === '') continue;
    const object: unknown = JSON.parse(line);
    if (
      isRecord(object) &&
      typeof object['type'] === 'string' &&
      typeof object['id'] === 'string' &&
      isRecord(object['attributes'])
    ) {
      found.set(keyOf({ type: object['type'], id: object['id'] }), object['attributes']);
    }
  }
  return found;
}

function missingOf(body: unknown): Set<string> {
  const attributes = isRecord(body) && isRecord(body['attributes']) ? body['attributes'] : {};
  const objects = Array.isArray(attributes['objects']) ? (attributes['objects'] as unknown[]) : [];
  return new Set(
    objects.flatMap((object) => (isRecord(object) ? [keyOf({ type: String(object['type']), id: String(object['id']) })] : [])),
  );
}

async function importObjects(client: HttpClient, space: string, objects: readonly SavedObject[]): Promise<void> {
  const ndjson = toNdjson(objects);
  const boundary = `millrace-${createHash('sha256').update(ndjson).digest('hex').slice(0, 32)}`;
  const body =
    `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="millrace.ndjson"\r\ncontent-type: application/ndjson\r\n\r\n` +
    `${ndjson}\r\n--${boundary}--\r\n`;
  const answer = await client.send(
    'POST',
    `${space}/api/saved_objects/_import?overwrite=true`,
    body,
    `multipart/form-data; boundary=${boundary}`,
  );
  // 200 also when some were refused: only `success` tells.
  if (answer.status !== 200 || !isRecord(answer.json) || answer.json['success'] !== true) {
    throw refusal(client, 'import the boards', answer.status, answer.json);
  }
}

function refusal(client: HttpClient, what: string, status: number, body: unknown): MillraceError {
  const errors = isRecord(body) && Array.isArray(body['errors']) ? (body['errors'] as unknown[]) : [];
  const each = errors.filter(isRecord).map((error) => {
    const { type, id, error: reason } = error;
    return `${String(type)} ${String(id)}: ${isRecord(reason) ? String(reason['message'] ?? reason['type']) : 'refused'}`;
  });
  const message = isRecord(body) && typeof body['message'] === 'string' ? body['message'] : `status ${status}`;
  return new MillraceError('MR_REFUSED', `${client.address} refused to ${what}: ${each.slice(0, 5).join('; ') || message}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Opens a client where there is a URL, plans, and hands the plan to `use`; closes the client in any case. */
export async function withKibana<T>(
  target: KibanaTarget,
  boards: readonly Board[],
  baseDir: string,
  use: (plan: TargetPlan) => Promise<T>,
): Promise<T> {
  const { url, user, password, api_key: apiKey, ssl_verify: verify, ca_file: caFile } = target;
  if (url === undefined) return use(await planKibana(target, boards, baseDir, undefined));
  // Both headers: each product wants its own and does not mind the other's.
  const headers = { 'kbn-xsrf': 'true', 'osd-xsrf': 'true' };
  const ca = caFile === undefined ? undefined : readPem(resolve(baseDir, caFile));
  const client = createHttpClient({ url, user, password, apiKey, verify, ca, headers });
  try {
    return await use(await planKibana(target, boards, baseDir, client));
  } finally {
    await client.close();
  }
}
