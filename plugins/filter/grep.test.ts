import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Definition, Filter } from '../../engine/component.ts';
import { sectionFromData, sectionToInput } from '../../engine/config/section.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { create, runFilter, testContext } from '../../engine/testing/driver.ts';
import { grepFilter } from './grep.ts';

const definition = grepFilter as unknown as Definition;
const input = (config: Fields): Fields => sectionToInput(sectionFromData('filter', config));
const keeps = (config: Fields, record: Fields): boolean =>
  runFilter(create<Filter>(definition, input(config), testContext(definition)), [{ record }]).events.length === 1;

const code = (pattern: string): Fields => ({ key: 'code', pattern });
const path = (pattern: string): Fields => ({ key: '$.url.path', pattern });
const event = (status: unknown, at: string): Fields => ({ code: status, url: { path: at } });

describe('grep', () => {
  for (const [name, config, record, want] of [
    ['nothing asked', {}, event(200, '/'), true],
    ['a match', { regexp: code('^5') }, event(500, '/'), true],
    ['no match', { regexp: code('^5') }, event(200, '/'), false],
    ['all must match', { regexp: [code('^5'), path('api')] }, event(500, '/'), false],
    ['excluded', { exclude: path('/^\\/health/') }, event(200, '/health'), false],
    ['one exclusion is enough', { exclude: [code('^2'), path('none')] }, event(200, '/'), false],
    ['or: one of two', { or: { regexp: [code('^5'), path('api')] } }, event(200, '/api'), true],
    ['or: none of two', { or: { regexp: [code('^5'), path('api')] } }, event(200, '/'), false],
    ['and: only all exclusions together', { and: { exclude: [code('^2'), path('api')] } }, event(200, '/'), true],
    ['and: all exclusions', { and: { exclude: [code('^2'), path('api')] } }, event(200, '/api'), false],
    ['a missing field is empty', { regexp: { key: 'none', pattern: '^$' } }, event(200, '/'), true],
    ['a list as Ruby prints it', { regexp: { key: 'l', pattern: '"b"=>nil' } }, { l: [{ b: null }] }, true],
    ['true is text', { regexp: { key: 't', pattern: '^true$' } }, { t: true }, true],
    ['a dotted key is one key', { regexp: { key: 'a.b', pattern: 'x' } }, { a: { b: 'x' } }, false],
    ['Chinese', { regexp: { key: 'm', pattern: '/登录(失败|超时)/' } }, { m: '用户登录失败' }, true],
    ['old spelling', { regexp1: 'code ^5', exclude1: '$.url.path health' }, event(500, '/health'), false],
  ] as const) {
    test(name, () => assert.equal(keeps(config as Fields, record as Fields), want));
  }

  test('a drop has a reason', () => {
    const filter = create<Filter>(definition, input({ regexp: code('^5') }), testContext(definition));
    assert.deepEqual(runFilter(filter, [{ record: event(200, '/') }]).dropped, ['filtered']);
  });

  for (const [config, problem] of [
    [{ regexp: [code('1'), code('2')] }, /key code is given twice/],
    [{ and: { regexp: code('1'), exclude: code('2') } }, /not both/],
    [{ or: {} }, /needs <regexp> or <exclude>/],
    [{ regexp1: 'code' }, /a blank and an expression/],
    [{ regexp2: 'code (' }, /regexp2/],
  ] as const) {
    test(JSON.stringify(config), () => {
      const parsed = grepFilter.config.parse(input(config as Fields));
      assert.match(grepFilter.check?.(parsed).join('\n') ?? '', problem);
    });
  }
  test('a key that is no accessor', () => {
    assert.ok(!grepFilter.config.safeParse(input({ regexp: { key: '$.', pattern: 'x' } })).success);
  });
});
