/**
 * Boards as Kibana saved objects, one line of NDJSON each, in shapes that Kibana 7.17 to 9.x import: no version stamps (so that
 * every migration runs), unprefixed panel references, and the panel kinds that have not changed since 7.x: Vega, Markdown, saved search.
 */
import { createHash } from 'node:crypto';
import { type Board, type Panel, place } from '../model.ts';
import { kqlOf, type VegaOptions, vegaSpec } from './vega.ts';

export interface SavedObject {
  readonly type: 'index-pattern' | 'visualization' | 'search' | 'dashboard';
  readonly id: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly references: ReadonlyArray<{ readonly type: string; readonly id: string; readonly name: string }>;
}

export interface KibanaOptions extends VegaOptions {
  /** Ids start with it. */
  readonly name: string;
  /** OpenSearch Dashboards knows no `name` of a data view. */
  readonly flavour: 'kibana' | 'opensearch-dashboards';
}

const MARK = /managed by millrace, revision ([0-9a-f]{12})/;

/** The data view first, then per board its panels and the board: what refers comes after what it refers to. */
export function renderKibana(boards: readonly Board[], options: KibanaOptions): readonly SavedObject[] {
  const objects: SavedObject[] = [dataView(options)];
  for (const board of boards) objects.push(...renderBoard(board, options));
  return objects.map(marked);
}

export function toNdjson(objects: readonly SavedObject[]): string {
  return objects.map((object) => `${JSON.stringify(object)}\n`).join('');
}

/** The revision in the mark; undefined: not ours. */
export function revisionOf(attributes: Readonly<Record<string, unknown>>): string | undefined {
  const text = attributes['description'];
  return typeof text === 'string' ? MARK.exec(text)?.[1] : undefined;
}

/** True when a data view is ours: it has no description, so its name or, where it has none, its title must be what we give it. */
export function isOurDataView(attributes: Readonly<Record<string, unknown>>, options: KibanaOptions): boolean {
  const { name } = attributes;
  return name === undefined || name === '' ? attributes['title'] === options.index : name === dataViewName(options);
}

const dataViewId = (options: KibanaOptions): string => `${options.name}-logs`;
const dataViewName = (options: KibanaOptions): string => `${options.name} logs (managed by millrace)`;

function dataView(options: KibanaOptions): SavedObject {
  return {
    type: 'index-pattern',
    id: dataViewId(options),
    attributes: {
      title: options.index,
      timeFieldName: options.timeField,
      ...(options.flavour === 'kibana' && { name: dataViewName(options) }),
    },
    references: [],
  };
}

/** Puts the mark and a hash over all that we decide into the description. */
function marked(object: SavedObject): SavedObject {
  if (object.type === 'index-pattern') return object;
  const revision = createHash('sha256').update(JSON.stringify(object)).digest('hex').slice(0, 12);
  const description = `${String(object.attributes['description'])} (managed by millrace, revision ${revision})`.trim();
  return { ...object, attributes: { ...object.attributes, description } };
}

function renderBoard(board: Board, options: KibanaOptions): SavedObject[] {
  const id = `${options.name}-${board.id}`;
  const panels = place(board.panels).map((placed, index) => ({
    ...placed,
    index,
    object: renderPanel(placed.panel, `${id}-${placed.panel.id}`, options),
  }));
  const panelsJSON = panels.map(({ panel, x, y, index, object }) => ({
    version: '7.10.0',
    type: object.type,
    panelIndex: String(index + 1),
    gridData: { x, y, w: panel.width, h: panel.height, i: String(index + 1) },
    embeddableConfig: {},
    title: panel.title,
    panelRefName: `panel_${index}`,
  }));
  const dashboard: SavedObject = {
    type: 'dashboard',
    id,
    attributes: {
      title: board.title,
      description: board.description,
      version: 1,
      timeRestore: true,
      timeFrom: `now-${board.hours}h`,
      timeTo: 'now',
      refreshInterval: { pause: true, value: 0 },
      optionsJSON: JSON.stringify({ useMargins: true, hidePanelTitles: false }),
      panelsJSON: JSON.stringify(panelsJSON),
      kibanaSavedObjectMeta: { searchSourceJSON: emptySearch() },
    },
    references: panels.map(({ object, index }) => ({ type: object.type, id: object.id, name: `panel_${index}` })),
  };
  return [...panels.map(({ object }) => object), dashboard];
}

function renderPanel(panel: Panel, id: string, options: KibanaOptions): SavedObject {
  if (panel.kind === 'text')
    return visualization(panel, id, 'markdown', { fontSize: 12, openLinksInNewTab: false, markdown: panel.markdown });
  // The spec is a text inside a text; indented, so that a person who opens it in Kibana can read it.
  if (panel.kind !== 'events')
    return visualization(panel, id, 'vega', { spec: JSON.stringify(vegaSpec(panel, options), undefined, 2) });
  const reference = 'kibanaSavedObjectMeta.searchSourceJSON.index';
  const search = { query: { language: 'kuery', query: kqlOf(panel.where) }, filter: [], indexRefName: reference };
  return {
    type: 'search',
    id,
    attributes: {
      title: panel.title,
      description: '',
      columns: panel.columns,
      sort: [[options.timeField, 'desc']],
      kibanaSavedObjectMeta: { searchSourceJSON: JSON.stringify(search) },
    },
    references: [{ type: 'index-pattern', id: dataViewId(options), name: reference }],
  };
}

function visualization(
  panel: Panel,
  id: string,
  type: 'vega' | 'markdown',
  params: Readonly<Record<string, unknown>>,
): SavedObject {
  return {
    type: 'visualization',
    id,
    attributes: {
      title: panel.title,
      description: '',
      version: 1,
      uiStateJSON: '{}',
      visState: JSON.stringify({ title: panel.title, type, aggs: [], params }),
      kibanaSavedObjectMeta: { searchSourceJSON: emptySearch() },
    },
    references: [],
  };
}

const emptySearch = (): string => JSON.stringify({ query: { language: 'kuery', query: '' }, filter: [] });
