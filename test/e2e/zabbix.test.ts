/**
 * Rules against a real Zabbix: `ZABBIX_API=http://127.0.0.1:18080 ZABBIX_SENDER=127.0.0.1:10051 node --test test/e2e/zabbix.test.ts`.
 * User and password of a Super admin: ZABBIX_USER, ZABBIX_PASSWORD (Admin, zabbix).
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { isInStep, type Step } from '../../engine/sync.ts';
import { SenderClient } from '../../shippers/zabbix/client.ts';
import { isFailure, parseAddress, type SenderReply } from '../../shippers/zabbix/protocol.ts';
import { discoveryRows, groupsKey, stateKey, valueKey } from '../../alerts/keys.ts';
import { parseRules, type Rule } from '../../alerts/rule.ts';
import { isAtLeast, ZabbixApi } from '../../alerts/zabbix/api.ts';
import { createRuleConsumer } from '../../alerts/samples.ts';
import { RuleScheduler } from '../../alerts/schedule.ts';
import { ZabbixFeed } from '../../alerts/zabbix/feed.ts';
import type { Transition } from '../../alerts/evaluate.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { systemClock } from '../../engine/telemetry/clock.ts';
import { makeBatch, testContext } from '../../engine/testing/driver.ts';
import { applyZabbix, planZabbix } from '../../alerts/zabbix/sync.ts';
import { ZABBIX_TARGET, type ZabbixTarget } from '../../alerts/zabbix/target.ts';

const API = process.env['ZABBIX_API'];
const SENDER = parseAddress(process.env['ZABBIX_SENDER'] ?? '127.0.0.1:10051') ?? { host: '127.0.0.1', port: 10_051 };
const USER = process.env['ZABBIX_USER'] ?? 'Admin';
const PASSWORD = process.env['ZABBIX_PASSWORD'] ?? 'zabbix';
const skip = API === undefined ? 'needs ZABBIX_API and ZABBIX_SENDER' : false;
/** A server of the default configuration reads new items once a minute. */
const DEADLINE_MS = 120_000;

type Row = Readonly<Record<string, unknown>>;

function loadRules(): Rule[] {
  const file = parse(readFileSync(new URL('../../alerts/rules/mission.yaml', import.meta.url), 'utf8')) as { alerts: unknown };
  const { rules, problems } = parseRules(file.alerts, () => ({ file: 'mission.yaml', line: 1, column: 1 }));
  assert.deepEqual(problems, []);
  return rules;
}

