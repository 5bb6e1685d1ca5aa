import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Step } from '../../engine/sync.ts';
import { serviceOverview } from '../boards/service-overview.ts';
import { graphiteTarget, withGraphite } from './publish.ts';

describe('boards in step with Graphite', () => {
  /** name -> state; what graphite-web keeps. */
  const stored = new Map<string, unknown>();
  let refusal: string | undefined;
  let isGraphite = true;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await text(request);
    const [, , verb, name = ''] = decodeURIComponent(request.url ?? '').split('/');
    const reply = (value: unknown): void => void response.end(isGraphite ? JSON.stringify(value) : '<html>');
    if (verb === 'find') return reply({ dashboards: [...stored.keys()].map((each) => ({ name: each })) });
    if (refusal !== undefined && verb !== 'load') return reply({ error: refusal });
    if (verb === 'load')
      return reply(stored.has(name) ? { state: stored.get(name) } : { error: `Dashboard '${name}' does not exist. ` });
    if (verb === 'delete') return reply({ success: stored.delete(name) });
    stored.set(name, JSON.parse(new URLSearchParams(body).get('state') ?? ''));
    reply({ success: true });
  };
  const http = createServer((request, response) => void answer(request, response));
  let url: string;
  before(async () => {
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    stored.clear();
    refusal = undefined;
    isGraphite = true;
  });
  after(() => {
    http.closeAllConnections();
    http.close();
  });
  async function apply(options: Record<string, unknown> = {}, boards = [serviceOverview]): Promise<readonly Step[]> {
    return withGraphite(graphiteTarget.parse({ url, ...options }), boards, async (plan) => {
      await plan.apply();
      return plan.steps;
    });
  }
  const shown = (steps: readonly Step[]): string[] => steps.map((step) => `${step.action} ${step.what}`);

  test('create, keep, change, delete', async () => {
    assert.deepEqual(shown(await apply()), ['create dashboard millrace-service-overview']);
    assert.deepEqual(shown(await apply()), ['keep dashboard millrace-service-overview']);
    const [changed] = await apply({ labels: 'path' });
    assert.equal(changed?.action, 'change');
    assert.match(changed.detail ?? '', /^graphs: /);
    assert.deepEqual(shown(await apply({}, [])), ['delete dashboard millrace-service-overview']);
    assert.equal(stored.size, 0);
  });

  test('dashboards of others stay', async () => {
    stored.set('millrace-old', { name: 'millrace-old' });
    stored.set('a-millrace-b', { millrace: { managed_by: 'millrace', name: 'a' } });
    await apply();
    assert.deepEqual([...stored.keys()], ['millrace-old', 'a-millrace-b', 'millrace-service-overview']);
  });

  test('a dashboard in the way is refused and untouched', async () => {
    stored.set('millrace-service-overview', { name: 'mine' });
    await assert.rejects(apply(), {
      code: 'MR_REFUSED',
      message: /was not made by this configuration, or was saved by hand since/,
    });
    assert.deepEqual(stored.get('millrace-service-overview'), { name: 'mine' });
  });

  test('a log-in is wanted', async () => {
    refusal = 'Must be logged in with appropriate permissions to save';
    await assert.rejects(apply(), {
      code: 'MR_AUTH',
      message: /refused to save dashboard millrace-service-overview: Must be logged in/,
    });
  });

  test('some other server', async () => {
    isGraphite = false;
    await assert.rejects(apply(), {
      code: 'MR_PROTOCOL',
      message: /does not answer as graphite-web does \(status 200\): check the URL$/,
    });
  });

  test('nobody there', async () => {
    await assert.rejects(apply({ url: 'http://127.0.0.1:1' }), { code: 'MR_CONNECT' });
  });
});
