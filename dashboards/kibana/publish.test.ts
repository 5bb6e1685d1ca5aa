import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, test } from 'node:test';
import type { Step } from '../../engine/sync.ts';
import { serviceOverview } from '../boards/service-overview.ts';
import { checkNdjson } from './check.ts';
import { kibanaTarget, withKibana } from './publish.ts';

type Saved = { type: string; id: string; attributes: Record<string, unknown> };

/** Export and import by Kibana's rules: missing objects refuse an export, an import answers 200 whatever happens. */
class FakeKibana {
  readonly stored = new Map<string, Saved>();
  version = '8.19.0';
  refuse: string | undefined;
  readonly paths: string[] = [];

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const path = request.url ?? '';
    this.paths.push(path);
    const reply = (status: number, value: unknown): void =>
      void response.writeHead(status).end(typeof value === 'string' ? value : JSON.stringify(value));
    if (request.headers.authorization === 'Basic YTp3cm9uZw==') return reply(401, {});
    if (path === '/api/status') return reply(200, { version: { number: this.version } });
    if (request.headers['kbn-xsrf'] === undefined) return reply(400, { message: 'Request must contain a kbn-xsrf header.' });
    if (path.endsWith('/_export')) {
      const { objects } = JSON.parse(body) as { objects: Saved[] };
      const missing = objects.filter(({ type, id }) => !this.stored.has(`${type} ${id}`));
      if (missing.length > 0)
        return reply(400, { message: 'Error fetching objects to export', attributes: { objects: missing } });
      return reply(200, objects.map(({ type, id }) => JSON.stringify(this.stored.get(`${type} ${id}`))).join('\n'));
    }
    const boundary = /boundary=(.+)$/.exec(request.headers['content-type'] ?? '')?.[1] ?? '?';
    const part = body.split(`--${boundary}`)[1] ?? '';
    const ndjson = part.slice(part.indexOf('\r\n\r\n') + 4).replace(/\r\n$/, '');
    assert.deepEqual(checkNdjson(ndjson), []);
    if (this.refuse !== undefined)
      return reply(200, { success: false, errors: [{ type: 'search', id: 'x', error: { type: this.refuse } }] });
    for (const line of ndjson.trim().split('\n')) {
      const object = JSON.parse(line) as Saved;
      this.stored.set(`${object.type} ${object.id}`, object);
    }
    reply(200, { success: true });
  }
}

describe('boards in step with Kibana', () => {
  let kibana = new FakeKibana();
  const http = createServer((request, response) => void kibana.answer(request, response));
  const dir = mkdtempSync(join(tmpdir(), 'millrace-kibana-'));
  let url: string;
  before(async () => {
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    kibana = new FakeKibana();
  });
  after(() => {
    http.closeAllConnections();
    http.close();
    rmSync(dir, { recursive: true });
  });
  async function apply(options: Record<string, unknown> = {}): Promise<readonly Step[]> {
    return withKibana(kibanaTarget.parse({ url, ...options }), [serviceOverview], dir, async (plan) => {
      await plan.apply();
      return plan.steps;
    });
  }
  const actions = (steps: readonly Step[]): string[] => [...new Set(steps.map((step) => step.action))];

  test('create, then nothing to do and nothing sent', async () => {
    assert.deepEqual(actions(await apply()), ['create']);
    kibana.paths.length = 0;
    assert.deepEqual(actions(await apply()), ['keep']);
    assert.deepEqual(kibana.paths, ['/api/status', '/api/saved_objects/_export']);
  });

  test('another index changes every object that looks at it', async () => {
    await apply();
    const steps = await apply({ index: 'logstash-*' });
    assert.deepEqual(actions(steps), ['change', 'keep']);
    assert.match(steps[0]?.detail ?? '', /^title: logs-millrace-\* -> logstash-\*$/);
  });

  test('a space', async () => {
    await apply({ space: '运维' });
    assert.ok(kibana.paths.includes('/s/%E8%BF%90%E7%BB%B4/api/saved_objects/_import?overwrite=true'));
  });

  test('OpenSearch Dashboards gets no name of a data view', async () => {
    kibana.version = '2.19.0';
    await apply();
    assert.deepEqual(Object.keys(kibana.stored.get('index-pattern millrace-logs')?.attributes ?? {}), ['title', 'timeFieldName']);
    assert.deepEqual(actions(await apply()), ['keep']);
  });

  test('a foreign dashboard with our id is refused, nothing is imported', async () => {
    const foreign = { type: 'dashboard', id: 'millrace-service-overview', attributes: { title: 'mine', description: 'by hand' } };
    kibana.stored.set('dashboard millrace-service-overview', foreign);
    await assert.rejects(apply(), {
      code: 'MR_REFUSED',
      message: /^dashboard millrace-service-overview on .* does not carry the mark of millrace and is left alone/,
    });
    assert.deepEqual([...kibana.stored.values()], [foreign]);
  });

  test('an import that was refused with status 200', async () => {
    kibana.refuse = 'missing_references';
    await assert.rejects(apply(), { code: 'MR_REFUSED', message: /refused to import the boards: search x: missing_references$/ });
  });

  test('wrong password', async () => {
    await assert.rejects(apply({ user: 'a', password: 'wrong' }), {
      code: 'MR_AUTH',
      message: /does not accept these credentials/,
    });
  });

  test('nobody there', async () => {
    await assert.rejects(apply({ url: 'http://127.0.0.1:1' }), {
      code: 'MR_CONNECT',
      message: /^cannot connect to http:\/\/127\.0\.0\.1:1: /,
    });
  });

  test('some other server', async () => {
    kibana.version = 'x';
    await assert.rejects(apply(), { code: 'MR_PROTOCOL', message: /is neither Kibana nor OpenSearch Dashboards/ });
  });

  test('a file when there is no URL', async () => {
    const options = { url: undefined, file: 'boards/kibana.ndjson' };
    assert.deepEqual(actions(await apply(options)), ['create']);
    assert.deepEqual(checkNdjson(readFileSync(join(dir, 'boards/kibana.ndjson'), 'utf8')), []);
    assert.deepEqual(actions(await apply(options)), ['keep']);
    assert.deepEqual(actions(await apply({ ...options, index: 'x-*' })), ['change']);
  });

  test('a file of somebody else is left alone', async () => {
    writeFileSync(join(dir, 'notes.txt'), 'mine\n');
    await assert.rejects(apply({ url: undefined, file: 'notes.txt' }), {
      code: 'MR_REFUSED',
      message: /was not written by millrace/,
    });
    assert.equal(readFileSync(join(dir, 'notes.txt'), 'utf8'), 'mine\n');
  });

  test('neither URL nor file', () => {
    assert.match(kibanaTarget.safeParse({}).error?.message ?? '', /expected `url` or `file`/);
  });
});
