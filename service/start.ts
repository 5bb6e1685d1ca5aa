import type { AddressInfo } from 'node:net';
import { makeAccounts, openAccounts } from './accounts.ts';
import { makeApp, type App } from './app.ts';
import { simulateBank, type Bank } from './bank.ts';
import type { AuditRecord } from './audit.ts';
import type { Change } from './changes.ts';
import { openLedger, type Ledger, type Recovery } from './ledger.ts';
import { makeLogs, type LogCounts, type Logs } from './logging.ts';
import { makeMetrics, type Metrics } from './metrics.ts';
import { makeOrders } from './orders.ts';
import { makePayments } from './payments.ts';

export interface ServiceOptions {
  /** Holds the database and the audit; made when it is not there. */
  readonly directory: string;
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free one. */
  readonly port?: number;
  readonly fluent?: { readonly host: string; readonly port: number };
  readonly statsd?: { readonly host: string; readonly port: number };
  /** Default `tags`; see metrics.ts. */
  readonly statsdNaming?: 'tags' | 'dotted';
  /** Where log lines go without `fluent`. Default `nothing`. */
  readonly logFallback?: 'stderr' | 'nothing';
  /** Default `loopback`: whose X-Forwarded-For is believed. */
  readonly trustProxy?: string;
  /** Default false; true opens POST /faults. */
  readonly faults?: boolean;
  /** Default 200 customers `u0001` to `u0200`. */
  readonly accounts?: number;
  /** Default DEFAULT_PASSWORD, for all of them. */
  readonly password?: string;
  /** Default true: each change is on the disk before it is made. */
  readonly fsync?: boolean;
  /** Default 1; 0 for tests: the bank answers at once. */
  readonly latencyScale?: number;
  /** Default Math.random, for the bank's moods. */
  readonly random?: () => number;
  readonly now?: () => number;
}

export interface Service {
  readonly port: number;
  readonly recovery: Recovery;
  stats(): { readonly inFlight: number; readonly logs: LogCounts };
  /** Lets requests under way finish and sends what waits; returns within 2 s, also when called again. */
  stop(): Promise<void>;
}

export const DEFAULT_PASSWORD = 'demo-2025';
const GAUGES_MS = 1000;
/** With half a second for the logs it stays below the 2 s of `stop`. */
const FINISH_MS = 1200;

/** @throws when the port is taken, or the folder is in use, cannot be written or holds an audit that was tampered with */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { now = Date.now, random = Math.random, latencyScale = 1 } = options;
  const logs = makeLogs({
    fallback: options.logFallback ?? 'nothing',
    ...(options.fluent === undefined ? {} : { fluent: options.fluent }),
  });
  const metrics = makeMetrics({
    naming: options.statsdNaming ?? 'tags',
    ...(options.statsd === undefined ? {} : { statsd: options.statsd }),
  });
  let ledger: Ledger | undefined;
  try {
    ledger = openLedger({
      directory: options.directory,
      fsync: options.fsync ?? true,
      now,
      onAudit: (record) => logs.audit.info(describeAudit(record), record.change.action),
    });
    reportRecovery(logs, ledger.recovery);
    await openAccounts(ledger, options.accounts ?? 200, options.password ?? DEFAULT_PASSWORD);
    const bank = measureBank(simulateBank({ random, now, latencyScale }), metrics, now);
    const accounts = makeAccounts({ ledger, now });
    const orders = makeOrders(ledger);
    const payments = makePayments({ ledger, accounts, orders, bank });
    const { trustProxy = 'loopback', faults = false } = options;
    const app = makeApp({ accounts, orders, payments, ledger, bank, logs, metrics, trustProxy, faults });
    await app.server.listen({ host: options.host ?? '127.0.0.1', port: options.port ?? 0 });
    const { port } = app.server.server.address() as AddressInfo;
    logs.app.info({ event: { action: 'start', kind: 'event' }, server: { port } }, 'listening');
    return makeService(port, app, ledger, logs, metrics);
  } catch (error) {
    ledger?.close();
    await Promise.all([logs.close(), metrics.close()]);
    throw error;
  }
}

function makeService(port: number, app: App, ledger: Ledger, logs: Logs, metrics: Metrics): Service {
  let droppedBefore = 0;
  const sendGauges = (): void => {
    const { customers, merchant, held } = ledger.totals();
    metrics.gauge('http.in_flight', app.inFlight());
    metrics.gauge('balance.customers_cents', customers);
    metrics.gauge('balance.merchant_cents', merchant);
    metrics.gauge('balance.held_cents', held);
    const { dropped, pending } = logs.counts();
    metrics.gauge('log.pending', pending);
    metrics.count('log.dropped', dropped - droppedBefore);
    droppedBefore = dropped;
  };
  const gauges = setInterval(sendGauges, GAUGES_MS);
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    const forced = setTimeout(() => app.server.server.closeAllConnections(), FINISH_MS);
    await app.server.close();
    clearTimeout(forced);
    clearInterval(gauges);
    sendGauges();
    logs.app.info({ event: { action: 'stop', kind: 'event' } }, 'stopped');
    ledger.close();
    await Promise.all([logs.close(), metrics.close()]);
  };
  return {
    port,
    recovery: ledger.recovery,
    stats: () => ({ inFlight: app.inFlight(), logs: logs.counts() }),
    stop: () => (stopping ??= stop()),
  };
}

function reportRecovery(logs: Logs, recovery: Recovery): void {
  const { redone, interrupted, tornBytes } = recovery;
  if (redone + interrupted + tornBytes === 0) return;
  logs.app.warn(
    { event: { action: 'recover', kind: 'event' }, recovery },
    'the last run ended in the middle of its work, which is finished now',
  );
}

/** Without secrets: a password's hash stays in the audit file. */
function describeAudit({ seq, at, actor, change, hash }: AuditRecord<Change>): object {
  const { action, ...rest } = change;
  const { salt: _salt, password: _password, ...visible } = rest as Record<string, unknown>;
  return {
    event: { kind: 'event', dataset: 'core.audit', action, outcome: outcomeOf(change), sequence: seq },
    user: { id: actor },
    audit: { at, hash, ...visible },
  };
}

function outcomeOf(change: Change): 'success' | 'failure' {
  return change.action === 'login-failure' || change.action === 'movement-fail' ? 'failure' : 'success';
}

function measureBank(bank: Bank, metrics: Metrics, now: () => number): Bank {
  return {
    ...bank,
    async ask(movement) {
      const start = now();
      const answer = await bank.ask(movement);
      metrics.bank(answer, now() - start);
      return answer;
    },
  };
}
