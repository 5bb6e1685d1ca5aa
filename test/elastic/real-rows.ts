/** The rows of the matrix that matter most, on a real server. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Verdict } from '../../engine/component.ts';
import type { Fields } from '../../engine/events/batch.ts';
import { drive, eventsOf, type DriveOptions, type Run } from './drive.ts';
import { losing, type RealServer } from './real-server.ts';

export interface RealRow {
  readonly name: string;
  run(server: RealServer): Promise<void>;
}

const PREFIX = `mr${randomBytes(3).toString('hex')}`;
let targets = 0;

/** Mapping for what the rows send; a stream where the server has them. */
export async function prepare(server: RealServer): Promise<void> {
  const template = {
    settings: { number_of_replicas: 0 },
    mappings: {
      properties: {
        '@timestamp': { type: 'date' },
        n: { type: 'long' },
        text: { type: 'keyword', index: false, doc_values: false },
      },
    },
  };
  await server.api('PUT', `/_index_template/${PREFIX}`, {
    index_patterns: [`${PREFIX}-*`],
    priority: 300,
    template,
    ...(server.hasStreams && { data_stream: {} }),
  });
}

const nextTarget = (): string => `${PREFIX}-t${targets++}`;
const to = (server: RealServer, target: string, more: Fields = {}): Fields => ({
  hosts: server.url,
  ...(server.hasStreams ? { data_stream_name: target } : { index_name: target }),
  ...more,
});

/** As the runner does: a short wait between two tries. */
const patiently = (options: DriveOptions): Promise<Run> => drive({ triesMax: 200, between: () => sleep(50), ...options });

const reasonOf = (verdict: Verdict | undefined): string =>
  verdict === undefined || verdict === 'delivered' ? '' : (verdict.reason ?? '');
const isStalled = (verdict: Verdict | undefined): boolean =>
  verdict !== undefined && verdict !== 'delivered' && verdict.state === 'stalled';

/** Delivers nothing until `mend` is called, says why, and delivers everything then. */
async function waitsUntilMended(
  server: RealServer,
  options: { readonly target: string; readonly config: Fields; readonly says: RegExp; readonly mend: () => Promise<unknown> },
): Promise<void> {
  const { target, config, says, mend } = options;
  const before = await server.count(target).catch(() => 0);
  const run = await drive({
    config,
    events: 20,
    async between(verdict) {
      assert.ok(isStalled(verdict), JSON.stringify(verdict));
      assert.match(reasonOf(verdict), says);
      await mend();
    },
    triesMax: 5,
  });
  assert.equal(run.tries, 2);
  assert.equal(run.delivered.length, 20);
  assert.equal(run.metrics['retried_waiting'], 20);
  assert.equal(await server.count(target), before + 20);
}

const text = (bytes: number): string => randomBytes(bytes >> 1).toString('hex');

async function filled(server: RealServer, target: string): Promise<void> {
  await drive({ config: to(server, target), events: 1 });
}

async function backingOf(server: RealServer, target: string): Promise<string> {
  const found = await server.api('GET', `/${target}/_settings`);
  return Object.keys(found).toSorted().at(-1) ?? target;
}

/** Many small requests at once, each by an output of its own: more than one thread and a queue of one can take. */
async function crowd(server: RealServer, target: string, outputs: number): Promise<{ overloaded: number; delivered: number }> {
  const runs = await Promise.all(
    Array.from({ length: outputs }, () =>
      patiently({ config: to(server, target), events: 100, record: () => ({ text: text(400) }) }),
    ),
  );
  return {
    overloaded: runs.reduce((sum, { metrics }) => sum + (metrics['retried_overload'] ?? 0), 0),
    delivered: runs.reduce((sum, { delivered }) => sum + delivered.length, 0),
  };
}

