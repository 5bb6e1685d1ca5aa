/**
 * Checks NDJSON of saved objects by the rules that Kibana 7.17 to 9.x have for them, because no Kibana can be asked here: framing,
 * allowed attributes (an unknown key refuses the object), texts that hold JSON, references both ways, the grid, and portability.
 */

const ATTRIBUTES: Readonly<Record<string, readonly string[]>> = {
  'index-pattern': ['title', 'timeFieldName', 'name', 'fields', 'fieldFormatMap', 'runtimeFieldMap'],
  visualization: ['title', 'description', 'version', 'uiStateJSON', 'visState', 'kibanaSavedObjectMeta', 'savedSearchRefName'],
  search: ['title', 'description', 'columns', 'sort', 'kibanaSavedObjectMeta', 'hits', 'version'],
  dashboard: [
    'title',
    'description',
    'version',
    'timeRestore',
    'timeFrom',
    'timeTo',
    'refreshInterval',
    'optionsJSON',
    'panelsJSON',
    'kibanaSavedObjectMeta',
    'hits',
    'controlGroupInput',
  ],
};
const ENVELOPE = ['type', 'id', 'attributes', 'references'];
const TEXTS_OF_JSON = ['visState', 'uiStateJSON', 'optionsJSON', 'panelsJSON', 'searchSourceJSON'];
const COLUMNS = 48;
/** Kibana's own limits for one import. */
const OBJECTS_MAX = 10_000;
const BYTES_MAX = 25 * 1024 * 1024;

type Entry = { readonly line: number; readonly type: string; readonly id: string; readonly object: Record<string, unknown> };

/** All that is wrong, one sentence each; empty when an import would take it. */
export function checkNdjson(ndjson: string): readonly string[] {
  const problems: string[] = [];
  if (Buffer.byteLength(ndjson) > BYTES_MAX) problems.push('the file is larger than the 25 MB that an import takes');
  if (!ndjson.endsWith('\n')) problems.push('the last line has no line feed');
  const entries = readEntries(ndjson, problems);
  if (entries.length > OBJECTS_MAX)
    problems.push(`${entries.length} objects are more than the ${OBJECTS_MAX} that an import takes`);
  const known = new Set<string>();
  for (const entry of entries) {
    const key = `${entry.type} ${entry.id}`;
    if (known.has(key)) problems.push(`line ${entry.line}: ${key} is there twice`);
    known.add(key);
  }
  for (const entry of entries)
    checkEntry(entry, known, (text) => problems.push(`line ${entry.line}: ${entry.type} ${entry.id}: ${text}`));
  return problems;
}

function readEntries(ndjson: string, problems: string[]): Entry[] {
  const entries: Entry[] = [];
  for (const [index, text] of ndjson.split('\n').entries()) {
    if (text === '') continue;
    const object = parse(text);
    if (
      isRecord(object) &&
      typeof object['type'] === 'string' &&
      typeof object['id'] === 'string' &&
      isRecord(object['attributes'])
    ) {
      entries.push({ line: index + 1, type: object['type'], id: object['id'], object });
    } else problems.push(`line ${index + 1}: not a saved object with type, id and attributes`);
  }
  return entries;
}

type Report = (text: string) => void;

function checkEntry({ type, object }: Entry, known: ReadonlySet<string>, report: Report): void {
  for (const key of Object.keys(object)) {
    if (!ENVELOPE.includes(key)) report(`${key} makes it unportable: only ${ENVELOPE.join(', ')} may be there`);
  }
  const attributes = isRecord(object['attributes']) ? object['attributes'] : {};
  const allowed = ATTRIBUTES[type];
  if (allowed === undefined) return report(`type ${type} is not portable: ${Object.keys(ATTRIBUTES).join(', ')} are`);
  for (const key of Object.keys(attributes)) if (!allowed.includes(key)) report(`unknown attribute ${key}`);
  if (typeof attributes['title'] !== 'string' || attributes['title'] === '') report('no title');

  const names = checkReferences(object['references'], known, report);
  const used = new Set<string>();
  for (const [key, value] of textsOfJson(attributes)) {
    const inner = typeof value === 'string' ? parse(value) : undefined;
    if (inner === undefined) report(`${key} is no text with JSON in it`);
    else if (key === 'panelsJSON') checkPanels(inner, used, report);
    else if (key === 'visState') checkVisState(inner, report);
    else if (key === 'searchSourceJSON' && isRecord(inner) && typeof inner['indexRefName'] === 'string')
      used.add(inner['indexRefName']);
  }
  for (const name of used) if (!names.has(name)) report(`no reference is called ${name}`);
  for (const name of names) if (!used.has(name)) report(`reference ${name} is not used`);
}

