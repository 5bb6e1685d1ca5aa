/**
 * Boards as the JSON that graphite-web keeps as a dashboard. Panels without a metric (maps, lists of events) are left out.
 *
 * @see https://graphite.readthedocs.io/en/latest/dashboard.html
 */
import { createHash } from 'node:crypto';
import type { Board, Metric, Panel } from '../model.ts';

export interface GraphiteOptions {
  /** Names of dashboards start with it. */
  readonly name: string;
  /** Path of a counter's count per interval: `stats_counts.{name}`. */
  readonly counterPath: string;
  /** Path of a statistic of a timer: `stats.timers.{name}.{stat}`. */
  readonly timerPath: string;
  /** How labels travel: as Graphite tags, or as further parts of the path behind the name. */
  readonly labels: 'tags' | 'path';
}

export interface GraphiteDashboard {
  readonly name: string;
  readonly state: Readonly<Record<string, unknown>>;
}

const SIZE = { width: 640, height: 320 };

export function renderGraphite(board: Board, options: GraphiteOptions): GraphiteDashboard {
  const name = `${options.name}-${board.id}`;
  const from = `-${board.hours}hours`;
  const defaults = { from, until: 'now', ...mapValues(SIZE, String) };
  const graphs = board.panels.flatMap((panel) => {
    const graph = graphOf(panel, options);
    if (graph === undefined) return [];
    const params = { title: panel.title, ...graph };
    const key = graph.target.map((target) => `target=${encodeURIComponent(target)}`).join('&');
    return [[key, params, `/render?${query({ ...defaults, ...params })}`]];
  });
  const state = {
    name,
    // graphite-web's page reads the dates even when the range is relative.
    timeConfig: {
      type: 'relative',
      relativeStartQuantity: String(board.hours),
      relativeStartUnits: 'hours',
      relativeUntilQuantity: '',
      relativeUntilUnits: 'now',
      startDate: '2000-01-01T00:00:00',
      startTime: '9:00 AM',
      endDate: '2000-01-01T00:00:00',
      endTime: '5:00 PM',
    },
    refreshConfig: { enabled: false, interval: 60_000 },
    graphSize: SIZE,
    defaultGraphParams: defaults,
    graphs,
  };
  const revision = createHash('sha256').update(JSON.stringify(state)).digest('hex').slice(0, 12);
  return { name, state: { ...state, millrace: { managed_by: 'millrace', name: options.name, revision } } };
}

/** True when a dashboard's state carries the mark of this configuration. Saving it in graphite-web's page drops the mark. */
export function isOurs(state: unknown, owner: string): boolean {
  const mark: unknown = isRecord(state) ? state['millrace'] : undefined;
  return isRecord(mark) && mark['managed_by'] === 'millrace' && mark['name'] === owner;
}

interface Graph {
  readonly target: readonly string[];
  readonly [parameter: string]: unknown;
}

function graphOf(panel: Panel, options: GraphiteOptions): Graph | undefined {
  if (panel.kind === 'over-time' && panel.metric !== undefined) {
    return { target: [grouped(panel.metric, options, panel.title)], areaMode: 'stacked', yMin: '0' };
  }
  if (panel.kind === 'ratio' && panel.metric !== undefined) {
    const { part, whole } = panel.metric;
    // An interval without requests has no ratio; one without errors has 0.
    const percent = `asPercent(transformNull(sumSeries(${series(part, options)}),0),sumSeries(${series(whole, options)}))`;
    return { target: [alias(percent, panel.title)], yMin: '0' };
  }
  if (panel.kind === 'top' && panel.metric !== undefined) {
    return { target: [`limit(sortByTotal(${grouped(panel.metric, options, panel.title)}),${panel.size})`], graphType: 'pie' };
  }
  if (panel.kind === 'percentiles' && panel.metric !== undefined) {
    const { metric } = panel;
    return {
      target: panel.percents.map((percent) =>
        alias(`averageSeries(${series(metric, options, statOf(percent))})`, `${percent} %`),
      ),
      yMin: '0',
    };
  }
  return undefined;
}

/** StatsD's names of percentiles. */
const statOf = (percent: number): string => (percent === 50 ? 'median' : `upper_${String(percent).replace('.', '_')}`);

/** One series per value of the label, or one in all. */
function grouped(metric: Metric, options: GraphiteOptions, title: string): string {
  const all = series(metric, options);
  if (metric.by === undefined) return alias(`sumSeries(${all})`, title);
  if (options.labels === 'path') return `aliasByNode(${all},-1)`;
  return `aliasByTags(groupByTags(${all},'sum',${text(metric.by)}),${text(metric.by)})`;
}

/** The expression that finds the series of a metric. */
function series(metric: Metric, options: GraphiteOptions, stat = ''): string {
  const template = metric.kind === 'timer' ? options.timerPath : options.counterPath;
  const path = template.replaceAll('{name}', metric.name).replaceAll('{stat}', stat);
  const tags = Object.entries(metric.tags ?? {});
  if (options.labels === 'path') {
    return [path, ...tags.map(([, value]) => value), ...(metric.by === undefined ? [] : ['*'])].join('.');
  }
  const conditions = tags.map(([tag, value]) => text(value.includes('*') ? `${tag}=~^${regexpOf(value)}$` : `${tag}=${value}`));
  return `seriesByTag(${[text(`name=${path}`), ...conditions].join(',')})`;
}

const regexpOf = (glob: string): string =>
  glob
    .split('*')
    .map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'))
    .join('.*');
const alias = (target: string, label: string): string => `alias(${target},${text(label)})`;
/** graphite-web's grammar has no escape for the quote that surrounds a text. */
const text = (value: string): string => (value.includes("'") ? `"${value.replaceAll('"', '')}"` : `'${value}'`);

function query(params: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(params).flatMap(([key, value]) =>
    (Array.isArray(value) ? (value as unknown[]) : [value]).map((each) => `${key}=${encodeURIComponent(String(each))}`),
  );
  return pairs.join('&');
}

const mapValues = <T, U>(record: Readonly<Record<string, T>>, change: (value: T) => U): Record<string, U> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)]));

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
