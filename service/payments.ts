import type { Accounts } from './accounts.ts';
import type { Bank, BankAnswer } from './bank.ts';
import { BANK, MERCHANT, type Movement } from './changes.ts';
import { ServiceError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import type { Orders } from './orders.ts';

export interface Receipt {
  readonly id: string;
  readonly kind: Movement['kind'];
  readonly status: 'settled';
  readonly cents: number;
  readonly order?: string;
  /** The same request was answered before; nothing was done now. */
  readonly isRepeat: boolean;
}

/**
 * Each takes the caller's idempotency key: the same request under the same key moves the money once and gets the same answer;
 * when the bank could not be reached, the same key tries again.
 *
 * All throw ServiceError: `insufficient_funds`, `declined`, `conflict` while the first one is on its way, `idempotency_key_reused`
 * for another request under a used key, `bank_unavailable`, `bank_timeout`.
 */
export interface Payments {
  /** Pays an order of the account. Throws `not_found` and, when it is paid or being paid, `conflict`. */
  pay(account: string, key: string, order: string): Promise<Receipt>;
  /** Money from the bank onto the account. */
  deposit(account: string, key: string, cents: number): Promise<Receipt>;
  /** Money to another customer. Throws `not_payable` for oneself and for accounts of the house. */
  transfer(account: string, key: string, target: string, cents: number): Receipt;
}

export interface PaymentsOptions {
  readonly ledger: Ledger;
  readonly accounts: Accounts;
  readonly orders: Orders;
  readonly bank: Bank;
}

export function makePayments({ ledger, accounts, orders, bank }: PaymentsOptions): Payments {
  const byKey = ledger.prepare('SELECT id, kind, cents, order_id, asked, status FROM movements WHERE account = ? AND key = ?');

  /** @returns the receipt when it is done, the id to go on with when the bank has to be asked again, undefined when the key is new */
  const findEarlier = (account: string, key: string, asked: string): Receipt | string | undefined => {
    const row = byKey.get(account, key);
    if (row === undefined) return undefined;
    if (row['asked'] !== asked)
      throw new ServiceError('idempotency_key_reused', 'this idempotency key was used for another request');
    const { id, kind, cents, order_id: order, status } = row;
    if (status === 'pending') throw new ServiceError('conflict', `${String(id)} is on its way`);
    if (status === 'declined') throw new ServiceError('declined', 'the bank declined');
    if (status === 'failed') return String(id);
    const receipt = {
      id: String(id),
      kind: kind as Movement['kind'],
      status: 'settled',
      cents: Number(cents),
      isRepeat: true,
    } as const;
    return typeof order === 'string' ? { ...receipt, order } : receipt;
  };

  const needFunds = (account: string, cents: number): void => {
    const available = accounts.find(account)?.availableCents ?? 0;
    if (available < cents) throw new ServiceError('insufficient_funds', `${available} cents are available, ${cents} are needed`);
  };

  const askBank = async (movement: Movement): Promise<Receipt> => {
    const { id, kind, account, cents, order } = movement;
    ledger.commit(account, { action: 'movement-request', ...movement });
    const answer = await bank.ask(movement);
    if (answer === 'settled') {
      ledger.commit(account, { action: 'movement-settle', id });
      return { id, kind, status: 'settled', cents, ...(order === undefined ? {} : { order }), isRepeat: false };
    }
    ledger.commit('bank', { action: 'movement-fail', id, status: answer === 'declined' ? 'declined' : 'failed', reason: answer });
    throw REFUSALS[answer]();
  };

  return {
    async pay(account, key, order) {
      const asked = `pay ${order}`;
      const earlier = findEarlier(account, key, asked);
      if (typeof earlier === 'object') return earlier;
      const { cents, status } = orders.find(account, order);
      if (status !== 'placed') throw new ServiceError('conflict', `order ${order} is ${status}`);
      needFunds(account, cents);
      const id = earlier ?? `m${ledger.nextSeq()}`;
      return await askBank({ id, kind: 'payment', account, source: account, target: MERCHANT, cents, order, key, asked });
    },
    async deposit(account, key, cents) {
      const asked = `deposit ${cents}`;
      const earlier = findEarlier(account, key, asked);
      if (typeof earlier === 'object') return earlier;
      const id = earlier ?? `m${ledger.nextSeq()}`;
      return await askBank({ id, kind: 'deposit', account, source: BANK, target: account, cents, key, asked });
    },
    transfer(account, key, target, cents) {
      const asked = `transfer ${cents} to ${target}`;
      const earlier = findEarlier(account, key, asked);
      if (typeof earlier === 'object') return earlier;
      if (target === account || target === BANK || target === MERCHANT) {
        throw new ServiceError('not_payable', `a transfer cannot go to ${target}`);
      }
      if (accounts.find(target) === undefined) throw new ServiceError('not_found', `no account ${target}`);
      needFunds(account, cents);
      const id = `m${ledger.nextSeq()}`;
      ledger.commit(account, {
        action: 'movement-make',
        id,
        kind: 'transfer',
        account,
        source: account,
        target,
        cents,
        key,
        asked,
      });
      return { id, kind: 'transfer', status: 'settled', cents, isRepeat: false };
    },
  };
}

const REFUSALS = {
  declined: () => new ServiceError('declined', 'the bank declined'),
  unavailable: () => new ServiceError('bank_unavailable', 'the bank cannot be reached, nothing was paid', { retryAfter: 1 }),
  timeout: () => new ServiceError('bank_timeout', 'the bank did not answer in time, nothing was paid', { retryAfter: 5 }),
} as const satisfies Record<Exclude<BankAnswer, 'settled'>, () => ServiceError>;
