import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { makeAccounts, openAccounts } from './accounts.ts';
import { AuditError } from './audit.ts';
import { simulateBank } from './bank.ts';
import type { BankAnswer } from './bank.ts';
import { openLedger, type Ledger, type LedgerOptions } from './ledger.ts';
import { makeOrders } from './orders.ts';
import { makePayments } from './payments.ts';

const NOW = Date.UTC(2025, 2, 3, 4);

function open(directory: string, more: Partial<LedgerOptions> = {}): Ledger {
  return openLedger({ directory, fsync: false, now: () => NOW, ...more });
}

/** Everything the database says, so that two of them can be compared. */
function dump(ledger: Ledger): unknown {
  return ['progress', 'accounts', 'orders', 'movements'].map((table) =>
    ledger.prepare(`SELECT * FROM ${table} ORDER BY 1`).all(),
  );
}

/** A day's work with each kind of change in it; what is refused on the way is part of it. */
async function work(ledger: Ledger): Promise<void> {
  const answers: BankAnswer[] = ['settled', 'timeout', 'settled', 'declined', 'settled'];
  const accounts = makeAccounts({ ledger, now: () => NOW });
  const orders = makeOrders(ledger);
  const bank = { ask: () => Promise.resolve(answers.shift() ?? 'settled'), fail: () => undefined };
  const payments = makePayments({ ledger, accounts, orders, bank });
  await openAccounts(ledger, 3, 'secret');
  await accounts.login('u0001', 'secret');
  await accounts.login('u0002', 'wrong').catch(ignoreRefusal);
  const first = orders.place('u0001', 'gold-01', 2);
  await payments.pay('u0001', 'k1', first.id);
  const second = orders.place('u0001', 'topup-50', 1);
  await payments.pay('u0001', 'k2', second.id).catch(ignoreRefusal);
  await payments.pay('u0001', 'k2', second.id);
  await payments.deposit('u0002', 'k1', 7_00).catch(ignoreRefusal);
  payments.transfer('u0002', 'k3', 'u0003', 1_50);
  await payments.deposit('u0003', 'k1', 1).catch(ignoreRefusal);
}

/** The service says no: goes on. The service is dead: the work ends, too. */
function ignoreRefusal(error: unknown): void {
  if (!(error instanceof Error) || !('code' in error) || error.code === 'internal' || error.code === 'audit_unavailable')
    throw error;
}

function sumOfMoney(ledger: Ledger): number {
  const { customers, merchant, bank } = ledger.totals();
  return customers + merchant + bank;
}

