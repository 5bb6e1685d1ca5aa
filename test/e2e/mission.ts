/**
 * `npm run e2e:mission [-- --corpus FILE]`: the whole mission on real servers, as a user does it: plan, apply, run, a log through
 * tail -> apache2 -> geo -> Elasticsearch and Graphite, a burst of errors that becomes a problem in Zabbix and ends, read back by
 * clients that are not ours. Steps whose servers are not named in the environment are skipped by name (see ../servers/README.md).
 *
 * Everything is made under a name of its own and cleared away at the end, so that servers may be used again.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ZabbixApi } from '../../alerts/zabbix/api.ts';
import { startService } from '../../service/start.ts';
import type { DaemonStatus } from '../../cli/daemon.ts';
import { accessLine, corpusOf, seededCorpus, type Corpus } from './mission-corpus.ts';
import { cli, endAll, eventually, startMillrace, type Ended, type Environment, type Running } from './mission-process.ts';
import {
  countMatches,
  readNewClient,
  readOldClient,
  readZabbix,
  renderSums,
  type Documents,
  type Row,
} from './mission-readers.ts';

const { values: options } = parseArgs({ options: { corpus: { type: 'string' } } });
const corpus: Corpus = options.corpus === undefined ? seededCorpus(10_000, 1) : corpusOf(resolve(options.corpus));

const { env } = process;
const SERVERS = {
  ELASTICSEARCH_URL: env['ELASTICSEARCH_URL'],
  OPENSEARCH_URL: env['OPENSEARCH_URL'],
  ELASTICSEARCH7_URL: env['ELASTICSEARCH7_URL'],
  GRAPHITE_WEB: env['GRAPHITE_WEB'],
  CARBON: env['CARBON'],
  ZABBIX_API: env['ZABBIX_API'],
  ZABBIX_SENDER: env['ZABBIX_SENDER'],
};
type Server = keyof typeof SERVERS;
const need = (server: Server): string => SERVERS[server] ?? assert.fail(`${server} is not set`);

const EXAMPLES = resolve(import.meta.dirname, '..', '..', 'examples', 'mission');
const CONFIG = join(EXAMPLES, 'millrace.yaml');
const PLAIN = join(EXAMPLES, 'plain-indices.yaml');
const NAME = `mission${randomBytes(4).toString('hex')}`;
const INTERVAL_MS = 10_000;
/** The rules' grace for late counts, Zabbix's own work, and one look through the client. */
const SEEN_MS = 10_000;

const folder = mkdtempSync(join(tmpdir(), 'millrace-mission-'));
const accessLog = join(folder, 'access.log');
const zabbix = {
  url: SERVERS.ZABBIX_API ?? '',
  user: env['ZABBIX_USER'] ?? 'Admin',
  password: env['ZABBIX_PASSWORD'] ?? 'zabbix',
};
const [carbonHost, carbonPort] = (SERVERS.CARBON ?? '127.0.0.1:2003').split(':');
const settings: Environment = {
  SERVICE: NAME,
  ACCESS_LOG: accessLog,
  MILLRACE_PORT: '0',
  FORWARD_PORT: '0',
  STATSD_PORT: '0',
  ELASTICSEARCH_URL: SERVERS.ELASTICSEARCH_URL,
  KIBANA_URL: undefined,
  KIBANA_FILE: join(folder, 'boards.ndjson'),
  GRAPHITE_URL: SERVERS.GRAPHITE_WEB,
  GRAPHITE_HOST: carbonHost,
  GRAPHITE_PORT: carbonPort,
  ZABBIX_URL: SERVERS.ZABBIX_API,
  ZABBIX_USER: zabbix.user,
  ZABBIX_PASSWORD: zabbix.password,
};
const onOpenSearch: Environment = { ...settings, ELASTICSEARCH_URL: SERVERS.OPENSEARCH_URL };
const onSeven: Environment = { ...settings, ELASTICSEARCH_URL: SERVERS.ELASTICSEARCH7_URL };
const INDEX = `logs-${NAME}-default`;
const INDICES = `${NAME}-*`;

const sums = { passed: 0, failed: 0, skipped: 0 };
let isBroken = false;

