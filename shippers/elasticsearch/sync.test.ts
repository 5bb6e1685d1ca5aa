import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Step } from '../../engine/sync.ts';
import { elasticsearchTarget, withElasticsearch } from './sync.ts';

/** Stores templates as they come; enough of the API for plan and apply. */
function fakeElasticsearch(stored: Map<string, Record<string, unknown>>, version: string): HttpServer {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [kind = '', name = ''] = (request.url ?? '').split('?')[0]?.slice(1).split('/') ?? [];
    const reply = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (kind === '') return reply(200, { version: { number: version } });
    if (name === '_simulate') return reply(400, { error: { reason: 'no handler for type [match_only_text]' } });
    if (request.method === 'PUT') {
      stored.set(`${kind}/${name}`, JSON.parse(await text(request)) as Record<string, unknown>);
      return reply(200, { acknowledged: true });
    }
    if (request.method === 'DELETE') return reply(stored.delete(`${kind}/${name}`) ? 200 : 404, {});
    const prefix = `${kind}/${name.replace('*', '')}`;
    const field = kind.slice(1);
    const found = [...stored]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, body]) => ({ name: key.split('/')[1], [field]: body }));
    reply(found.length > 0 ? 200 : 404, { [`${field}s`]: found });
  };
  return createServer((request, response) => void answer(request, response));
}

describe('templates in step', () => {
  const stored = new Map<string, Record<string, unknown>>();
  const http = fakeElasticsearch(stored, '8.10.0');
  let hosts: string[];
  before(async () => {
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    hosts = [`http://127.0.0.1:${(http.address() as AddressInfo).port}`];
  });
  beforeEach(() => {
    stored.clear();
  });
  after(() => {
    http.closeAllConnections();
    http.close();
  });

  async function apply(options: Record<string, unknown> = {}): Promise<readonly Step[]> {
    return withElasticsearch(elasticsearchTarget.parse({ hosts, ...options }), '/', async (plan) => {
      await plan.apply();
      return plan.steps;
    });
  }
  const actions = (steps: readonly Step[]): string[] => steps.map((step) => step.action);

  test('create, then nothing to do', async () => {
    assert.deepEqual(actions(await apply()), ['create', 'create', 'create']);
    assert.deepEqual(actions(await apply()), ['keep', 'keep', 'keep']);
    assert.equal(stored.size, 3);
  });

  test('a change by hand is undone', async () => {
    await apply();
    const template = stored.get('_index_template/millrace-streams');
    if (template !== undefined) template['priority'] = 1;
    const [, , step] = await apply();
    assert.deepEqual([step?.action, step?.detail], ['change', 'priority: 1 -> 250']);
    assert.equal(stored.get('_index_template/millrace-streams')?.['priority'], 250);
  });

  test('what is no longer wanted goes, what another configuration made stays', async () => {
    await apply({ index_patterns: ['logstash-*'] });
    await apply({ name: 'millrace-pay' });
    assert.deepEqual(actions(await apply()), ['keep', 'keep', 'keep', 'delete']);
    assert.equal(stored.has('_index_template/millrace-indices'), false);
    assert.equal(stored.has('_index_template/millrace-pay-streams'), true);
  });

  test('a foreign template is refused before anything is written', async () => {
    const foreign = { index_patterns: ['x'], _meta: { managed_by: 'somebody' } };
    stored.set('_index_template/millrace-streams', foreign);
    await assert.rejects(apply(), {
      code: 'MR_REFUSED',
      message: /^index template millrace-streams on .* was not made by this configuration and is left alone/,
    });
    assert.deepEqual([...stored], [['_index_template/millrace-streams', foreign]]);
  });

  test('retention on a server without it', async () => {
    await assert.rejects(apply({ retention: '30d' }), {
      code: 'MR_REFUSED',
      message: /is Elasticsearch 8\.10\.0, which has no retention/,
    });
  });

  test('certificate that cannot be read', async () => {
    await assert.rejects(apply({ ca_file: 'no-such.pem' }), { code: 'MR_NO_INPUT' });
  });

  for (const [options, message] of [
    [{ name: 'Millrace' }, /lower case/],
    [{ hosts: ['ftp://x'] }, /expected a URL/],
    [{ retention: '1h' }, /./],
    [{ host: 'x' }, /host/],
  ] as const) {
    test(`refuses ${JSON.stringify(options)}`, () => {
      assert.match(elasticsearchTarget.safeParse(options).error?.message ?? '', message);
    });
  }
});
