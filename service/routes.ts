import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { AppOptions } from './app.ts';
import { CATALOGUE, findProduct, type Product } from './catalogue.ts';
import { ServiceError } from './errors.ts';
import type { Order } from './orders.ts';
import type { Receipt } from './payments.ts';

/** A million yuan. */
const CENTS_MAX = 100_000_000;
const CENTS = { type: 'integer', minimum: 1, maximum: CENTS_MAX } as const;
const ID = { type: 'string', pattern: '^[a-z][a-z0-9-]{0,31}$' } as const;
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,64}$/;

export function addRoutes(server: FastifyInstance, options: AppOptions): void {
  addPublicRoutes(server, options);
  addOrderRoutes(server, options);
  addMoneyRoutes(server, options);
  if (options.faults) addFaultRoute(server, options);
}

function addPublicRoutes(server: FastifyInstance, { accounts, ledger }: AppOptions): void {
  server.get('/health', { config: { action: 'health' } }, (_request, reply) =>
    reply.code(ledger.isHealthy ? 200 : 503).send({ status: ledger.isHealthy ? 'ok' : 'changes are refused' }),
  );

  server.get<{ Querystring: { q?: unknown } }>('/products', { config: { action: 'product-list' } }, (request) => {
    const { q } = request.query;
    const found = typeof q === 'string' ? CATALOGUE.filter(({ name, code }) => name.includes(q) || code.includes(q)) : CATALOGUE;
    return { products: found.map(showProduct) };
  });

  server.get<{ Params: { code: string } }>('/products/:code', { config: { action: 'product-read' } }, (request) => {
    const product = findProduct(request.params.code);
    if (product === undefined) throw new ServiceError('not_found', `no product ${request.params.code.slice(0, 64)}`);
    return showProduct(product);
  });

  server.post<{ Body: { account: string; password: string } }>(
    '/login',
    { config: { action: 'login' }, schema: { body: object({ account: text(64), password: text(128) }) } },
    (request) => {
      request.user = request.body.account;
      const signedIn = accounts.login(request.body.account, request.body.password);
      return signedIn.then(({ token, account }) => ({ token, account: account.id, name: account.name }));
    },
  );

  server.get<{ Params: { id: string } }>('/accounts/:id', { config: { action: 'account-read' } }, (request) => {
    const user = signedIn(request, accounts);
    if (request.params.id !== user) throw new ServiceError('forbidden', 'this account is not yours');
    const account = accounts.find(user);
    if (account === undefined) throw new ServiceError('not_found', `no account ${user}`);
    const { id, name, balanceCents, availableCents, openedAt } = account;
    return { id, name, balance_cents: balanceCents, available_cents: availableCents, opened_at: openedAt };
  });
}

function addOrderRoutes(server: FastifyInstance, { accounts, orders }: AppOptions): void {
  server.post<{ Body: { product: string; quantity: number } }>(
    '/orders',
    {
      config: { action: 'order-place' },
      schema: { body: object({ product: ID, quantity: { type: 'integer', minimum: 1, maximum: 1000 } }) },
    },
    (request, reply) => {
      const order = orders.place(signedIn(request, accounts), request.body.product, request.body.quantity);
      return reply.code(201).header('location', `/orders/${order.id}`).send(showOrder(order));
    },
  );

  server.get<{ Params: { id: string } }>('/orders/:id', { config: { action: 'order-read' } }, (request) =>
    showOrder(orders.find(signedIn(request, accounts), request.params.id)),
  );

  server.get<{ Querystring: { limit?: unknown; before?: unknown } }>(
    '/orders',
    { config: { action: 'order-list' } },
    (request) => {
      const user = signedIn(request, accounts);
      const { limit = '20', before } = request.query;
      const count = typeof limit === 'string' && /^\d{1,3}$/.test(limit) ? Number(limit) : 0;
      if (count < 1 || count > 100) throw new ServiceError('invalid', 'limit is a number from 1 to 100');
      if (before === undefined) return { orders: orders.list(user, count).map(showOrder) };
      if (typeof before !== 'string' || !/^o\d{1,15}$/.test(before))
        throw new ServiceError('invalid', 'before is the id of an order');
      return { orders: orders.list(user, count, before).map(showOrder) };
    },
  );
}

function addMoneyRoutes(server: FastifyInstance, { accounts, payments }: AppOptions): void {
  server.post<{ Body: { order: string } }>(
    '/payments',
    { config: { action: 'payment' }, schema: { body: object({ order: ID }) } },
    async (request, reply) => {
      const receipt = await payments.pay(signedIn(request, accounts), keyOf(request), request.body.order);
      return await reply.code(receipt.isRepeat ? 200 : 201).send(showReceipt(receipt));
    },
  );

  server.post<{ Body: { amount_cents: number } }>(
    '/deposits',
    { config: { action: 'deposit' }, schema: { body: object({ amount_cents: CENTS }) } },
    async (request, reply) => {
      const receipt = await payments.deposit(signedIn(request, accounts), keyOf(request), request.body.amount_cents);
      return await reply.code(receipt.isRepeat ? 200 : 201).send(showReceipt(receipt));
    },
  );

  server.post<{ Body: { to: string; amount_cents: number } }>(
    '/transfers',
    { config: { action: 'transfer' }, schema: { body: object({ to: ID, amount_cents: CENTS }) } },
    (request, reply) => {
      const receipt = payments.transfer(signedIn(request, accounts), keyOf(request), request.body.to, request.body.amount_cents);
      return reply.code(receipt.isRepeat ? 200 : 201).send(showReceipt(receipt));
    },
  );
}

function addFaultRoute(server: FastifyInstance, { bank, logs }: AppOptions): void {
  server.post<{ Body: { ratio: number; ms: number } }>(
    '/faults',
    {
      config: { action: 'fault' },
      schema: {
        body: object({
          ratio: { type: 'number', minimum: 0, maximum: 1 },
          ms: { type: 'integer', minimum: 0, maximum: 600_000 },
        }),
      },
    },
    (request, reply) => {
      const { ratio, ms } = request.body;
      bank.fail(ratio, ms);
      logs.app.warn({ event: { action: 'fault', kind: 'event' }, fault: { ratio, ms } }, 'the bank was told to fail');
      return reply.code(204).send();
    },
  );
}

function signedIn(request: FastifyRequest, accounts: AppOptions['accounts']): string {
  const token = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const user = token === undefined ? undefined : accounts.whose(token);
  if (user === undefined) throw new ServiceError('not_signed_in', 'sign in with POST /login');
  request.user = user;
  return user;
}

function keyOf(request: FastifyRequest): string {
  const key = request.headers['idempotency-key'];
  if (typeof key === 'string' && IDEMPOTENCY_KEY.test(key)) return key;
  throw new ServiceError('idempotency_key_missing', 'the header Idempotency-Key is needed: 1 to 64 visible characters');
}

function object(properties: Record<string, object>): object {
  return { type: 'object', required: Object.keys(properties), additionalProperties: false, properties };
}

function text(maxLength: number): object {
  return { type: 'string', minLength: 1, maxLength };
}

function showProduct({ code, name, priceCents }: Product): object {
  return { code, name, price_cents: priceCents };
}

function showOrder({ id, product, quantity, cents, status, placedAt }: Order): object {
  return { id, product, quantity, amount_cents: cents, status, placed_at: placedAt };
}

function showReceipt({ id, kind, status, cents, order }: Receipt): object {
  return { id, kind, status, amount_cents: cents, ...(order === undefined ? {} : { order }) };
}