function checkReferences(references: unknown, known: ReadonlySet<string>, report: Report): Set<string> {
  const names = new Set<string>();
  if (!Array.isArray(references)) report('references is no list');
  for (const reference of Array.isArray(references) ? (references as unknown[]) : []) {
    if (!isRecord(reference)) {
      report('a reference is no object');
      continue;
    }
    const { type, id, name } = reference;
    if (typeof name === 'string') names.add(name);
    // Kibana itself looks only for data views and searches; the rest would break when the board is opened.
    if (!known.has(`${String(type)} ${String(id)}`)) report(`refers to ${String(type)} ${String(id)}, which is not in the file`);
  }
  return names;
}

function textsOfJson(attributes: Record<string, unknown>): (readonly [string, unknown])[] {
  const meta = attributes['kibanaSavedObjectMeta'];
  return [...Object.entries(attributes), ...Object.entries(isRecord(meta) ? meta : {})].filter(([key]) =>
    TEXTS_OF_JSON.includes(key),
  );
}

function checkPanels(panels: unknown, used: Set<string>, report: Report): void {
  if (!Array.isArray(panels)) return report('panelsJSON is no list');
  const boxes: Box[] = [];
  for (const panel of panels as unknown[]) {
    const grid = isRecord(panel) ? panel['gridData'] : undefined;
    if (!isRecord(panel) || !isRecord(grid)) {
      report('a panel has no gridData');
      continue;
    }
    const index = String(panel['panelIndex']);
    if (grid['i'] !== panel['panelIndex']) report(`panel ${index}: gridData.i is not its panelIndex`);
    if (typeof panel['panelRefName'] === 'string') used.add(panel['panelRefName']);
    else report(`panel ${index}: no panelRefName`);
    const [x, y, w, h] = [Number(grid['x']), Number(grid['y']), Number(grid['w']), Number(grid['h'])];
    if (!(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= COLUMNS)) report(`panel ${index}: does not fit the ${COLUMNS} columns`);
    const hit = boxes.find((box) => x < box.x + box.w && box.x < x + w && y < box.y + box.h && box.y < y + h);
    if (hit !== undefined) report(`panel ${index}: overlaps panel ${hit.index}`);
    boxes.push({ index, x, y, w, h });
  }
}
type Box = { readonly index: string; readonly x: number; readonly y: number; readonly w: number; readonly h: number };

function checkVisState(state: unknown, report: Report): void {
  if (!isRecord(state)) return report('visState is no object');
  const params = isRecord(state['params']) ? state['params'] : {};
  if (state['type'] === 'markdown') {
    if (typeof params['markdown'] !== 'string') report('a markdown panel without markdown');
    return;
  }
  if (state['type'] !== 'vega') return report(`panel kind ${String(state['type'])} is not portable: vega and markdown are`);
  const spec = typeof params['spec'] === 'string' ? parse(params['spec']) : undefined;
  if (!isRecord(spec)) return report('params.spec is no text with strict JSON in it');
  if (typeof spec['$schema'] !== 'string' || !spec['$schema'].includes('/v5.json'))
    report('the $schema of the spec is not one that all versions take (v5)');
  for (const data of dataOf(spec)) {
    if (!isRecord(data['url'])) continue;
    const { url } = data;
    const body = isRecord(url['body']) ? url['body'] : {};
    if (typeof url['index'] !== 'string' || url['index'] === '') report('data.url has no index');
    if (url['%context%'] === true && body['query'] !== undefined) report('%context% and a query in the body exclude each other');
    if (body['size'] !== 0) report('the body does not say size 0');
  }
}

/** Every `data` of a spec and of its layers. */
function dataOf(spec: Record<string, unknown>): Record<string, unknown>[] {
  const layers = Array.isArray(spec['layer']) ? (spec['layer'] as unknown[]).filter(isRecord) : [];
  return [...(isRecord(spec['data']) ? [spec['data']] : []), ...layers.flatMap(dataOf)];
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // the caller says which text it was
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