export const REAL_ROWS: readonly RealRow[] = [
  {
    name: 'create, and the same again: 409 is delivered',
    async run(server) {
      const target = nextTarget();
      const batches = [eventsOf(1000)];
      const first = await drive({ config: to(server, target), events: 0, batches });
      assert.deepEqual([first.tries, first.delivered.length, first.metrics['duplicates']], [1, 1000, 0]);
      const again = await drive({ config: to(server, target), events: 0, batches });
      assert.deepEqual([again.tries, again.delivered.length, again.metrics['duplicates']], [1, 1000, 1000]);
      assert.equal(await server.count(target), 1000);
    },
  },
  {
    name: 'a repeat with a body that does not fit: dead letter, what is there stays',
    async run(server) {
      const target = nextTarget();
      const [batch] = [eventsOf(3)];
      await drive({ config: to(server, target), events: 0, batches: [batch] });
      const other = { ...eventsOf(3, () => ({ n: 'x' })), ...(batch.place && { place: batch.place }) };
      const run = await drive({ config: to(server, target), events: 0, batches: [other] });
      assert.equal(run.metrics['refused_mapping'], 3);
      assert.equal(await server.count(target), 3);
    },
  },
  {
    name: 'mapping conflict: dead letters with the innermost reason, their neighbours delivered',
    async run(server) {
      const target = nextTarget();
      const run = await drive({
        config: to(server, target),
        events: 100,
        record: (n) => (n % 10 === 3 ? { '@timestamp': 'yesterday' } : {}),
      });
      assert.deepEqual([run.delivered.length, run.dead.size, run.tries], [90, 10, 1]);
      assert.match(
        [...run.dead.values()][0] ?? '',
        /^400 (document|mapper)_parsing_exception: .*failed to parse date field \[yesterday\]/,
      );
      assert.equal(await server.count(target), 90);
    },
  },
  {
    name: '413: halved until it fits, one that never fits is a dead letter',
    async run(server) {
      const target = nextTarget();
      const run = await patiently({
        config: to(server, target),
        events: 60,
        record: (n) => ({ text: text(n === 7 ? 1_200_000 : 50_000) }),
      });
      assert.deepEqual([...run.dead.keys()], [7]);
      assert.match(run.dead.get(7) ?? '', /^status 413 from /);
      assert.ok((run.metrics['too_large'] ?? 0) > 0);
      assert.equal(await server.count(target), 59);
    },
  },
  {
    name: '429: a request alone over the memory for bulks is made smaller',
    async run(server) {
      const target = nextTarget();
      const run = await patiently({ config: to(server, target), events: 30, record: () => ({ text: text(30_000) }) });
      assert.equal(run.delivered.length, 30);
      assert.ok((run.metrics['too_large'] ?? 0) + (run.metrics['retried_overload'] ?? 0) > 0);
      assert.equal(await server.count(target), 30);
    },
  },
  {
    name: '429: circuit breaker for requests in flight',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      await server.settings({ 'network.breaker.inflight_requests.limit': '200kb' });
      try {
        const run = await patiently({ config: to(server, target), events: 30, record: () => ({ text: text(10_000) }) });
        assert.equal(run.delivered.length, 30);
        // Elasticsearch 9 reads bulks as a stream, so they never are in memory as a whole.
        if (server.name !== 'elasticsearch9') assert.ok((run.metrics['retried_overload'] ?? 0) > 0);
      } finally {
        await server.settings({ 'network.breaker.inflight_requests.limit': null });
      }
      assert.equal(await server.count(target), 31);
    },
  },
  {
    name: '429: write queue full, per item or per request',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      let sent = 1;
      let overloaded = 0;
      for (let round = 0; round < 20 && overloaded === 0; round++) {
        const result = await crowd(server, target, 24);
        overloaded += result.overloaded;
        sent += result.delivered;
      }
      assert.ok(overloaded > 0, 'the queue was never full');
      assert.equal(sent % 2400, 1);
      assert.equal(await server.count(target), sent);
    },
  },
  {
    name: 'index blocked for writing: waits, says so, goes on',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      const index = await backingOf(server, target);
      await server.api('PUT', `/${index}/_settings`, { 'index.blocks.write': true });
      await waitsUntilMended(server, {
        target,
        config: to(server, target),
        says: /^the index or the cluster is blocked for writing: 403 cluster_block_exception/,
        mend: () => server.api('PUT', `/${index}/_settings`, { 'index.blocks.write': null }),
      });
    },
  },
  {
    name: 'flood stage: waits, says so, goes on',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      const index = await backingOf(server, target);
      await server.api('PUT', `/${index}/_settings`, { 'index.blocks.read_only_allow_delete': true });
      await waitsUntilMended(server, {
        target,
        config: to(server, target),
        says: /^the disk of the server is full \(flood stage\): 429 cluster_block_exception/,
        mend: () => server.api('PUT', `/${index}/_settings`, { 'index.blocks.read_only_allow_delete': null }),
      });
    },
  },
  {
    name: 'cluster read-only (the request as a whole gets 403): waits, says so, goes on',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      await server.settings({ 'cluster.blocks.read_only': true });
      await waitsUntilMended(server, {
        target,
        config: to(server, target),
        says: /^the index or the cluster is blocked for writing: status 403 .*FORBIDDEN\/6/,
        mend: () => server.settings({ 'cluster.blocks.read_only': null }),
      });
    },
  },
  {
    name: 'closed index: waits, says so, goes on',
    async run(server) {
      // Not below the template: a stream closes its write index only by force.
      const target = `plain-${nextTarget()}`;
      await server.api('PUT', `/${target}`, { settings: { number_of_replicas: 0 } });
      await server.api('POST', `/${target}/_close`);
      await waitsUntilMended(server, {
        target,
        config: { hosts: server.url, index_name: target },
        says: /^the index is missing or closed: 400 index_closed_exception/,
        mend: async () => {
          await server.api('POST', `/${target}/_open`);
          await server.api('GET', `/_cluster/health/${target}?wait_for_status=yellow`);
        },
      });
    },
  },
  {
    name: 'index missing and auto-create off: waits, says so, goes on',
    async run(server) {
      const target = `plain-${nextTarget()}`;
      await server.settings({ 'action.auto_create_index': 'false' });
      try {
        await waitsUntilMended(server, {
          target,
          config: { hosts: server.url, index_name: target },
          says: /^the index is missing or closed: 404 index_not_found_exception/,
          mend: () => server.settings({ 'action.auto_create_index': null }),
        });
      } finally {
        await server.settings({ 'action.auto_create_index': null });
      }
    },
  },
  {
    name: 'missing pipeline: waits, says so, goes on',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      await waitsUntilMended(server, {
        target,
        config: to(server, target, { pipeline: PREFIX }),
        says: /^the ingest pipeline is missing: 400 illegal_argument_exception: pipeline with id/,
        mend: () => server.api('PUT', `/_ingest/pipeline/${PREFIX}`, { processors: [] }),
      });
    },
  },
  {
    name: 'answer lost: sent again, stored once',
    async run(server) {
      const target = nextTarget();
      const proxy = await losing(server.url, 2);
      try {
        const run = await patiently({ config: to(server, target, { hosts: proxy.url }), events: 500 });
        assert.deepEqual([run.tries, run.metrics['duplicates'], run.metrics['possible_repeats']], [3, 500, 0]);
      } finally {
        await proxy.close();
      }
      assert.equal(await server.count(target), 500);
    },
  },
  {
    name: 'answer lost and rolled over before the repeat: the exception, and it is counted',
    async run(server) {
      const target = nextTarget();
      if (!server.hasStreams) await server.api('PUT', `/${target}-000001`, { aliases: { [target]: { is_write_index: true } } });
      const proxy = await losing(server.url, 1);
      try {
        const run = await drive({
          config: to(server, target, { hosts: proxy.url }),
          events: 50,
          between: async () => void (await server.api('POST', `/${target}/_rollover`)),
        });
        assert.deepEqual([run.tries, run.delivered.length, run.metrics['possible_repeats']], [2, 50, 50]);
      } finally {
        await proxy.close();
      }
      assert.equal(await server.count(target), 100);
    },
  },
  {
    name: 'kill -9 of the server under load, started again: everything there once',
    async run(server) {
      const target = nextTarget();
      await filled(server, target);
      let delivered = 0;
      let killed: Promise<void> | undefined;
      const chunks = 60;
      const lanes = Array.from({ length: 4 }, async (_, lane) => {
        for (let n = lane; n < chunks; n += 4) {
          const run = await patiently({
            config: to(server, target, { request_timeout: '10s' }),
            events: 200,
            triesMax: 2000,
            between: () => sleep(100),
          });
          delivered += run.delivered.length;
          if (delivered >= (chunks * 200) / 3) killed ??= server.kill().then(() => server.startAgain());
        }
      });
      await Promise.all(lanes);
      await killed;
      assert.ok(killed !== undefined);
      assert.equal(delivered, chunks * 200);
      await server.api('GET', `/_cluster/health/${target}?wait_for_status=yellow`);
      assert.equal(await server.count(target), chunks * 200 + 1);
    },
  },
];