/** Later steps stand on earlier ones: after a failure nothing more is tried but clearing away. */
async function step(name: string, servers: readonly Server[], run: () => Promise<void>): Promise<void> {
  const missing = servers.filter((server) => SERVERS[server] === undefined);
  if (isBroken || missing.length > 0) {
    sums.skipped++;
    const reason = missing.length > 0 ? `needs ${missing.join(', ')}` : 'an earlier step failed';
    console.log(`skipped: test/e2e/mission.ts:1: ${name} (${reason})`);
    return;
  }
  const from = performance.now();
  try {
    await run();
    sums.passed++;
    console.log(`ok - ${name} (${((performance.now() - from) / 1000).toFixed(1)} s)`);
  } catch (error) {
    sums.failed++;
    isBroken = true;
    console.log(`not ok - ${name}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
}

interface Plan {
  readonly steps: readonly { readonly target: string; readonly action: string; readonly what: string }[];
}
const planOf = ({ out }: Ended): Plan['steps'] => (JSON.parse(out) as Plan).steps;

async function planApplyPlan(config: string, environment: Environment, wantTargets: readonly string[]): Promise<void> {
  const first = await cli(['plan', '-c', config, '--json'], environment);
  assert.equal(first.code, 2, first.err);
  const targets = new Set(
    planOf(first)
      .filter(({ action }) => action === 'create')
      .map(({ target }) => target),
  );
  assert.deepEqual([...targets].sort(), [...wantTargets].sort());
  const applied = await cli(['apply', '-c', config, '--yes'], environment);
  assert.equal(applied.code, 0, applied.err);
  const second = await cli(['plan', '-c', config, '--json'], environment);
  assert.equal(second.code, 0, second.out + second.err);
  assert.deepEqual(
    planOf(second).filter(({ action }) => action !== 'keep'),
    [],
  );
}

/** Events that an output has delivered, of all workers. */
const deliveredBy = (status: DaemonStatus, id: string): number =>
  status.components.filter((each) => each.id === id).reduce((sum, { out }) => sum + out, 0);
const sumOf = (counts: Readonly<Record<string, number>>): number => Object.values(counts).reduce((a, b) => a + b, 0);

/** The books, checked here again rather than believed. */
function assertBalanced(status: DaemonStatus): void {
  assert.deepEqual(status.imbalances, []);
  assert.ok(status.components.length >= 10);
  for (const { kind, id, in: taken, created, out, dropped, pending } of status.components)
    assert.equal(taken + created, out + sumOf(dropped) + pending, `${kind} ${id}`);
}

/** Waits until an output has delivered so many, then stops and looks at the books before and after. */
async function finish(millrace: Running, output: string, events: number): Promise<void> {
  const status = await eventually(`${events} events delivered by ${output}`, 60_000, async () => {
    const now = await millrace.status();
    return deliveredBy(now, output) >= events ? now : undefined;
  });
  assert.equal(deliveredBy(status, output), events);
  for (const { id, dropped } of status.components) assert.deepEqual(dropped, {}, id);
  const shown = await cli(['status', '--json', '--data', millrace.data], settings);
  assert.equal(shown.code, 0, shown.err);
  assertBalanced(JSON.parse(shown.out) as DaemonStatus);
  const { code, err } = await millrace.stop();
  assert.equal(code, 0, err);
  assert.doesNotMatch(err, /"level":"error"/);
}

function assertDocuments(found: Documents, want: Corpus['figures']): void {
  assert.deepEqual({ lines: found.lines, distinctAddresses: found.distinctAddresses, byStatus: found.byStatus }, want);
  assert.equal(found.distinctIds, want.lines, 'documents that are there twice');
  assert.ok(found.withGeo > 0.9 * want.lines, `only ${found.withGeo} documents have a place`);
}

/** A data directory that has the compacted IP data of another run, so that they are made once. */
function dataDirectory(name: string): string {
  const path = join(folder, name);
  const made = join(folder, 'data-elasticsearch', 'geo');
  mkdirSync(path, { recursive: true });
  if (existsSync(made)) cpSync(made, join(path, 'geo'), { recursive: true });
  return path;
}

const problems = (rule = 'error-ratio'): Promise<Row[]> =>
  readZabbix(zabbix, 'problem.get', {
    output: 'extend',
    selectTags: 'extend',
    tags: [
      { tag: 'rule', value: rule, operator: 1 },
      { tag: 'millrace-owner', value: NAME, operator: 1 },
    ],
  });

let sent = corpus.figures.lines;
/** Lines of now, until what is looked for is there. */
async function appendUntil<T>(what: string, status: number, timeoutMs: number, look: () => Promise<T | undefined>): Promise<T> {
  return eventually(
    what,
    timeoutMs,
    async () => {
      appendFileSync(accessLog, accessLine('203.0.113.9', status, '/pay').repeat(40));
      sent += 40;
      return look();
    },
    500,
  );
}

console.log(`mission ${NAME}: ${corpus.name}, ${corpus.figures.lines} lines, ${corpus.figures.distinctAddresses} addresses`);

await step('check: the configurations are sound', [], async () => {
  for (const name of ['millrace.yaml', 'fluent.conf', 'plain-indices.yaml']) {
    const { code, err } = await cli(['check', '-c', join(EXAMPLES, name)], settings);
    assert.equal(`${code} ${err}`, '0 ');
  }
});

await step(
  'plan, apply, plan on empty servers: Elasticsearch 8.19, Kibana as a file, Graphite, Zabbix',
  ['ELASTICSEARCH_URL', 'GRAPHITE_WEB', 'ZABBIX_API', 'ZABBIX_SENDER'],
  async () => {
    await planApplyPlan(CONFIG, settings, ['elasticsearch', 'graphite', 'kibana', 'zabbix']);
    for (const line of readFileSync(join(folder, 'boards.ndjson'), 'utf8').trim().split('\n')) JSON.parse(line);
  },
);
await step('plan, apply, plan on OpenSearch 2.19', ['OPENSEARCH_URL', 'GRAPHITE_WEB', 'ZABBIX_API'], () =>
  planApplyPlan(CONFIG, onOpenSearch, ['elasticsearch']),
);
await step('plan, apply, plan on Elasticsearch 7.17, plain indices', ['ELASTICSEARCH7_URL'], () =>
  planApplyPlan(PLAIN, onSeven, ['elasticsearch']),
);

let millrace: Running | undefined;
await step('the log through tail, apache2, geo into Elasticsearch 8.19', ['ELASTICSEARCH_URL', 'CARBON'], async () => {
  // Part of it is there at the start, part comes while it runs, cut in the middle of lines.
  const bytes = Buffer.from(corpus.text);
  const cuts = [0.6, 0.75, 0.9, 1].map((share) => Math.floor(bytes.length * share));
  writeFileSync(accessLog, bytes.subarray(0, cuts[0]));
  const started = await startMillrace(['-c', CONFIG], dataDirectory('data-elasticsearch'), settings);
  millrace = started;
  for (const [n, cut] of cuts.entries()) {
    appendFileSync(accessLog, bytes.subarray(n === 0 ? cut : (cuts[n - 1] ?? 0), cut));
    await new Promise((done) => setTimeout(done, 200));
  }
  await eventually('the log is delivered', 60_000, async () => {
    const status = await started.status();
    return deliveredBy(status, 'elasticsearch-1') >= corpus.figures.lines || undefined;
  });
  const found = await readNewClient(need('ELASTICSEARCH_URL'), INDEX);
  assertDocuments(found, corpus.figures);
  assertBalanced(await started.status());
});

await step('graphite-web renders the same counts', ['GRAPHITE_WEB', 'CARBON'], async () => {
  const target = `seriesByTag('name=stats_counts.web.requests','service=${NAME}')`;
  let found: Readonly<Record<string, number>> = {};
  await eventually(
    'the counts in Graphite',
    30_000,
    async () => {
      found = await renderSums(need('GRAPHITE_WEB'), target, 'status');
      return sumOf(found) >= corpus.figures.lines || undefined;
    },
    500,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}: ${JSON.stringify(found)}`);
  });
  assert.deepEqual(found, corpus.figures.byStatus);
});

