import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Server } from './client.ts';
import { comparable, isOurs, mappingsFor, type TemplateOptions, templatesFor, typedFields } from './templates.ts';

const ES8: Server = { flavour: 'elasticsearch', version: '8.19.0', major: 8, minor: 19 };
const ES7: Server = { flavour: 'elasticsearch', version: '7.17.0', major: 7, minor: 17 };
const OPENSEARCH: Server = { flavour: 'opensearch', version: '2.19.0', major: 2, minor: 19 };
const OPTIONS: TemplateOptions = {
  name: 'millrace',
  dataStreams: ['logs-millrace-*'],
  indexPatterns: [],
  shards: 1,
  replicas: undefined,
  refreshMs: 5000,
  retentionDays: undefined,
};

describe('templates', () => {
  for (const [title, options, server, names] of [
    ['data stream', {}, ES8, ['millrace-settings', 'millrace-ecs', 'millrace-streams']],
    [
      'plain indices',
      { dataStreams: [], indexPatterns: ['logstash-*'] },
      ES7,
      ['millrace-settings', 'millrace-ecs', 'millrace-indices'],
    ],
    ['both', { indexPatterns: ['a-*'], name: 'pay' }, OPENSEARCH, ['pay-settings', 'pay-ecs', 'pay-streams', 'pay-indices']],
  ] as const) {
    test(title, () => {
      const templates = templatesFor({ ...OPTIONS, ...options }, server, { matchOnlyText: true });
      assert.deepEqual(
        templates.map((template) => template.name),
        names,
      );
      for (const template of templates) assert.ok(isOurs(template.body, { ...OPTIONS, ...options }.name));
    });
  }

  for (const [title, options, server, path, want] of [
    ['retention on 8.19', { retentionDays: 30 }, ES8, 'data_retention', '30d'],
    ['no retention on OpenSearch', { retentionDays: 30 }, OPENSEARCH, 'data_retention', undefined],
    ['data stream', {}, ES8, 'data_stream', true],
    ['above the built-in logs-*-*', {}, ES8, 'priority', 250],
  ] as const) {
    test(title, () => {
      const [, , index] = templatesFor({ ...OPTIONS, ...options }, server, { matchOnlyText: true });
      assert.deepEqual(comparable(index?.body)[path], want);
    });
  }

  test('a changed option changes the hash, the same options do not', () => {
    const hash = (options: Partial<TemplateOptions>): unknown =>
      templatesFor({ ...OPTIONS, ...options }, ES8, { matchOnlyText: true }).map((template) => template.body['_meta']);
    assert.deepEqual(hash({}), hash({}));
    assert.notDeepEqual(hash({}), hash({ shards: 2 }));
  });

  for (const [field, type] of [
    ['@timestamp', 'date'],
    ['message', 'match_only_text'],
    ['source.ip', 'ip'],
    ['source.geo.location', 'geo_point'],
    ['http.response.status_code', 'long'],
    ['event.duration', 'long'],
    ['user_agent.original', 'keyword'],
    ['host', undefined],
  ] as const) {
    test(`type of ${field}`, () => {
      assert.equal(typedFields().get(field), type);
    });
  }

  test('text where the server lacks match_only_text', () => {
    assert.doesNotMatch(JSON.stringify(mappingsFor({ matchOnlyText: false })), /match_only_text/);
  });
});

describe('comparable', () => {
  for (const [title, answer, sent] of [
    [
      'settings nested and as text',
      { template: { settings: { index: { number_of_shards: '1', codec: 'x' } } } },
      { template: { settings: { index: { number_of_shards: 1, codec: 'x' } } } },
    ],
    [
      'settings dotted',
      { template: { settings: { index: { mapping: { total_fields: { limit: '9' } } } } } },
      { template: { settings: { 'index.mapping.total_fields.limit': 9 } } },
    ],
    [
      'data stream with keys of the server',
      { data_stream: { hidden: false, timestamp_field: { name: '@timestamp' } } },
      { data_stream: {} },
    ],
    [
      'mappings below _doc, flags as text',
      { template: { mappings: { _doc: { date_detection: 'false' } } } },
      { template: { mappings: { date_detection: false } } },
    ],
    [
      'lifecycle with what the server filled in',
      { template: { lifecycle: { enabled: true, data_retention: '3d' } } },
      { template: { lifecycle: { data_retention: '3d' } } },
    ],
  ] as const) {
    test(title, () => {
      assert.deepEqual(comparable(answer), comparable(sent));
    });
  }
  for (const [body, owner, want] of [
    [{ _meta: { managed_by: 'millrace', name: 'a' } }, 'a', true],
    [{ _meta: { managed_by: 'millrace', name: 'a' } }, 'b', false],
    [{ _meta: { managed_by: 'millrace', name: 'a' } }, undefined, true],
    [{ _meta: { managed_by: 'somebody' } }, undefined, false],
    [{}, undefined, false],
    [undefined, undefined, false],
  ] as const) {
    test(`ours for ${owner}: ${JSON.stringify(body)}`, () => {
      assert.equal(isOurs(body, owner), want);
    });
  }
});
