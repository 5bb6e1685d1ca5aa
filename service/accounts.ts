import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { BANK, MERCHANT, type Change } from './changes.ts';
import { ServiceError } from './errors.ts';
import type { Ledger } from './ledger.ts';

export interface Account {
  readonly id: string;
  readonly name: string;
  readonly balanceCents: number;
  /** Balance without what is set aside for payments on their way. */
  readonly availableCents: number;
  readonly openedAt: string;
}

export interface Accounts {
  find(id: string): Account | undefined;
  /**
   * @returns a token good for 30 minutes without use
   * @throws ServiceError `credentials_wrong`, or `account_locked` for a minute after five failures in a row
   */
  login(id: string, password: string): Promise<{ readonly token: string; readonly account: Account }>;
  /** The account that a token stands for; its 30 minutes start anew. */
  whose(token: string): string | undefined;
}

export interface AccountsOptions {
  readonly ledger: Ledger;
  readonly now: () => number;
}

const SESSION_MS = 30 * 60 * 1000;
/** Beyond it the session unused for longest ends early. */
const SESSIONS_MAX = 10_000;
const FAILURES_MAX = 5;
const LOCK_MS = 60_000;

export function makeAccounts({ ledger, now }: AccountsOptions): Accounts {
  const byId = ledger.prepare('SELECT * FROM accounts WHERE id = ?');
  // In order of use: a Map keeps the order of insertion, and a used session is inserted anew.
  const sessions = new Map<string, { readonly account: string; readonly until: number }>();

  const find = (id: string): Account | undefined => {
    const row = byId.get(id);
    if (row === undefined) return undefined;
    const balanceCents = Number(row['balance']);
    return {
      id,
      name: String(row['name']),
      balanceCents,
      availableCents: balanceCents - Number(row['held']),
      openedAt: String(row['opened_at']),
    };
  };

  const open = (account: string): string => {
    const token = randomBytes(24).toString('base64url');
    const oldest = sessions.size >= SESSIONS_MAX ? sessions.keys().next().value : undefined;
    if (oldest !== undefined) sessions.delete(oldest);
    sessions.set(token, { account, until: now() + SESSION_MS });
    return token;
  };

  return {
    find,
    async login(id, password) {
      const before = byId.get(id);
      // An unknown name costs as much time as a known one, so that names cannot be told apart by the clock.
      const salt = String(before?.['salt'] ?? 'none');
      const isRight = sameText(await hashPassword(password, salt), String(before?.['password'] ?? ''));
      const row = byId.get(id);
      if (row === undefined) throw new ServiceError('credentials_wrong', 'name or password is wrong');
      const lockedMs = Number(row['locked_until']) - now();
      if (lockedMs > 0) {
        throw new ServiceError('account_locked', 'too many failed log-ins', { retryAfter: Math.ceil(lockedMs / 1000) });
      }
      if (!isRight) {
        const failures = Number(row['failures']) + 1;
        const isLocked = failures >= FAILURES_MAX;
        const change = { action: 'login-failure', account: id, failures: isLocked ? 0 : failures } as const;
        ledger.commit(id, { ...change, lockedUntil: isLocked ? now() + LOCK_MS : 0 });
        throw new ServiceError('credentials_wrong', 'name or password is wrong');
      }
      ledger.commit(id, { action: 'login-success', account: id });
      const account = find(id);
      if (account === undefined) throw new ServiceError('internal', `account ${id} is gone`);
      return { token: open(id), account };
    },
    whose(token) {
      const session = sessions.get(token);
      if (session === undefined) return undefined;
      sessions.delete(token);
      if (session.until <= now()) return undefined;
      sessions.set(token, { account: session.account, until: now() + SESSION_MS });
      return session.account;
    },
  };
}

const SURNAMES = '王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗';
const GIVEN = [
  '伟',
  '芳',
  '娜',
  '秀英',
  '敏',
  '静',
  '丽',
  '强',
  '磊',
  '洋',
  '艳',
  '勇',
  '军',
  '杰',
  '娟',
  '涛',
  '明',
  '超',
  '霞',
  '平',
];

/** `u0001` and so on. */
export function accountId(number: number): string {
  return `u${String(number).padStart(4, '0')}`;
}

/**
 * Opens the bank's and the merchant's account and `count` customers with 20,000 yuan each, where they are not there yet.
 * All customers have the same password: they exist to be played.
 */
export async function openAccounts(ledger: Ledger, count: number, password: string): Promise<void> {
  const existing = new Set(
    ledger
      .prepare('SELECT id FROM accounts')
      .all()
      .map((row) => String(row['id'])),
  );
  const salt = randomBytes(16).toString('base64url');
  const hash = await hashPassword(password, salt);
  const house = [
    { id: BANK, name: '银行' },
    { id: MERCHANT, name: '商户' },
  ].map((account) => ({ ...account, cents: 0, salt: '', password: '' }));
  const customers = Array.from({ length: count }, (_, index) => {
    const surname = SURNAMES[index % SURNAMES.length] ?? '';
    const given = GIVEN[Math.floor(index / SURNAMES.length) % GIVEN.length] ?? '';
    return { id: accountId(index + 1), name: `${surname}${given}`, cents: 2_000_000, salt, password: hash };
  });
  const missing = [...house, ...customers].filter((account) => !existing.has(account.id));
  if (missing.length > 0) ledger.commit('system', ...missing.map((account): Change => ({ action: 'account-open', ...account })));
}

// A real house would take N = 2^17; this one shares two cores with what watches it: about 2 ms a log-in.
const SCRYPT = { N: 1024, r: 8, p: 1 } as const;

function hashPassword(password: string, salt: string): Promise<string> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, 32, SCRYPT, (error, key) => {
      if (error === null) resolve(key.toString('base64url'));
      else reject(error);
    });
  });
}

function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
