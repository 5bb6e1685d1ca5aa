import { findProduct } from './catalogue.ts';
import { ServiceError } from './errors.ts';
import type { Ledger } from './ledger.ts';

export interface Order {
  readonly id: string;
  readonly product: string;
  readonly quantity: number;
  readonly cents: number;
  readonly status: 'placed' | 'paying' | 'paid';
  readonly placedAt: string;
}

export interface Orders {
  /** @throws ServiceError `not_payable` for an unknown product */
  place(account: string, product: string, quantity: number): Order;
  /** @throws ServiceError `not_found` when there is none, `forbidden` when it is somebody else's */
  find(account: string, id: string): Order;
  /**
   * The newest first.
   *
   * @param limit  1 to 100
   * @param before  the last id of the page before
   */
  list(account: string, limit: number, before?: string): Order[];
}

export function makeOrders(ledger: Ledger): Orders {
  const byId = ledger.prepare('SELECT * FROM orders WHERE id = ?');
  const page = ledger.prepare('SELECT * FROM orders WHERE account = ? AND number < ? ORDER BY number DESC LIMIT ?');
  return {
    place(account, code, quantity) {
      const product = findProduct(code);
      if (product === undefined) throw new ServiceError('not_payable', `no product ${code}`);
      const id = `o${ledger.nextSeq()}`;
      ledger.commit(account, {
        action: 'order-place',
        id,
        account,
        product: code,
        quantity,
        cents: product.priceCents * quantity,
      });
      return read(byId.get(id));
    },
    find(account, id) {
      const row = byId.get(id);
      if (row === undefined) throw new ServiceError('not_found', `no order ${id}`);
      if (row['account'] !== account) throw new ServiceError('forbidden', `order ${id} is not yours`);
      return read(row);
    },
    list(account, limit, before) {
      const number = before === undefined ? Number.MAX_SAFE_INTEGER : Number(before.slice(1));
      return page.all(account, number, limit).map(read);
    },
  };
}

function read(row: Record<string, unknown> | undefined): Order {
  if (row === undefined) throw new ServiceError('internal', 'an order is gone');
  return {
    id: String(row['id']),
    product: String(row['product']),
    quantity: Number(row['quantity']),
    cents: Number(row['cents']),
    status: row['status'] as Order['status'],
    placedAt: String(row['placed_at']),
  };
}