/** Tries until it gives something; the server's caches and timers decide when. */
async function eventually<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    assert.ok(Date.now() < end, `${what}: not within ${DEADLINE_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
}

describe('rules on a real Zabbix', { skip, concurrency: false }, () => {
  const suffix = `${process.pid}-${Date.now().toString(36)}`;
  const rules = loadRules();
  const client = new SenderClient([SENDER], { timeoutMs: 10_000 });
  let target: ZabbixTarget;
  let api: ZabbixApi;

  before(async () => {
    target = ZABBIX_TARGET.parse({
      url: API,
      user: USER,
      password: PASSWORD,
      host_group: `mr ${suffix}`,
      template: `mr rules ${suffix}`,
      host: `mr-${suffix}`,
    });
    api = await ZabbixApi.connect({ url: target.url, user: USER, password: PASSWORD });
  });
  after(async () => {
    for (const [get, remove, id, name] of [
      ['host.get', 'host.delete', 'hostid', target.host],
      ['template.get', 'template.delete', 'templateid', target.template],
    ] as const) {
      const rows = (await api.list(get, { output: [id, 'host'], filter: { host: [name] } })).filter(
        (row) => row['host'] === name,
      );
      if (rows.length > 0)
        await api.call(
          remove,
          rows.map((row) => row[id]),
        );
    }
    await api.close();
  });

  const template = async (name: string): Promise<Row | undefined> =>
    (
      await api.list('template.get', { output: ['templateid', 'host', 'uuid'], filter: { host: [name] }, selectTags: 'extend' })
    ).find((row) => row['host'] === name);

  /** Sends until the server knows the items: its configuration cache lags behind the API. */
  const send = (values: Readonly<Record<string, string>>): Promise<SenderReply> =>
    eventually(`values of ${Object.keys(values).join(' ')}`, async () => {
      const items = Object.entries(values).map(([key, value]) => ({ host: target.host, key, value }));
      const reply = await client.send(items);
      assert.ok(!isFailure(reply), isFailure(reply) ? reply.message : '');
      return reply.processed === items.length ? reply : undefined;
    });

  /** Through a client that is not ours where that works (6.0 only), else through ours. */
  const read = async (method: string, params: object): Promise<Row[]> => {
    if (isAtLeast(api.version, 6, 4)) return [...(await api.list(method, params))];
    const script = fileURLToPath(new URL('zabbix-reader.ts', import.meta.url));
    const url = target.url.endsWith('.php') ? target.url : `${target.url}/api_jsonrpc.php`;
    const run = await promisify(execFile)(process.execPath, [script, url, USER, PASSWORD, method, JSON.stringify(params)], {
      timeout: 20_000,
    });
    return JSON.parse(run.stdout) as Row[];
  };
  const problems = async (rule: string): Promise<Row[]> => {
    const [host] = await api.list('host.get', { output: ['hostid'], filter: { host: [target.host] } });
    const params = {
      output: 'extend',
      selectTags: 'extend',
      hostids: [host?.['hostid']],
      tags: [{ tag: 'rule', value: rule, operator: 1 }],
    };
    return read('problem.get', params);
  };

  test('plan says what would be created, and creates nothing', async () => {
    const steps = await planZabbix(target, rules);
    const created = steps.filter((step) => step.action === 'create').map((step) => step.what);
    for (const what of [
      `host group ${target.host_group}`,
      `template ${target.template}`,
      `host ${target.host}`,
      'item millrace.rule.state[error-ratio]',
    ])
      assert.ok(created.includes(what) || created.includes(what.replace('host group', 'template group')), what);
    assert.equal(await template(target.template), undefined);
  });
  test('apply creates it, a second plan and a second apply are empty', async () => {
    assert.ok(!isInStep(await applyZabbix(target, rules)));
    assert.ok(isInStep(await planZabbix(target, rules)), JSON.stringify(await planZabbix(target, rules)));
    assert.ok(isInStep(await applyZabbix(target, rules)));
  });
  test('a burst opens a problem with its severity and tags, and it recovers', async () => {
    await send({ [stateKey('error-ratio')]: '0', [valueKey('error-ratio')]: '0' });
    assert.deepEqual(await problems('error-ratio'), []);
    await send({ [valueKey('error-ratio')]: '7.31', [stateKey('error-ratio')]: '1' });
    const problem = await eventually('a problem', async () => (await problems('error-ratio'))[0]);
    assert.equal(problem['name'], '服务器错误比例过高 (share of server errors)');
    assert.equal(problem['severity'], '4');
    const tags = (problem['tags'] as Row[]).map(({ tag, value }) => `${String(tag)}=${String(value)}`);
    for (const tag of ['managed-by=millrace', 'rule=error-ratio', 'service=shop'])
      assert.ok(tags.includes(tag), `${tag} in ${tags.join(' ')}`);
    await send({ [stateKey('error-ratio')]: '0' });
    await eventually('the recovery', async () => ((await problems('error-ratio')).length === 0 ? true : undefined));
  });
  test('a burst of events, counted, decided and sent, opens a problem within two intervals', async () => {
    const every = 1000;
    const [rule] = rules.filter(({ name }) => name === 'error-ratio').map((of) => ({ ...of, everyMs: every, from: '**' }));
    assert.ok(rule !== undefined);
    const transitions: Transition[] = [];
    const { log } = testContext({ metrics: {} });
    const feed = new ZabbixFeed({ servers: [SENDER], clock: systemClock, log });
    const scheduler = new RuleScheduler({
      rules: [rule],
      clock: systemClock,
      log,
      host: target.host,
      send: feed.send,
      onTransition: (transition) => transitions.push(transition),
    });
    const consumer = createRuleConsumer([rule], { publish: (intervalMs, data) => scheduler.take(intervalMs, data) });
    const closing = setInterval(() => consumer.close?.(Date.now()), 250);
    const cursor = new EventCursor();
    const observe = (status: number, count: number): void => {
      for (let n = 0; n < count; n++) {
        cursor.open(makeBatch([{ record: { http: { response: { status_code: status } } } }]));
        cursor.next(0);
        consumer.observe(cursor, Date.now());
      }
    };
    scheduler.start();
    try {
      observe(200, 30);
      const began = Date.now();
      // Errors go on until the problem was seen: an interval is shorter here than one look.
      const problem = await eventually('a problem', async () => {
        observe(503, 30);
        return (await problems('error-ratio'))[0];
      });
      // Two intervals, the grace for slow workers, the server's own processing and the reader's process.
      assert.ok(Date.now() - began < 2 * every + 10_000);
      assert.equal(problem['severity'], '4');
      await eventually('the recovery', async () => ((await problems('error-ratio')).length === 0 ? true : undefined));
      assert.deepEqual([transitions.at(0)?.to, transitions.at(-1)?.to], ['firing', 'ok']);
      const [item] = await api.list('item.get', {
        output: ['lastvalue'],
        filter: { key_: [valueKey('error-ratio')] },
        host: target.host,
      });
      assert.equal(item?.['lastvalue'], '0');
      assert.deepEqual([feed.status.dropped, feed.status.trouble], [0, undefined]);
    } finally {
      clearInterval(closing);
      scheduler.stop();
      await feed.stop();
    }
  });
  test('groups become items and problems of their own', async () => {
    const groups = ['浙江', 'a "quoted" \\ group, with ] and ,'];
    await send({ [groupsKey('login-failures')]: discoveryRows(groups) });
    for (const group of groups) {
      await send({ [stateKey('login-failures', group)]: '1', [valueKey('login-failures', group)]: '25' });
      const problem = await eventually(`a problem of ${group}`, async () =>
        (await problems('login-failures')).find((row) => String(row['name']).endsWith(`: ${group}`)),
      );
      assert.equal(problem['severity'], '2');
      assert.ok((problem['tags'] as Row[]).some(({ tag, value }) => tag === 'source.geo.region_name' && value === group));
    }
    assert.ok(isInStep(await planZabbix(target, rules)));
  });
  test('a changed rule is changed, a removed one removed, an item added by hand stays', async () => {
    const templateid = (await template(target.template))?.['templateid'];
    await api.call('item.create', { hostid: templateid, name: 'by hand', key_: 'by.hand', type: 2, value_type: 3 });
    const changed = rules
      .filter((rule) => rule.name !== 'no-events')
      .map((rule) => (rule.name === 'error-ratio' ? { ...rule, severity: 'disaster' as const } : rule));
    const shown = (steps: readonly Step[]): string[] => steps.map(({ action, what }) => `${action} ${what}`);
    const plan = shown(await planZabbix(target, changed));
    assert.ok(plan.includes('delete item millrace.rule.state[no-events]'), plan.join('\n'));
    assert.ok(
      plan.some((line) => line.startsWith('change trigger 服务器错误比例过高')),
      plan.join('\n'),
    );
    assert.ok(!plan.some((line) => line.includes('by.hand')), plan.join('\n'));
    await applyZabbix(target, changed);
    const after = await planZabbix(target, changed);
    assert.ok(isInStep(after), shown(after).join('\n'));
    const keys = (await api.list('item.get', { output: ['key_'], templateids: [templateid] })).map((row) => row['key_']);
    assert.ok(keys.includes('by.hand'));
    assert.ok(!keys.includes('millrace.rule.state[no-events]'));
    await applyZabbix(target, rules);
  });
  test('what bears our name and not our mark is refused and left as it is', async () => {
    const name = `foreign ${suffix}`;
    const groups = isAtLeast(api.version, 6, 2) ? 'templategroup.get' : 'hostgroup.get';
    const [group] = await api.list(groups, { output: ['groupid'], filter: { name: ['Templates'] } });
    const made = (await api.call('template.create', { host: name, groups: [{ groupid: group?.['groupid'] }] })) as {
      templateids: string[];
    };
    try {
      const beforeApply = await template(name);
      for (const run of [planZabbix, applyZabbix])
        await assert.rejects(run({ ...target, template: name }, rules), {
          code: 'MR_REFUSED',
          message: /is not ours \(it lacks the tag managed-by: millrace\)/,
        });
      for (const run of [planZabbix, applyZabbix])
        await assert.rejects(run({ ...target, owner: 'somebody' }, rules), {
          code: 'MR_REFUSED',
          message: /belongs to the owner "millrace"/,
        });
      assert.deepEqual(await template(name), beforeApply);
    } finally {
      await api.call('template.delete', made.templateids);
    }
  });
  test('a wrong password is one sentence without the password', async () => {
    await assert.rejects(planZabbix({ ...target, password: 'not-the-password' }, rules), (error: Error) => {
      assert.match(error.message, /refused the log-in: wrong user or password/);
      assert.ok(!error.message.includes('not-the-password'));
      return true;
    });
  });
});
