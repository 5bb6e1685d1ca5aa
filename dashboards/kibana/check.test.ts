import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { checkNdjson } from './check.ts';

const SEARCH = JSON.stringify({ query: { language: 'kuery', query: '' }, filter: [] });
const VIEW = { type: 'index-pattern', id: 'v', attributes: { title: 'logs-*' }, references: [] };
const note = (
  change: Record<string, unknown> = {},
  visState: Record<string, unknown> = { type: 'markdown', params: { markdown: '' } },
) => ({
  type: 'visualization',
  id: 'n',
  attributes: { title: 'n', visState: JSON.stringify(visState), kibanaSavedObjectMeta: { searchSourceJSON: SEARCH }, ...change },
  references: [],
});
const panel = (index: string, x: number, w = 24) => ({
  panelIndex: index,
  gridData: { x, y: 0, w, h: 5, i: index },
  panelRefName: `panel_${index}`,
});
const board = (panels: readonly unknown[], names: readonly string[] = ['panel_1']) => ({
  type: 'dashboard',
  id: 'd',
  attributes: { title: 'd', panelsJSON: JSON.stringify(panels) },
  references: names.map((name) => ({ type: 'visualization', id: 'n', name })),
});
const vega = (url: unknown, schema = 'https://vega.github.io/schema/vega-lite/v5.json') =>
  note({}, { type: 'vega', params: { spec: JSON.stringify({ $schema: schema, data: { url } }) } });

describe('check of saved objects', () => {
  for (const [name, objects, want] of [
    ['good', [VIEW, note(), board([panel('1', 0)])], undefined],
    ['twice', [VIEW, VIEW], /line 2: index-pattern v is there twice/],
    ['no object', [7], /line 1: not a saved object/],
    ['version stamp', [{ ...VIEW, typeMigrationVersion: '8.0.0' }], /typeMigrationVersion makes it unportable/],
    ['Lens', [{ ...VIEW, type: 'lens' }], /type lens is not portable/],
    ['unknown attribute', [note({ hue: 1 })], /unknown attribute hue/],
    ['text that is no JSON', [note({ uiStateJSON: '{' })], /uiStateJSON is no text with JSON in it/],
    ['object where a text must be', [note({ visState: {} })], /visState is no text/],
    ['no title', [note({ title: '' })], /no title/],
    ['reference to nothing', [board([panel('1', 0)])], /refers to visualization n, which is not in the file/],
    ['panel without reference', [note(), board([panel('1', 0), panel('2', 24)])], /no reference is called panel_2/],
    ['reference without panel', [note(), board([panel('1', 0)], ['panel_1', 'panel_9'])], /reference panel_9 is not used/],
    ['overlap', [note(), board([panel('1', 0), panel('2', 23)], ['panel_1', 'panel_2'])], /panel 2: overlaps panel 1/],
    ['too wide', [note(), board([panel('1', 30)])], /panel 1: does not fit the 48 columns/],
    ['pie', [note({}, { type: 'pie' })], /panel kind pie is not portable/],
    ['Vega', [vega({ index: 'l', '%context%': true, body: { size: 0 } })], undefined],
    ['Vega with query', [vega({ index: 'l', '%context%': true, body: { size: 0, query: {} } })], /exclude each other/],
    ['Vega without index', [vega({ body: { size: 0 } })], /data\.url has no index/],
    [
      'Vega of another generation',
      [vega({ index: 'l', body: { size: 0 } }, 'https://vega.github.io/schema/vega-lite/v6.json')],
      /\$schema/,
    ],
    ['Vega in HJSON', [note({}, { type: 'vega', params: { spec: '{ a: 1 }' } })], /no text with strict JSON/],
  ] as const) {
    test(name, () => {
      const problems = checkNdjson(objects.map((object) => `${JSON.stringify(object)}\n`).join(''));
      if (want === undefined) assert.deepEqual(problems, []);
      else assert.match(problems.join('\n'), want);
    });
  }
  test('half a line', () => {
    assert.match(checkNdjson('{"type":').join('\n'), /no line feed\nline 1: not a saved object/);
  });
  test('any text: a list, no throw', () => {
    const objects = fc.array(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc
          .record({
            type: fc.constantFrom('dashboard', 'search'),
            id: fc.string(),
            attributes: fc.dictionary(
              fc.constantFrom('panelsJSON', 'title', 'kibanaSavedObjectMeta'),
              fc.oneof(fc.json(), fc.object()),
            ),
            references: fc.anything(),
          })
          .map((value) => JSON.stringify(value)),
      ),
    );
    fc.assert(
      fc.property(objects, (lines) => Array.isArray(checkNdjson(lines.join('\n')))),
      { numRuns: 200 },
    );
  });
});
