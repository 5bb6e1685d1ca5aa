import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serviceOverview } from '../boards/service-overview.ts';
import type { Board, Condition } from '../model.ts';
import { checkNdjson } from './check.ts';
import { isOurDataView, type KibanaOptions, renderKibana, revisionOf, toNdjson } from './render.ts';
import { filterOf, kqlOf } from './vega.ts';

const OPTIONS: KibanaOptions = { name: 'millrace', index: 'logs-millrace-*', timeField: '@timestamp', flavour: 'kibana' };
const NOTE: Board = {
  id: 'note',
  title: '说明',
  description: '',
  hours: 1,
  panels: [{ kind: 'text', id: 't', title: '甲', width: 48, height: 4, markdown: '**值班**' }],
};

describe('boards for Kibana', () => {
  for (const [name, boards, options] of [
    ['overview', [serviceOverview], {}],
    ['overview for OpenSearch Dashboards', [serviceOverview], { flavour: 'opensearch-dashboards' }],
    ['two boards', [serviceOverview, NOTE], { name: 'pay', index: 'logstash-*' }],
    ['no board', [], {}],
  ] as const) {
    test(`${name} passes the check`, () => {
      assert.deepEqual(checkNdjson(toNdjson(renderKibana(boards, { ...OPTIONS, ...options }))), []);
    });
  }

  test('the same board gives the same bytes, ids and revisions', () => {
    assert.equal(toNdjson(renderKibana([serviceOverview], OPTIONS)), toNdjson(renderKibana([serviceOverview], OPTIONS)));
    const ids = renderKibana([NOTE], OPTIONS).map((object) => `${object.type} ${object.id}`);
    assert.deepEqual(ids, ['index-pattern millrace-logs', 'visualization millrace-note-t', 'dashboard millrace-note']);
  });

  test('a changed panel changes the revision of that panel only', () => {
    const revisions = (markdown: string): (string | undefined)[] => {
      const [panel] = NOTE.panels;
      return renderKibana(panel?.kind === 'text' ? [{ ...NOTE, panels: [{ ...panel, markdown }] }] : [], OPTIONS).map((object) =>
        revisionOf(object.attributes),
      );
    };
    const [, panelBefore, boardBefore] = revisions('a');
    const [, panelAfter, boardAfter] = revisions('b');
    assert.match(panelBefore ?? '', /^[0-9a-f]{12}$/);
    assert.notEqual(panelBefore, panelAfter);
    assert.equal(boardBefore, boardAfter);
  });

  for (const [attributes, want] of [
    [{ title: 'x', name: 'millrace logs (managed by millrace)' }, true],
    [{ title: 'logs-millrace-*', name: 'my logs' }, false],
    [{ title: 'logs-millrace-*' }, true],
    [{ title: 'other-*', name: '' }, false],
  ] as const) {
    test(`data view ${JSON.stringify(attributes)}`, () => {
      assert.equal(isOurDataView(attributes, OPTIONS), want);
    });
  }
});

describe('conditions', () => {
  for (const [where, kql, filter] of [
    [[], '', { match_all: {} }],
    [[{ field: 'a', is: 'x "y" \\' }], 'a: "x \\"y\\" \\\\"', { bool: { filter: [{ term: { a: 'x "y" \\' } }] } }],
    [[{ field: 'a', is: 5 }], 'a: 5', { bool: { filter: [{ term: { a: 5 } }] } }],
    [[{ field: 'a', from: 0, below: 9 }], 'a >= 0 and a < 9', { bool: { filter: [{ range: { a: { gte: 0, lt: 9 } } }] } }],
    [
      [
        { field: 'a', exists: true },
        { field: 'b', from: 1 },
      ],
      'a: * and b >= 1',
      { bool: { filter: [{ exists: { field: 'a' } }, { range: { b: { gte: 1 } } }] } },
    ],
  ] as const satisfies ReadonlyArray<readonly [readonly Condition[], string, unknown]>) {
    test(kql || 'none', () => {
      assert.equal(kqlOf(where), kql);
      assert.deepEqual(filterOf(where), filter);
    });
  }
});