describe('ledger', () => {
  let root = '';
  let folders = 0;
  const folder = (): string => join(root, String((folders += 1)));
  const auditOf = (directory: string): string => join(directory, 'audit.ndjson');
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'core-'));
  });
  after(() => rmSync(root, { recursive: true }));

  test('money is neither made nor lost, and the audit alone gives the same database', async () => {
    const directory = folder();
    const ledger = open(directory);
    await work(ledger);
    assert.equal(sumOfMoney(ledger), 0);
    const { customers, merchant, held } = ledger.totals();
    assert.deepEqual(
      { customers, merchant, held },
      { customers: 6_000_000 - 113_560 - 4_985 + 1, merchant: 113_560 + 4_985, held: 0 },
    );
    const before = dump(ledger);
    ledger.close();

    const copy = folder();
    open(copy).close();
    writeFileSync(auditOf(copy), readFileSync(auditOf(directory)));
    const again = open(copy);
    assert.deepEqual(dump(again), before);
    assert.equal(again.recovery.redone, again.recovery.records);
    again.close();
  });

  test('a crash between audit and change, at every change: the next start makes it, and only it', async () => {
    const reference = open(folder());
    await work(reference);
    const records = reference.nextSeq() - 1;
    reference.close();
    assert.ok(records > 15, `${records} records`);

    for (let crashAt = 1; crashAt <= records; crashAt += 1) {
      const directory = folder();
      let untouched: unknown;
      const dying: Ledger = open(directory, {
        betweenAuditAndChange: ({ seq }) => {
          if (seq !== crashAt) return;
          untouched = dump(dying);
          throw new Error('power is off');
        },
      });
      await assert.rejects(work(dying), { message: 'the change is recorded but not made' });
      assert.equal(dying.isHealthy, false);
      assert.throws(() => dying.commit('x', { action: 'login-success', account: 'u0001' }), { code: 'audit_unavailable' });
      assert.deepEqual(dump(dying), untouched, 'nothing of the change is seen before the restart');
      const written = dying.nextSeq() - 1;
      dying.close();

      const mended = open(directory);
      assert.equal(mended.recovery.records >= written, true);
      // The five accounts are opened in one commit, so a crash in it leaves all five to be made.
      assert.equal(mended.recovery.redone, crashAt <= 5 ? 5 : 1, `crash at ${crashAt}`);
      assert.equal(sumOfMoney(mended), 0);
      assert.equal(mended.totals().held, 0, 'no money stays set aside');
      const state = dump(mended);
      mended.close();
      const third = open(directory);
      assert.deepEqual({ ...third.recovery, records: 0 }, { records: 0, redone: 0, interrupted: 0, tornBytes: 0 });
      assert.deepEqual(dump(third), state);
      third.close();
    }
  });

  test('a crash while a record is written, after every byte of it: the record is cut off, its change was not made', async () => {
    const directory = folder();
    const ledger = open(directory);
    await openAccounts(ledger, 1, 'secret');
    const before = dump(ledger);
    ledger.close();
    const whole = readFileSync(auditOf(directory));
    const probe = folder();
    const other = open(probe);
    await openAccounts(other, 1, 'secret');
    const length = readFileSync(auditOf(probe)).length;
    other.commit('u0001', { action: 'login-success', account: 'u0001' });
    other.close();
    const record = readFileSync(auditOf(probe)).subarray(length);
    for (let bytes = 1; bytes < record.length; bytes += 17) {
      appendFileSync(auditOf(directory), record.subarray(0, bytes));
      const mended = open(directory);
      assert.equal(mended.recovery.tornBytes, bytes);
      assert.deepEqual(dump(mended), before);
      mended.close();
      assert.deepEqual(readFileSync(auditOf(directory)), whole);
    }
  });

  test('a payment whose bank answer never came is failed at the next start, and the same key pays then', async () => {
    const directory = folder();
    const ledger = open(directory);
    await openAccounts(ledger, 1, 'secret');
    const accounts = makeAccounts({ ledger, now: () => NOW });
    const orders = makeOrders(ledger);
    const silent = { ask: () => new Promise<BankAnswer>(() => undefined), fail: () => undefined };
    const order = orders.place('u0001', 'gold-01', 1);
    void makePayments({ ledger, accounts, orders, bank: silent }).pay('u0001', 'k', order.id); // never answers
    assert.equal(orders.find('u0001', order.id).status, 'paying');
    assert.equal(accounts.find('u0001')?.availableCents, 2_000_000 - 56_780);
    ledger.close();

    const mended = open(directory);
    assert.equal(mended.recovery.interrupted, 1);
    const payments = makePayments({
      ledger: mended,
      accounts: makeAccounts({ ledger: mended, now: () => NOW }),
      orders: makeOrders(mended),
      bank: simulateBank({ random: () => 0.5, now: () => NOW, latencyScale: 0 }),
    });
    assert.equal(mended.totals().held, 0);
    assert.equal((await payments.pay('u0001', 'k', order.id)).status, 'settled');
    assert.equal(mended.totals().merchant, 56_780);
    mended.close();
  });

  for (const [name, spoil, message] of [
    ['a figure is changed', (text: string) => text.replace('"cents":2000000', '"cents":9000000'), /record 3 of .* was altered/],
    [
      'a record is taken out',
      (text: string) => text.split('\n').toSpliced(2, 1).join('\n'),
      /record 3 of .* is missing: 4 follows 2/,
    ],
    ['two records are swapped', (text: string) => swap(text.split('\n'), 1, 2).join('\n'), /record 2 of .* is missing/],
    [
      'the end is missing',
      (text: string) => `${text.split('\n').slice(0, 3).join('\n')}\n`,
      /ends at record 3, the database was made from 4/,
    ],
    ['all of it is missing', () => '', /ends at record 0/],
    ['it is no audit', () => 'hello\n', /record 1 of .* was altered/],
  ] as const) {
    test(`the service does not start when ${name}`, async () => {
      const directory = folder();
      const ledger = open(directory);
      await openAccounts(ledger, 2, 'secret');
      ledger.close();
      const text = readFileSync(auditOf(directory), 'utf8');
      writeFileSync(auditOf(directory), spoil(text));
      assert.throws(
        () => open(directory),
        (error) => error instanceof AuditError && message.test(error.message),
      );
      // With the true audit it goes on as if nothing had been.
      writeFileSync(auditOf(directory), text);
      open(directory).close();
    });
  }

  test('an audit of another database is refused', async () => {
    const [left, right] = [folder(), folder()];
    for (const directory of [left, right]) {
      const ledger = open(directory, { now: () => NOW + (directory === left ? 0 : 1) });
      await openAccounts(ledger, 1, 'secret');
      ledger.close();
    }
    writeFileSync(auditOf(left), readFileSync(auditOf(right)));
    assert.throws(() => open(left), /is not the one the database was made from/);
  });

  test('only one service at a time has the folder', () => {
    const directory = folder();
    const ledger = open(directory);
    assert.throws(() => open(directory), /is in use by another service/);
    ledger.close();
    open(directory).close();
  });

  test('a lost database is made again from the audit', async () => {
    const directory = folder();
    const ledger = open(directory);
    await work(ledger);
    const before = dump(ledger);
    ledger.close();
    rmSync(join(directory, 'core.db'));
    const again = open(directory);
    assert.deepEqual(dump(again), before);
    again.close();
  });

  test('an audit that ends in the middle of a line of zeros is cut there', () => {
    const directory = folder();
    open(directory).close();
    writeFileSync(auditOf(directory), Buffer.alloc(100));
    const ledger = open(directory);
    assert.equal(ledger.recovery.tornBytes, 100);
    ledger.close();
  });
});

function swap(lines: string[], left: number, right: number): string[] {
  return lines.map((line, at) => (at === left ? lines[right] : at === right ? lines[left] : line) ?? '');
}
