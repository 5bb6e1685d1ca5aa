/**
 * Vega-Lite specifications of panels, as Kibana 7.17 to 9 and OpenSearch Dashboards take them: the query stands in `data.url`.
 * `%context%` adds the time range and filters of the board; beside it the body may hold no `query`, so conditions become a `filter` aggregation.
 */
import type { Condition, Panel } from '../model.ts';

export type VegaPanel = Exclude<Panel, { kind: 'text' | 'events' }>;
export type Spec = Readonly<Record<string, unknown>>;

export interface VegaOptions {
  /** Pattern of the indices or data streams: `logs-millrace-*`. */
  readonly index: string;
  readonly timeField: string;
}

const SCHEMA = 'https://vega.github.io/schema/vega-lite/v5.json';
/** geotile precision 6: tiles of about 600 km at the equator, at most 4,096 circles. */
const TILE_PRECISION = 6;
const TILES_MAX = 2000;

export function vegaSpec(panel: VegaPanel, options: VegaOptions): Spec {
  if (panel.kind === 'over-time') return overTimeSpec(panel, options);
  if (panel.kind === 'ratio') return ratioSpec(panel, options);
  if (panel.kind === 'percentiles') return percentilesSpec(panel, options);
  if (panel.kind === 'top') return topSpec(panel, options);
  return mapSpec(panel, options);
}

type PanelOf<K extends VegaPanel['kind']> = Extract<VegaPanel, { kind: K }>;

function overTimeSpec(panel: PanelOf<'over-time'>, options: VegaOptions): Spec {
  const groups = Object.fromEntries(panel.groups.map((group) => [group.label, filterOf(group.where)]));
  const series = panel.groups.map(
    ({ label }) => `{g: ${JSON.stringify(label)}, n: datum.groups.buckets[${JSON.stringify(label)}].doc_count}`,
  );
  return spec(timeSource(options, panel.where, { groups: { filters: { filters: groups } } }), {
    transform: [
      // `filters` answers with an object, one key per group; Vega-Lite flattens lists only.
      { calculate: `[${series.join(', ')}]`, as: 'series' },
      { flatten: ['series'], as: ['s'] },
      { calculate: 'datum.s.g', as: 'group' },
      { calculate: 'datum.s.n', as: 'n' },
    ],
    mark: { type: 'bar', tooltip: true },
    encoding: { x: TIME, y: { field: 'n', type: 'quantitative', stack: 'zero', title: null }, color: color('group') },
  });
}

function ratioSpec(panel: PanelOf<'ratio'>, options: VegaOptions): Spec {
  return spec(timeSource(options, [], { part: { filter: filterOf(panel.part) }, whole: { filter: filterOf(panel.whole) } }), {
    transform: [
      { filter: 'datum.whole.doc_count > 0' },
      { calculate: '100 * datum.part.doc_count / datum.whole.doc_count', as: 'percent' },
    ],
    mark: { type: 'line', tooltip: true, point: true },
    encoding: { x: TIME, y: { field: 'percent', type: 'quantitative', title: '%', scale: { domainMin: 0 } } },
  });
}

function percentilesSpec(panel: PanelOf<'percentiles'>, options: VegaOptions): Spec {
  return spec(
    timeSource(options, panel.where, { p: { percentiles: { field: panel.field, percents: panel.percents, keyed: false } } }),
    {
      transform: [
        { flatten: ['p.values'], as: ['v'] },
        { filter: 'isValid(datum.v.value)' },
        { calculate: `datum.v.value / ${panel.divisor}`, as: 'value' },
        { calculate: `datum.v.key + ' %'`, as: 'percentile' },
      ],
      mark: { type: 'line', tooltip: true },
      encoding: { x: TIME, y: { field: 'value', type: 'quantitative', title: panel.unit }, color: color('percentile') },
    },
  );
}

