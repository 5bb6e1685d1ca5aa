import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { parseRules } from '../rule.ts';
import { readComparison } from './compare.ts';
import { importRules, renderImport, uuidOf, type ZabbixNames } from './plan.ts';
import { namesOf, ZABBIX_TARGET } from './target.ts';

const file = parse(readFileSync(new URL('../rules/mission.yaml', import.meta.url), 'utf8')) as { alerts: unknown };
const { rules } = parseRules(file.alerts, () => ({ file: '-', line: 1, column: 1 }));
const NAMES: ZabbixNames = { owner: 'o', hostGroup: 'g', template: 't', host: 'h' };
const V60 = { major: 6, minor: 0, text: '6.0.14' };
const V70 = { major: 7, minor: 0, text: '7.0.22' };

interface Entity {
  readonly uuid: string;
  readonly key?: string;
  readonly name: string;
  readonly delay?: string;
  readonly expression?: string;
  readonly priority?: string;
  readonly tags?: readonly { readonly tag: string; readonly value: string }[];
  readonly triggers?: readonly Entity[];
  readonly item_prototypes?: readonly Entity[];
  readonly trigger_prototypes?: readonly Entity[];
}
interface Template extends Entity {
  readonly items?: readonly Entity[];
  readonly discovery_rules?: readonly Entity[];
}
const rendered = (...args: Parameters<typeof renderImport>) =>
  (JSON.parse(renderImport(...args)) as { zabbix_export: { version: string; templates: Template[] } & Record<string, unknown> })
    .zabbix_export;

describe('the wanted template', () => {
  const [template] = rendered(rules, NAMES, V60).templates;
  assert.ok(template !== undefined);
  test('has an item for the state, one for the value and a trigger per rule, and the watch over the watcher', () => {
    assert.deepEqual(
      template.items?.map((item) => item.key),
      [
        'millrace.rules.alive',
        'millrace.rule.state[error-ratio]',
        'millrace.rule.value[error-ratio]',
        'millrace.rule.state[no-events]',
        'millrace.rule.value[no-events]',
      ],
    );
    assert.equal(template.items?.[0]?.triggers?.[0]?.expression, 'nodata(/t/millrace.rules.alive,120s)=1');
    assert.equal(template.items?.[1]?.triggers?.[0]?.expression, 'last(/t/millrace.rule.state[error-ratio])=1');
    assert.equal(template.items?.[1]?.triggers?.[0]?.priority, 'HIGH');
    assert.deepEqual(template.items?.[1]?.triggers?.[0]?.tags, [
      { tag: 'managed-by', value: 'millrace' },
      { tag: 'rule', value: 'error-ratio' },
      { tag: 'service', value: 'shop' },
    ]);
  });
  test('makes groups a discovery with prototypes', () => {
    const [discovery] = template.discovery_rules ?? [];
    assert.equal(discovery?.key, 'millrace.rule.groups[login-failures]');
    const [state, value] = discovery?.item_prototypes ?? [];
    assert.equal(state?.key, 'millrace.rule.state[login-failures,"{#GROUP}"]');
    assert.equal(value?.key, 'millrace.rule.value[login-failures,"{#GROUP}"]');
    assert.equal(state?.trigger_prototypes?.[0]?.expression, 'last(/t/millrace.rule.state[login-failures,"{#GROUP}"])=1');
    assert.ok(
      state?.trigger_prototypes?.[0]?.tags?.some(
        ({ tag, value: text }) => tag === 'source.geo.region_name' && text === '{#GROUP}',
      ),
    );
  });
  test('is marked with its owner', () => {
    assert.deepEqual(template.tags, [
      { tag: 'managed-by', value: 'millrace' },
      { tag: 'millrace-owner', value: 'o' },
    ]);
  });
  test('is the same bytes for the same rules, and every uuid is its own', () => {
    const text = renderImport(rules, NAMES, V60);
    assert.equal(renderImport(structuredClone(rules), NAMES, V60), text);
    const uuids = [...text.matchAll(/"uuid":"([0-9a-f]{32})"/g)].map((match) => match[1] ?? '');
    assert.equal(new Set(uuids).size, uuids.length);
    for (const uuid of uuids) assert.match(uuid, /^.{12}4.{3}[89ab].{15}$/);
    const others = renderImport(rules, { ...NAMES, owner: 'p' }, V60);
    assert.ok(!uuids.some((uuid) => others.includes(uuid)));
  });
  test('follows the version of the server', () => {
    const old = rendered(rules, NAMES, V60);
    const young = rendered(rules, NAMES, V70);
    assert.deepEqual([old['version'], 'groups' in old, 'template_groups' in old], ['6.0', true, false]);
    assert.deepEqual([young['version'], 'groups' in young, 'template_groups' in young], ['7.0', false, true]);
    assert.deepEqual([old.templates[0]?.items?.[0]?.delay, young.templates[0]?.items?.[0]?.delay], ['0', undefined]);
    assert.ok(
      'groups' in importRules(V60, { deleteMissing: true }) && 'template_groups' in importRules(V70, { deleteMissing: true }),
    );
  });
  test('of no rules has no empty lists, which a server would call a difference', () => {
    const [empty] = rendered([], NAMES, V60).templates;
    assert.ok(empty !== undefined && !('items' in empty) && !('discovery_rules' in empty));
  });
  test('uuids keep their parts apart', () => assert.notEqual(uuidOf('a', 'bc'), uuidOf('ab', 'c')));
});

