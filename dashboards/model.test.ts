import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { serviceOverview } from './boards/service-overview.ts';
import { checkBoard } from './check.ts';
import { fieldsOf, type Panel, place } from './model.ts';

const box = (width: Panel['width'], height: number, id = `${width}x${height}`): Panel => ({
  kind: 'text',
  id,
  title: id,
  width,
  height,
  markdown: '',
});

describe('places of panels', () => {
  for (const [panels, want] of [
    [[], []],
    [
      [box(48, 5), box(48, 6)],
      ['0,0', '0,5'],
    ],
    [
      [box(24, 5), box(24, 5), box(12, 3)],
      ['0,0', '24,0', '0,5'],
    ],
    [
      [box(32, 5), box(24, 7), box(24, 2)],
      ['0,0', '0,5', '24,5'],
    ],
    [
      [box(16, 9), box(16, 2), box(32, 1)],
      ['0,0', '16,0', '0,9'],
    ],
  ] as const) {
    test(panels.map((panel) => panel.id).join(' ') || 'none', () => {
      assert.deepEqual(
        place(panels).map(({ x, y }) => `${x},${y}`),
        want,
      );
    });
  }
});

const FIELDS = new Map([
  ['ip', 'ip'],
  ['text', 'match_only_text'],
  ['n', 'long'],
  ['at', 'geo_point'],
]);
const BASE = { id: 'p', title: 'p', width: 48, height: 9 } as const;

describe('check of a board', () => {
  for (const [name, panel, want] of [
    ['good top', { ...BASE, kind: 'top', where: [{ field: 'n', from: 1 }], field: 'ip', size: 5 }, []],
    [
      'top values of a text',
      { ...BASE, kind: 'top', where: [], field: 'text', size: 5 },
      [/field text is of type match_only_text, which cannot be used for values$/],
    ],
    [
      'map of a number',
      { ...BASE, kind: 'map', where: [], field: 'n' },
      [/field n is of type long, which cannot be used for place$/],
    ],
    [
      'range over an address',
      { ...BASE, kind: 'map', where: [{ field: 'ip', below: 3 }], field: 'at' },
      [/field ip is of type ip, which cannot be used for number$/],
    ],
    ['unknown field', { ...BASE, kind: 'events', where: [], columns: ['甲'] }, [/^board b: panel p: field 甲 is not known$/]],
    ['bad id', { ...BASE, id: 'P 1', kind: 'text', markdown: '' }, [/its id holds more than/]],
  ] as const satisfies ReadonlyArray<readonly [string, Panel, readonly RegExp[]]>) {
    test(name, () => {
      const problems = checkBoard({ id: 'b', title: 'b', description: '', hours: 1, panels: [panel] }, FIELDS);
      assert.equal(problems.length, want.length, problems.join('\n'));
      for (const [index, pattern] of want.entries()) assert.match(problems[index] ?? '', pattern);
    });
  }
  test('an id twice', () => {
    const board = { id: 'b', title: 'b', description: '', hours: 1, panels: [box(48, 1, 'a'), box(48, 1, 'a')] };
    assert.match(checkBoard(board, FIELDS).join(), /its id is there twice/);
  });
  test('the overview asks for what its answers need', () => {
    const asked = new Set(serviceOverview.panels.flatMap((panel) => fieldsOf(panel).map(([field]) => field)));
    for (const field of ['http.response.status_code', 'event.duration', 'source.geo.location', 'event.outcome'])
      assert.ok(asked.has(field), field);
  });
});
