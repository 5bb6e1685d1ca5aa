import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serviceOverview } from '../boards/service-overview.ts';
import type { Board, Panel } from '../model.ts';
import { type GraphiteOptions, isOurs, renderGraphite } from './render.ts';

const TAGS: GraphiteOptions = { name: 'millrace', counterPath: 'c.{name}', timerPath: 't.{name}.{stat}', labels: 'tags' };
const PATH: GraphiteOptions = { ...TAGS, labels: 'path' };
const BASE = { id: 'p', title: 'a \'b\' "c"', width: 48, height: 9, where: [] } as const;
const REQUESTS = { name: 'web.requests', kind: 'counter' } as const;
const boardOf = (panel: Panel): Board => ({ id: 'b', title: 'b', description: '', hours: 6, panels: [panel] });

function targets(panel: Panel, options: GraphiteOptions): readonly string[] {
  const { graphs } = renderGraphite(boardOf(panel), options).state;
  return (graphs as [string, { target: string[] }, string][]).flatMap(([, params]) => params.target);
}

describe('boards for Graphite', () => {
  for (const [name, panel, tags, path] of [
    [
      'grouped',
      { ...BASE, kind: 'over-time', groups: [], metric: { ...REQUESTS, by: 'status' } },
      ["aliasByTags(groupByTags(seriesByTag('name=c.web.requests'),'sum','status'),'status')"],
      ['aliasByNode(c.web.requests.*,-1)'],
    ],
    [
      'in all; a title with both quotes loses one kind',
      { ...BASE, kind: 'over-time', groups: [], metric: REQUESTS },
      ["alias(sumSeries(seriesByTag('name=c.web.requests')),\"a 'b' c\")"],
      ['alias(sumSeries(c.web.requests),"a \'b\' c")'],
    ],
    [
      'ratio',
      {
        ...BASE,
        title: '%',
        kind: 'ratio',
        part: [],
        whole: [],
        metric: { part: { ...REQUESTS, tags: { status: '5*' } }, whole: REQUESTS },
      },
      [
        "alias(asPercent(transformNull(sumSeries(seriesByTag('name=c.web.requests','status=~^5.*$')),0),sumSeries(seriesByTag('name=c.web.requests'))),'%')",
      ],
      ["alias(asPercent(transformNull(sumSeries(c.web.requests.5*),0),sumSeries(c.web.requests)),'%')"],
    ],
    [
      'percentiles',
      {
        ...BASE,
        kind: 'percentiles',
        field: 'f',
        percents: [50, 99.9],
        divisor: 1,
        unit: 'ms',
        metric: { name: 'web.latency', kind: 'timer' },
      },
      [
        "alias(averageSeries(seriesByTag('name=t.web.latency.median')),'50 %')",
        "alias(averageSeries(seriesByTag('name=t.web.latency.upper_99_9')),'99.9 %')",
      ],
      ["alias(averageSeries(t.web.latency.median),'50 %')", "alias(averageSeries(t.web.latency.upper_99_9),'99.9 %')"],
    ],
    [
      'top',
      { ...BASE, kind: 'top', field: 'f', size: 3, metric: { ...REQUESTS, by: 'region', tags: { country: 'CN' } } },
      ["limit(sortByTotal(aliasByTags(groupByTags(seriesByTag('name=c.web.requests','country=CN'),'sum','region'),'region')),3)"],
      ['limit(sortByTotal(aliasByNode(c.web.requests.CN.*,-1)),3)'],
    ],
    ['no metric', { ...BASE, kind: 'map', field: 'f' }, [], []],
  ] as const satisfies ReadonlyArray<readonly [string, Panel, readonly string[], readonly string[]]>) {
    test(name, () => {
      assert.deepEqual(targets(panel, TAGS), tags);
      assert.deepEqual(targets(panel, PATH), path);
    });
  }

  test('the overview: six graphs, marked, the same every time', () => {
    const { name, state } = renderGraphite(serviceOverview, TAGS);
    assert.equal(name, 'millrace-service-overview');
    assert.equal((state['graphs'] as unknown[]).length, 6);
    assert.ok(isOurs(state, 'millrace'));
    assert.ok(!isOurs(state, 'other'));
    assert.deepEqual(renderGraphite(serviceOverview, TAGS).state, state);
    assert.notDeepEqual(renderGraphite(serviceOverview, PATH).state['millrace'], state['millrace']);
  });
});