describe('a comparison becomes steps', () => {
  const mark = [{ tag: 'managed-by', value: 'millrace' }];
  for (const [name, answer, steps, surplus] of [
    ['in step', [], [], []],
    ['nonsense', 'nonsense', [], []],
    [
      'lists of nonsense',
      { templates: { added: [null, 5], updated: 'x', removed: {} } },
      ['create template ?', 'create template ?'].slice(0, 0),
      [],
    ],
    [
      'created with all below it',
      {
        templates: {
          added: [
            {
              after: { name: 't' },
              items: { added: [{ after: { key: 'k' }, triggers: { added: [{ after: { name: 'n', priority: 'HIGH' } }] } }] },
            },
          ],
        },
      },
      ['create template t', 'create item k', 'create trigger n: severity high'],
      [],
    ],
    [
      'changed below an unchanged template',
      {
        templates: {
          updated: [
            {
              before: { name: 't' },
              after: { name: 't' },
              items: { updated: [{ before: { key: 'k', units: '%' }, after: { key: 'k' } }] },
            },
          ],
        },
      },
      ['change item k: units: % -> (none)'],
      [],
    ],
    [
      'removed, ours and somebody else’s',
      {
        templates: {
          updated: [
            {
              before: {},
              after: {},
              items: {
                removed: [
                  {
                    before: { uuid: 'a', key: 'ours', tags: mark },
                    triggers: { removed: [{ before: { uuid: 'b', name: 'n', tags: mark } }] },
                  },
                  { before: { uuid: 'c', key: 'by hand' } },
                ],
              },
              discovery_rules: {
                removed: [
                  { before: { uuid: 'd', key: 'millrace.rule.groups[x]' } },
                  { before: { uuid: 'e', key: 'vfs.discovery' } },
                ],
              },
              valuemaps: { removed: [{ before: { uuid: 'f', name: 'theirs' } }] },
            },
          ],
        },
      },
      ['delete item ours', 'delete discovery rule millrace.rule.groups[x]'],
      ['item a', 'discovery rule d'],
    ],
  ] as const) {
    test(name, () => {
      const found = readComparison(answer);
      assert.deepEqual(
        found.steps.map(({ action, what, detail }) => `${action} ${what}${detail === undefined ? '' : `: ${detail}`}`),
        steps,
      );
      assert.deepEqual(
        found.surplus.map(({ kind, uuid }) => `${kind} ${uuid}`),
        surplus,
      );
    });
  }
});

describe('targets.zabbix', () => {
  test('defaults', () => {
    const target = ZABBIX_TARGET.parse({ url: '127.0.0.1:8080' });
    assert.equal(target.url, 'http://127.0.0.1:8080');
    assert.deepEqual(namesOf(target), { owner: 'millrace', hostGroup: 'millrace', template: 'millrace rules', host: 'millrace' });
  });
  for (const [name, fields] of [
    ['url', { url: 'ftp://a' }],
    ['name of a host', { url: 'http://a', host: '主机' }],
    ['host and template of one name', { url: 'http://a', host: 'x', template: 'x' }],
    ['unknown key', { url: 'http://a', pasword: 'x' }],
  ] as const) {
    test(name, () => assert.ok(!ZABBIX_TARGET.safeParse(fields).success));
  }
});
