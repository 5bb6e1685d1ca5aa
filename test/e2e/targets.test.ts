/**
 * Plan and apply against real servers; each suite needs its variable (see ../servers/README.md) and is skipped by name without it.
 * Every run works under a name of its own and clears it away, so a server may be used again.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { serviceOverview } from '../../dashboards/boards/service-overview.ts';
import { graphiteTarget, withGraphite } from '../../dashboards/graphite/publish.ts';
import { vegaSpec } from '../../dashboards/kibana/vega.ts';
import { differences, isInStep, type Step } from '../../engine/sync.ts';
import { createElasticsearchClient, type ElasticsearchClient } from '../../shippers/elasticsearch/client.ts';
import { elasticsearchTarget, withElasticsearch } from '../../shippers/elasticsearch/sync.ts';

const NAME = `e2e${randomBytes(4).toString('hex')}`;
const skipWithout = (variable: string): { skip: string | false } => ({
  skip: process.env[variable] === undefined ? `needs a server: set ${variable}` : false,
});
const actions = (steps: readonly Step[]): string[] => steps.map((step) => step.action);

const EVENTS = Array.from({ length: 200 }, (_, index) => ({
  '@timestamp': new Date(Date.now() - index * 60_000).toISOString(),
  message: `请求 ${index}`,
  host: 'web-1',
  http: { request: { method: 'GET' }, response: { status_code: [200, 200, 304, 404, 500][index % 5] } },
  event: { duration: (index % 50) * 1e6, ...(index % 7 === 0 && { action: 'login', outcome: 'failure' }) },
  source: {
    ip: `192.0.2.${index}`,
    geo: {
      country_iso_code: ['CN', 'US'][index % 2],
      region_name: ['广东', 'Texas'][index % 2],
      location: { lat: index % 60, lon: index % 150 },
    },
  },
}));

for (const [variable, kind] of [
  ['ELASTICSEARCH_URL', 'stream'],
  ['OPENSEARCH_URL', 'stream'],
  ['ELASTICSEARCH7_URL', 'plain'],
] as const) {
  describe(`templates on ${variable}`, skipWithout(variable), () => {
    const url = process.env[variable] ?? '';
    const index = kind === 'stream' ? `logs-${NAME}.web-default` : `${NAME}-2026.11.24`;
    const pattern = kind === 'stream' ? `logs-${NAME}.*-*` : `${NAME}-*`;
    const target = (options: Record<string, unknown> = {}) =>
      elasticsearchTarget.parse({
        hosts: [url],
        name: NAME,
        data_streams: kind === 'stream' ? [pattern] : [],
        index_patterns: kind === 'plain' ? [pattern] : [],
        ...options,
      });
    let client: ElasticsearchClient;
    const apply = async (options: Record<string, unknown> = {}): Promise<readonly Step[]> =>
      withElasticsearch(target(options), '/', async (plan) => {
        await plan.apply();
        return plan.steps;
      });
    const send = async (method: string, path: string, body?: string | Record<string, unknown>): Promise<unknown> =>
      client.call(`${method} ${path}`, (api) =>
        api.transport.request(body === undefined ? { method, path } : { method, path, body }),
      );

    before(() => {
      client = createElasticsearchClient({ hosts: [url] });
    });
    after(async () => {
      for (const path of [
        kind === 'stream' ? `/_data_stream/${index}` : `/${index}`,
        `/_index_template/${NAME}-foreign-streams`,
      ]) {
        await send('DELETE', path).catch(() => undefined); // not there when a test before it failed
      }
      for (const part of ['streams', 'indices']) await send('DELETE', `/_index_template/${NAME}-${part}`).catch(() => undefined);
      for (const part of ['settings', 'ecs']) await send('DELETE', `/_component_template/${NAME}-${part}`).catch(() => undefined);
      await client.close();
    });

    test('apply on an empty server, then the second plan is empty', async () => {
      assert.deepEqual(actions(await apply()), ['create', 'create', 'create']);
      assert.ok(isInStep(await withElasticsearch(target(), '/', async (plan) => plan.steps)));
    });

    test('events get the types of the templates', async () => {
      const action = kind === 'stream' ? '{"create":{}}' : '{"index":{}}';
      const body = EVENTS.map((event) => `${action}\n${JSON.stringify(event)}\n`).join('');
      const answer = (await client.call('bulk', (api) =>
        api.transport.request({ method: 'POST', path: `/${index}/_bulk`, querystring: { refresh: 'true' }, bulkBody: body }),
      )) as { errors: boolean };
      assert.equal(answer.errors, false, JSON.stringify(answer).slice(0, 500));
      const found = (await send('GET', `/${index}/_mapping/field/source.ip,source.geo.location,event.duration`)) as Record<
        string,
        unknown
      >;
      const [types] = Object.values(found);
      const text = JSON.stringify(types);
      for (const [field, type] of [
        ['ip', 'ip'],
        ['location', 'geo_point'],
        ['duration', 'long'],
      ] as const) {
        assert.ok(text.includes(`"${field}":{"type":"${type}"`), text);
      }
    });

    test('every panel of the board gets an answer', async () => {
      for (const panel of serviceOverview.panels) {
        if (panel.kind === 'text' || panel.kind === 'events') continue;
        const spec = JSON.stringify(vegaSpec(panel, { index: pattern, timeField: '@timestamp' }));
        // What Kibana does with its placeholder.
        const query = JSON.parse(spec.replaceAll('{"%autointerval%":true}', '"10m"')) as {
          data?: unknown;
          layer?: { data: unknown }[];
        };
        const { url: asked } = (query.data ?? query.layer?.[1]?.data ?? {}) as { url?: { body: Record<string, unknown> } };
        const answer = (await send('POST', `/${pattern}/_search`, asked?.body)) as {
          aggregations: { all: Record<string, { buckets?: unknown[] }> };
        };
        const [buckets] = Object.values(answer.aggregations.all).flatMap((each) =>
          each.buckets === undefined ? [] : [each.buckets],
        );
        assert.ok((buckets?.length ?? 0) > 0, `${panel.id}: ${JSON.stringify(answer).slice(0, 300)}`);
      }
    });

    test('a changed option changes one template, and back', async () => {
      const steps = await apply({ refresh_interval: '1s' });
      assert.deepEqual(actions(steps), ['change', 'keep', 'keep']);
      assert.equal(steps[0]?.detail, 'settings.refresh_interval: 5000ms -> 1000ms');
      assert.deepEqual(actions(await apply()), ['change', 'keep', 'keep']);
    });

    test('a foreign template is refused and untouched', async () => {
      const name = `${NAME}-foreign`;
      const path = `/_index_template/${name}-streams`;
      const foreign = { index_patterns: [`${name}-nothing-*`], priority: 7, _meta: { managed_by: 'somebody' } };
      await send('PUT', path, foreign);
      const before = await send('GET', path);
      await assert.rejects(apply({ name, data_streams: [`logs-${name}-*`] }), {
        code: 'MR_REFUSED',
        message: /^index template .*-foreign-streams on .* was not made by this configuration and is left alone/,
      });
      assert.deepEqual(differences(before, await send('GET', path)), []);
      const component = client.find('look', (api) => api.cluster.getComponentTemplate({ name: `${name}-settings` }));
      assert.equal(await component, undefined);
    });
  });
}

describe('dashboard on GRAPHITE_WEB', skipWithout('GRAPHITE_WEB'), () => {
  const url = process.env['GRAPHITE_WEB'] ?? '';
  const apply = async (boards = [serviceOverview]): Promise<readonly Step[]> =>
    withGraphite(graphiteTarget.parse({ url, name: NAME }), boards, async (plan) => {
      await plan.apply();
      return plan.steps;
    });
  const load = async (name: string): Promise<{ state?: { graphs?: [string, unknown, string][] } }> =>
    (await (await fetch(`${url}/dashboard/load/${name}`)).json()) as { state?: { graphs?: [string, unknown, string][] } };
  after(async () => {
    await fetch(`${url}/dashboard/delete/${NAME}-service-overview`);
  });

  test('apply on an empty server, then the second plan is empty', async () => {
    assert.deepEqual(actions(await apply()), ['create']);
    assert.deepEqual(actions(await apply()), ['keep']);
  });

  test('graphite-web draws every graph', async () => {
    const { state } = await load(`${NAME}-service-overview`);
    assert.equal(state?.graphs?.length, 6);
    for (const [, , path] of state?.graphs ?? []) {
      const picture = await fetch(`${url}${path}`);
      assert.equal(`${picture.status} ${picture.headers.get('content-type')}`, '200 image/png', path);
      await picture.arrayBuffer();
    }
  });

  test('what is no longer wanted goes', async () => {
    assert.deepEqual(actions(await apply([])), ['delete']);
    assert.deepEqual(await load(`${NAME}-service-overview`), { error: `Dashboard '${NAME}-service-overview' does not exist. ` });
  });

  test('a foreign dashboard is refused and untouched', async () => {
    const name = `${NAME}-service-overview`;
    const body = new URLSearchParams({ state: JSON.stringify({ name, graphs: [] }) });
    await (await fetch(`${url}/dashboard/save/${name}`, { method: 'POST', body })).json();
    await assert.rejects(apply(), { code: 'MR_REFUSED', message: /is left alone/ });
    assert.deepEqual(await load(name), { state: { name, graphs: [] } });
  });
});
