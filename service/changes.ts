import type { DatabaseSync } from 'node:sqlite';

/** The account all money comes from and returns to; the only one that may be below zero. */
export const BANK = 'bank';
/** The account that orders are paid to. */
export const MERCHANT = 'merchant';

export type TransferKind = 'payment' | 'deposit' | 'transfer';

/** Money on its way from one account to another. */
export interface Movement {
  readonly id: string;
  readonly kind: TransferKind;
  /** Who asked for it. */
  readonly account: string;
  readonly source: string;
  readonly target: string;
  readonly cents: number;
  readonly order?: string;
  /** The caller's Idempotency-Key, and what was asked for under it. */
  readonly key: string;
  readonly asked: string;
}

/**
 * Everything that can happen to the database. Each is recorded in the audit first and says all that is needed to make it,
 * so that making it again from the audit gives the same rows.
 */
export type Change =
  | {
      readonly action: 'account-open';
      readonly id: string;
      readonly name: string;
      readonly cents: number;
      readonly salt: string;
      readonly password: string;
    }
  | { readonly action: 'login-success'; readonly account: string }
  | { readonly action: 'login-failure'; readonly account: string; readonly failures: number; readonly lockedUntil: number }
  | {
      readonly action: 'order-place';
      readonly id: string;
      readonly account: string;
      readonly product: string;
      readonly quantity: number;
      readonly cents: number;
    }
  /** The money is set aside and the bank is asked. Again for the same id when the bank could not be reached before. */
  | ({ readonly action: 'movement-request' } & Movement)
  | { readonly action: 'movement-settle'; readonly id: string }
  | { readonly action: 'movement-fail'; readonly id: string; readonly status: 'failed' | 'declined'; readonly reason: string }
  /** Between two accounts of this house: nobody else to ask. */
  | ({ readonly action: 'movement-make' } & Movement);

export const SCHEMA = `
  CREATE TABLE IF NOT EXISTS progress (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL, hash TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS accounts (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, balance INTEGER NOT NULL, held INTEGER NOT NULL DEFAULT 0,
    salt TEXT NOT NULL, password TEXT NOT NULL, failures INTEGER NOT NULL DEFAULT 0, locked_until INTEGER NOT NULL DEFAULT 0,
    opened_at TEXT NOT NULL, CHECK (id = '${BANK}' OR balance >= held), CHECK (held >= 0)) STRICT;
  CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, number INTEGER NOT NULL, account TEXT NOT NULL REFERENCES accounts (id), product TEXT NOT NULL,
    quantity INTEGER NOT NULL, cents INTEGER NOT NULL, status TEXT NOT NULL, placed_at TEXT NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS orders_of_account ON orders (account, number);
  CREATE TABLE IF NOT EXISTS movements (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, account TEXT NOT NULL REFERENCES accounts (id), source TEXT NOT NULL REFERENCES accounts (id),
    target TEXT NOT NULL REFERENCES accounts (id), cents INTEGER NOT NULL CHECK (cents > 0), order_id TEXT REFERENCES orders (id),
    key TEXT NOT NULL, asked TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, attempts INTEGER NOT NULL, at TEXT NOT NULL,
    UNIQUE (account, key)) STRICT;
  CREATE INDEX IF NOT EXISTS movements_pending ON movements (status) WHERE status = 'pending';
`;

/** Makes one change inside a transaction of the caller. Deterministic; throws only what SQLite throws. */
export type Apply = (seq: number, at: string, change: Change) => void;

export function prepareChanges(database: DatabaseSync): Apply {
  const sql = (text: string) => database.prepare(text);
  const openAccount = sql('INSERT INTO accounts (id, name, balance, salt, password, opened_at) VALUES (?, ?, 0, ?, ?, ?)');
  const add = sql('UPDATE accounts SET balance = balance + ? WHERE id = ?');
  const hold = sql('UPDATE accounts SET held = held + ? WHERE id = ? AND id <> ?');
  const setLogin = sql('UPDATE accounts SET failures = ?, locked_until = ? WHERE id = ?');
  const placeOrder = sql(`INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, 'placed', ?)`);
  const setOrder = sql('UPDATE orders SET status = ? WHERE id = ?');
  const request = sql(`INSERT INTO movements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, 1, ?)
    ON CONFLICT (id) DO UPDATE SET status = excluded.status, reason = NULL, attempts = attempts + 1, at = excluded.at`);
  const finish = sql(
    `UPDATE movements SET status = ?, reason = ?, at = ? WHERE id = ? RETURNING source, target, cents, order_id`,
  );

  const move = (source: string, target: string, cents: number): void => {
    add.run(-cents, source);
    add.run(cents, target);
  };
  const insert = (it: Movement, status: string, at: string): void => {
    request.run(it.id, it.kind, it.account, it.source, it.target, it.cents, it.order ?? null, it.key, it.asked, status, at);
  };
  const complete = (id: string, status: string, reason: string | null, at: string) => {
    const row = finish.get(status, reason, at, id);
    if (row === undefined) throw new Error(`no movement ${id}`);
    const { source, target, cents, order_id: order } = row;
    hold.run(-Number(cents), String(source), BANK);
    return {
      source: String(source),
      target: String(target),
      cents: Number(cents),
      order: typeof order === 'string' ? order : undefined,
    };
  };

  return (seq, at, change) => {
    switch (change.action) {
      case 'account-open':
        openAccount.run(change.id, change.name, change.salt, change.password, at);
        move(BANK, change.id, change.cents);
        break;
      case 'login-success':
        setLogin.run(0, 0, change.account);
        break;
      case 'login-failure':
        setLogin.run(change.failures, change.lockedUntil, change.account);
        break;
      case 'order-place':
        placeOrder.run(change.id, seq, change.account, change.product, change.quantity, change.cents, at);
        break;
      case 'movement-request':
        insert(change, 'pending', at);
        hold.run(change.cents, change.source, BANK);
        if (change.order !== undefined) setOrder.run('paying', change.order);
        break;
      case 'movement-settle': {
        const { source, target, cents, order } = complete(change.id, 'settled', null, at);
        move(source, target, cents);
        if (order !== undefined) setOrder.run('paid', order);
        break;
      }
      case 'movement-fail': {
        const { order } = complete(change.id, change.status, change.reason, at);
        if (order !== undefined) setOrder.run('placed', order);
        break;
      }
      case 'movement-make':
        insert(change, 'settled', at);
        move(change.source, change.target, change.cents);
        break;
    }
  };
}