await step('a burst of errors opens the problem in Zabbix within two intervals', ['ZABBIX_API', 'ZABBIX_SENDER'], async () => {
  const item = { output: ['lastvalue', 'lastclock'], search: { key_: 'millrace.rule.state[error-ratio]' }, host: NAME };
  // Quiet until Zabbix has learned of the items and has had a first value of each interval.
  await eventually(
    'the first state in Zabbix',
    60_000,
    async () => {
      const [row] = await readZabbix(zabbix, 'item.get', item);
      return Number(row?.['lastclock'] ?? 0) > 0 && row?.['lastvalue'] === '0' ? true : undefined;
    },
    500,
  );
  assert.deepEqual(await problems(), []);
  const began = Date.now();
  const problem = await appendUntil('a problem', 500, 60_000, async () => (await problems())[0]);
  const took = Date.now() - began;
  assert.ok(took <= 2 * INTERVAL_MS + SEEN_MS, `seen after ${took} ms`);
  assert.ok(
    Number(problem['clock']) * 1000 <= began + 2 * INTERVAL_MS,
    'the problem itself is of the second interval at the latest',
  );
  assert.equal(problem['name'], '服务器错误比例过高 (share of server errors)');
  assert.equal(problem['severity'], '4');
  const tags = (problem['tags'] as Row[]).map(({ tag, value }) => `${String(tag)}=${String(value)}`);
  for (const tag of ['managed-by=millrace', `millrace-owner=${NAME}`, 'rule=error-ratio', 'service=shop'])
    assert.ok(tags.includes(tag), `${tag} in ${tags.join(' ')}`);
  console.log(`# the problem was seen ${took} ms after the first error`);
});