function topSpec(panel: PanelOf<'top'>, options: VegaOptions): Spec {
  const aggs = { top: { terms: { field: panel.field, size: panel.size } } };
  return spec(source(options, filtered(panel.where, aggs), 'aggregations.all.top.buckets'), {
    mark: { type: 'bar', tooltip: true },
    encoding: {
      y: { field: 'key', type: 'nominal', sort: '-x', title: null },
      x: { field: 'doc_count', type: 'quantitative', title: null },
    },
  });
}

/** Circles on a graticule: no tiles and no borders, so it works without the internet. */
function mapSpec(panel: PanelOf<'map'>, options: VegaOptions): Spec {
  const aggs = {
    tiles: {
      geotile_grid: { field: panel.field, precision: TILE_PRECISION, size: TILES_MAX },
      aggs: { centre: { geo_centroid: { field: panel.field } } },
    },
  };
  return {
    ...HEAD,
    projection: { type: 'equirectangular' },
    layer: [
      { data: { graticule: { step: [30, 30] } }, mark: { type: 'geoshape', filled: false, stroke: '#c8ccd4', strokeWidth: 0.5 } },
      {
        ...source(options, filtered(panel.where, aggs), 'aggregations.all.tiles.buckets'),
        transform: [
          { calculate: 'datum.centre.location.lon', as: 'lon' },
          { calculate: 'datum.centre.location.lat', as: 'lat' },
        ],
        mark: { type: 'circle', tooltip: true, opacity: 0.7 },
        encoding: {
          longitude: { field: 'lon', type: 'quantitative' },
          latitude: { field: 'lat', type: 'quantitative' },
          size: { field: 'doc_count', type: 'quantitative', legend: null, scale: { range: [12, 900] } },
        },
      },
    ],
  };
}

const HEAD = { $schema: SCHEMA, config: { kibana: { hideWarnings: true } }, autosize: { type: 'fit', contains: 'padding' } };
const TIME = { field: 'key', type: 'temporal', title: null };
const color = (field: string): Spec => ({ field, type: 'nominal', title: null });
const spec = (data: Spec, rest: Spec): Spec => ({ ...HEAD, ...data, ...rest });

function source(options: VegaOptions, aggs: Spec, property: string): Spec {
  const url = { '%context%': true, '%timefield%': options.timeField, index: options.index, body: { size: 0, aggs } };
  return { data: { url, format: { property } } };
}

const filtered = (where: readonly Condition[], aggs: Spec): Spec => ({ all: { filter: filterOf(where), aggs } });

function timeSource(options: VegaOptions, where: readonly Condition[], aggs: Spec): Spec {
  const histogram = { field: options.timeField, fixed_interval: { '%autointerval%': true }, min_doc_count: 0 };
  return source(options, filtered(where, { time: { date_histogram: histogram, aggs } }), 'aggregations.all.time.buckets');
}

/** Conditions as a query of Elasticsearch. */
export function filterOf(where: readonly Condition[]): Spec {
  if (where.length === 0) return { match_all: {} };
  return {
    bool: {
      filter: where.map((condition) => {
        if ('is' in condition) return { term: { [condition.field]: condition.is } };
        if ('exists' in condition) return { exists: { field: condition.field } };
        const { field, from, below } = condition;
        return { range: { [field]: { ...(from !== undefined && { gte: from }), ...(below !== undefined && { lt: below }) } } };
      }),
    },
  };
}

/** Conditions as KQL. */
export function kqlOf(where: readonly Condition[]): string {
  return where
    .flatMap((condition) => {
      if ('is' in condition)
        return [`${condition.field}: ${typeof condition.is === 'string' ? quoted(condition.is) : condition.is}`];
      if ('exists' in condition) return [`${condition.field}: *`];
      const { field, from, below } = condition;
      return [...(from === undefined ? [] : [`${field} >= ${from}`]), ...(below === undefined ? [] : [`${field} < ${below}`])];
    })
    .join(' and ');
}

const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