await step('good lines end the problem', ['ZABBIX_API', 'ZABBIX_SENDER'], async () => {
  const began = Date.now();
  await appendUntil('the recovery', 200, 60_000, async () => ((await problems()).length === 0 ? true : undefined));
  const took = Date.now() - began;
  assert.ok(took <= 2 * INTERVAL_MS + SEEN_MS, `seen after ${took} ms`);
  console.log(`# the recovery was seen ${took} ms after the last error`);
});

await step('the books balance, SIGTERM ends it with 0, nothing is there twice', ['ELASTICSEARCH_URL', 'CARBON'], async () => {
  assert.ok(millrace !== undefined);
  await finish(millrace, 'elasticsearch-1', sent);
  millrace = undefined;
  const { lines, distinctIds } = await readNewClient(need('ELASTICSEARCH_URL'), INDEX);
  assert.deepEqual({ lines, distinctIds }, { lines: sent, distinctIds: sent });
});
await step('a second run reads nothing again', ['ELASTICSEARCH_URL', 'CARBON'], async () => {
  const again = await startMillrace(['-c', CONFIG], join(folder, 'data-elasticsearch'), settings);
  appendFileSync(accessLog, accessLine('203.0.113.9', 200, '/last'));
  sent++;
  await finish(again, 'elasticsearch-1', 1);
  assert.equal((await readNewClient(need('ELASTICSEARCH_URL'), INDEX)).lines, sent);
});
await step('the log into OpenSearch 2.19, with two workers', ['OPENSEARCH_URL', 'CARBON'], async () => {
  writeFileSync(accessLog, corpus.text);
  const started = await startMillrace(['-c', CONFIG, '--workers', '2'], dataDirectory('data-opensearch'), onOpenSearch);
  await finish(started, 'elasticsearch-1', corpus.figures.lines);
  assertDocuments(await readNewClient(need('OPENSEARCH_URL'), INDEX), corpus.figures);
});
await step('the log into plain indices of Elasticsearch 7.17', ['ELASTICSEARCH7_URL', 'CARBON'], async () => {
  writeFileSync(accessLog, corpus.text);
  const started = await startMillrace(['-c', PLAIN], dataDirectory('data-seven'), onSeven);
  await finish(started, 'elasticsearch-1', corpus.figures.lines);
  const found = await readOldClient(need('ELASTICSEARCH7_URL'), INDICES);
  assertDocuments(found, corpus.figures);
  for (const name of found.indices) assert.match(name, new RegExp(`^${NAME}-\\d{4}\\.\\d\\d\\.\\d\\d$`));
});

await step(
  'the core service: logs through forward, metrics through statsd, failed log-ins of one province become a problem',
  ['ELASTICSEARCH_URL', 'GRAPHITE_WEB', 'CARBON', 'ZABBIX_API', 'ZABBIX_SENDER'],
  async () => {
    const started = await startMillrace(['-c', CONFIG], join(folder, 'data-elasticsearch'), settings);
    const portOf = async (type: string): Promise<number> => {
      const { components } = await started.status();
      const [address = ''] = components.filter((each) => each.type === type).flatMap((each) => each.addresses ?? []);
      return Number(address.split(':').at(-1));
    };
    const host = '127.0.0.1';
    const service = await startService({
      directory: join(folder, 'service'),
      fluent: { host, port: await portOf('forward') },
      statsd: { host, port: await portOf('statsd') },
      accounts: 2,
      fsync: false,
    });
    const began = Date.now();
    for (let n = 0; n < 25; n++) {
      const answer = await fetch(`http://${host}:${service.port}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-forwarded-for': '36.16.0.1' },
        body: JSON.stringify({ account: 'nobody', password: `guess ${n}` }),
      });
      await answer.arrayBuffer();
      assert.equal(answer.status, 401);
    }
    const problem = await eventually('a problem of one province', 60_000, async () => (await problems('login-failures'))[0], 500);
    const took = Date.now() - began;
    assert.equal(problem['severity'], '2');
    assert.match(String(problem['name']), /: Zhejiang$/);
    // The first group of a rule needs a discovery, and the items that it makes have to reach the trapper.
    console.log(`# the problem was seen ${took} ms after the first failure`);
    await service.stop();
    const status = await started.status();
    assertBalanced(status);
    const { code, err } = await started.stop();
    assert.equal(code, 0, err);
    const failures = await countMatches(need('ELASTICSEARCH_URL'), INDEX, {
      'event.dataset': 'core.access',
      'event.action': 'login',
      'event.outcome': 'failure',
      'source.geo.region_iso_code': 'CN-ZJ',
    });
    assert.equal(failures, 25);
    const web = need('GRAPHITE_WEB');
    const asked = (name: string, ...more: string[]): string =>
      `seriesByTag(${[`name=${name}`, ...more].map((part) => `'${part}'`).join(',')})`;
    for (const [target, want] of [
      // Counted from its log, and by itself.
      [asked('stats_counts.auth.failures', `service=${NAME}`), 25],
      [asked('stats.timers.web.latency.count', `service=${NAME}`), 25],
    ] as const) {
      const sum = async (): Promise<number> => sumOf(await renderSums(web, target, 'name'));
      await eventually(`${want} of ${target}`, 15_000, async () => ((await sum()) >= want ? true : undefined), 500);
      assert.equal(await sum(), want, target);
    }
    const requests = asked('stats_counts.core.http.requests', 'action=login', 'status=401');
    await eventually(
      requests,
      15_000,
      async () => (sumOf(await renderSums(web, requests, 'name')) >= 25 ? true : undefined),
      500,
    );
  },
);

await clearAway();
console.log(`${sums.passed} passed, ${sums.failed} failed${sums.skipped > 0 ? `, ${sums.skipped} skipped` : ''}`);
process.exitCode = sums.failed > 0 ? 1 : 0;

/** Everything under our name; what is not there is no trouble. */
async function clearAway(): Promise<void> {
  await endAll();
  for (const url of [SERVERS.ELASTICSEARCH_URL, SERVERS.OPENSEARCH_URL, SERVERS.ELASTICSEARCH7_URL]) {
    if (url === undefined) continue;
    const stored = url === SERVERS.ELASTICSEARCH7_URL ? `/${INDICES}` : `/_data_stream/${INDEX}`;
    const templates = ['streams', 'indices'].map((part) => `/_index_template/${NAME}-${part}`);
    const components = ['settings', 'ecs'].map((part) => `/_component_template/${NAME}-${part}`);
    for (const path of [stored, ...templates, ...components]) await fetch(`${url}${path}`, { method: 'DELETE' });
  }
  if (SERVERS.GRAPHITE_WEB !== undefined) await fetch(`${SERVERS.GRAPHITE_WEB}/dashboard/delete/${NAME}-service-overview`);
  if (SERVERS.ZABBIX_API !== undefined) await clearZabbix();
  if (sums.failed === 0) rmSync(folder, { recursive: true, force: true });
  else console.log(`# kept for a look: ${folder}`);
}

async function clearZabbix(): Promise<void> {
  const api = await ZabbixApi.connect(zabbix);
  for (const [kind, id, field, name] of [
    ['host', 'hostid', 'host', NAME],
    ['template', 'templateid', 'host', `millrace rules ${NAME}`],
    ['hostgroup', 'groupid', 'name', `millrace ${NAME}`],
  ] as const) {
    const rows = await api.list(`${kind}.get`, { output: [id, field], filter: { [field]: [name] } });
    const ids = rows.filter((row) => row[field] === name).map((row) => row[id]);
    if (ids.length > 0) await api.call(`${kind}.delete`, ids);
  }
  await api.close();
}
