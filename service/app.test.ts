import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DEFAULT_PASSWORD, startService, type Service } from './start.ts';

interface Ask {
  readonly as?: string;
  readonly key?: string;
  readonly body?: unknown;
  readonly raw?: string;
  readonly type?: string;
}

describe('core service over HTTP', () => {
  let directory = '';
  let service: Service;
  let now = Date.UTC(2025, 2, 3, 4);
  const tokens = new Map<string, string>();
  let order = '';

  const send = async (method: string, path: string, { as, key, body, raw, type = 'application/json' }: Ask = {}) => {
    const headers: Record<string, string> = {};
    if (as !== undefined) headers['authorization'] = `Bearer ${tokens.get(as) ?? as}`;
    if (key !== undefined) headers['idempotency-key'] = key;
    const content = raw ?? (body === undefined ? undefined : JSON.stringify(body).replace('$order', order));
    if (content !== undefined) headers['content-type'] = type;
    const response = await fetch(`http://127.0.0.1:${service.port}${path.replace('$order', order)}`, {
      method,
      headers,
      ...(content === undefined ? {} : { body: content }),
    });
    const text = await response.text();
    const answer = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
    return { status: response.status, headers: response.headers, answer };
  };

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'core-'));
    // 0.5 is a bank in good mood, and one that answers at once.
    service = await startService({
      directory,
      fsync: false,
      latencyScale: 0,
      random: () => 0.5,
      now: () => now,
      faults: true,
      accounts: 9,
    });
    for (const account of ['u0001', 'u0002']) {
      const { answer } = await send('POST', '/login', { body: { account, password: DEFAULT_PASSWORD } });
      tokens.set(account, String(answer['token']));
    }
    const { answer } = await send('POST', '/orders', { as: 'u0001', body: { product: 'gold-01', quantity: 2 } });
    order = String(answer['id']);
  });
  after(async () => {
    await service.stop();
    rmSync(directory, { recursive: true });
  });

  const huge = { as: 'u0001', raw: JSON.stringify({ product: 'x'.repeat(20_000), quantity: 1 }) };
  const login = (account: unknown, password: unknown): Ask => ({ body: { account, password } });
  for (const [method, path, ask, status, code] of [
    ['GET', '/health', {}, 200],
    ['GET', '/products', {}, 200],
    [`GET`, `/products?q=${encodeURIComponent('基金')}`, {}, 200],
    ['GET', '/products/gold-01', {}, 200],
    ['GET', '/products/none', {}, 404, 'not_found'],
    ['GET', '/nowhere', {}, 404, 'not_found'],
    ['DELETE', '/products', {}, 404, 'not_found'],
    ['POST', '/login', login('u0003', DEFAULT_PASSWORD), 200],
    ['POST', '/login', login('u0003', 'wrong'), 401, 'credentials_wrong'],
    ['POST', '/login', login('nobody', 'wrong'), 401, 'credentials_wrong'],
    ['POST', '/login', login('bank', ''), 400, 'invalid'],
    ['POST', '/login', login('merchant', 'x'), 401, 'credentials_wrong'],
    ['POST', '/login', login(1, 'x'), 400, 'invalid'],
    ['POST', '/login', { raw: '{"account":' }, 400, 'invalid'],
    ['POST', '/login', { raw: '' }, 400, 'invalid'],
    ['POST', '/login', { raw: 'account=u0001', type: 'application/x-www-form-urlencoded' }, 415, 'media_type'],
    ['GET', '/accounts/u0001', {}, 401, 'not_signed_in'],
    ['GET', '/accounts/u0001', { as: 'made-up' }, 401, 'not_signed_in'],
    ['GET', '/accounts/u0001', { as: 'u0001' }, 200],
    ['GET', '/accounts/u0002', { as: 'u0001' }, 403, 'forbidden'],
    ['POST', '/orders', { as: 'u0001', body: { product: 'gold-01', quantity: 1 } }, 201],
    ['POST', '/orders', { as: 'u0001', body: { product: 'gold-01', quantity: 0 } }, 400, 'invalid'],
    ['POST', '/orders', { as: 'u0001', body: { product: 'gold-01', quantity: 1.5 } }, 400, 'invalid'],
    ['POST', '/orders', { as: 'u0001', body: { product: 'gold-01', quantity: '1' } }, 400, 'invalid'],
    ['POST', '/orders', { as: 'u0001', body: { product: 'gold-01', quantity: 1, price: 1 } }, 400, 'invalid'],
    ['POST', '/orders', { as: 'u0001', body: { product: 'no-such', quantity: 1 } }, 422, 'not_payable'],
    ['POST', '/orders', { body: { product: 'gold-01', quantity: 1 } }, 401, 'not_signed_in'],
    ['POST', '/orders', huge, 413, 'too_large'],
    ['GET', '/orders/$order', { as: 'u0001' }, 200],
    ['GET', '/orders/$order', { as: 'u0002' }, 403, 'forbidden'],
    ['GET', '/orders/o999999', { as: 'u0001' }, 404, 'not_found'],
    ['GET', '/orders?limit=5', { as: 'u0001' }, 200],
    ['GET', '/orders?limit=0', { as: 'u0001' }, 400, 'invalid'],
    ['GET', '/orders?limit=101', { as: 'u0001' }, 400, 'invalid'],
    ['GET', '/orders?limit=5&before=x', { as: 'u0001' }, 400, 'invalid'],
    ['POST', '/payments', { as: 'u0001', body: { order: '$order' } }, 400, 'idempotency_key_missing'],
    ['POST', '/payments', { as: 'u0001', key: 'x'.repeat(65), body: { order: '$order' } }, 400, 'idempotency_key_missing'],
    ['POST', '/payments', { as: 'u0002', key: 'a', body: { order: '$order' } }, 403, 'forbidden'],
    ['POST', '/payments', { as: 'u0001', key: 'a', body: { order: 'o999999' } }, 404, 'not_found'],
    ['POST', '/payments', { as: 'u0001', key: 'a', body: { order: '$order' } }, 201],
    ['POST', '/payments', { as: 'u0001', key: 'a', body: { order: '$order' } }, 200],
    ['POST', '/payments', { as: 'u0001', key: 'b', body: { order: '$order' } }, 409, 'conflict'],
    ['POST', '/deposits', { as: 'u0001', key: 'a', body: { amount_cents: 5 } }, 409, 'idempotency_key_reused'],
    ['POST', '/deposits', { as: 'u0002', key: 'a', body: { amount_cents: 5 } }, 201],
    ['POST', '/deposits', { as: 'u0002', key: 'c', body: { amount_cents: -5 } }, 400, 'invalid'],
    ['POST', '/deposits', { as: 'u0002', key: 'c', body: { amount_cents: 0.5 } }, 400, 'invalid'],
    ['POST', '/deposits', { as: 'u0002', key: 'c', raw: '{"amount_cents":1e300}' }, 400, 'invalid'],
    ['POST', '/transfers', { as: 'u0001', key: 't', body: { to: 'u0002', amount_cents: 100 } }, 201],
    ['POST', '/transfers', { as: 'u0001', key: 't', body: { to: 'u0002', amount_cents: 100 } }, 200],
    ['POST', '/transfers', { as: 'u0001', key: 't', body: { to: 'u0003', amount_cents: 100 } }, 409, 'idempotency_key_reused'],
    ['POST', '/transfers', { as: 'u0001', key: 'v', body: { to: 'u0001', amount_cents: 1 } }, 422, 'not_payable'],
    ['POST', '/transfers', { as: 'u0001', key: 'v', body: { to: 'merchant', amount_cents: 1 } }, 422, 'not_payable'],
    ['POST', '/transfers', { as: 'u0001', key: 'v', body: { to: 'u9999', amount_cents: 1 } }, 404, 'not_found'],
    [
      'POST',
      '/transfers',
      { as: 'u0001', key: 'v', body: { to: 'u0002', amount_cents: 100_000_000 } },
      402,
      'insufficient_funds',
    ],
    ['POST', '/faults', { body: { ratio: 2, ms: 1 } }, 400, 'invalid'],
  ] as readonly (readonly [string, string, Ask, number, string?])[]) {
    test(`${method} ${path} ${JSON.stringify(ask).slice(0, 90)} is ${status}`, async () => {
      const { status: got, answer } = await send(method, path, ask);
      assert.deepEqual(
        { status: got, code: (answer['error'] as Record<string, unknown> | undefined)?.['code'] },
        { status, code },
      );
    });
  }

  test('what was paid once is off the account once', async () => {
    const { answer } = await send('GET', '/accounts/u0001', { as: 'u0001' });
    assert.equal(answer['balance_cents'], 2_000_000 - 2 * 56_780 - 100);
    assert.equal(answer['available_cents'], answer['balance_cents']);
  });

  test('twenty at once with the same key pay once, the others are told or get the same answer', async () => {
    const placed = await send('POST', '/orders', { as: 'u0002', body: { product: 'topup-50', quantity: 1 } });
    const body = { order: placed.answer['id'] };
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => send('POST', '/payments', { as: 'u0002', key: 'twenty', body })),
    );
    assert.equal(answers.filter(({ status }) => status === 201).length, 1);
    assert.ok(answers.every(({ status }) => status === 201 || status === 200 || status === 409));
    const { answer } = await send('GET', '/accounts/u0002', { as: 'u0002' });
    assert.equal(answer['balance_cents'], 2_000_000 + 5 + 100 - 4_985);
  });

  test('while the bank fails payments are 502, the money stays; afterwards the same key pays', async () => {
    const before = (await send('GET', '/accounts/u0001', { as: 'u0001' })).answer['available_cents'];
    assert.equal((await send('POST', '/faults', { body: { ratio: 1, ms: 60_000 } })).status, 204);
    const placed = await send('POST', '/orders', { as: 'u0001', body: { product: 'topup-50', quantity: 1 } });
    const ask = { as: 'u0001', key: 'later', body: { order: placed.answer['id'] } };
    const failed = await send('POST', '/payments', ask);
    assert.deepEqual([failed.status, failed.headers.get('retry-after')], [502, '1']);
    assert.equal((await send('GET', '/accounts/u0001', { as: 'u0001' })).answer['available_cents'], before);
    now += 60_001;
    assert.equal((await send('POST', '/payments', ask)).status, 201);
    assert.equal((await send('GET', '/accounts/u0001', { as: 'u0001' })).answer['available_cents'], Number(before) - 4_985);
  });

  test('orders come in pages, the newest first', async () => {
    for (const quantity of [1, 2, 3]) await send('POST', '/orders', { as: 'u0002', body: { product: 'mmf-02', quantity } });
    const quantities = (answer: Record<string, unknown>) =>
      (answer['orders'] as { quantity: number }[]).map((one) => one.quantity);
    const page = await send('GET', '/orders?limit=2', { as: 'u0002' });
    assert.deepEqual(quantities(page.answer), [3, 2]);
    const last = (page.answer['orders'] as { id: string }[]).at(-1)?.id ?? '';
    assert.deepEqual(quantities((await send('GET', `/orders?limit=1&before=${last}`, { as: 'u0002' })).answer), [1]);
  });

  test('five wrong passwords lock the account for a minute, also for the right one', async () => {
    const attempt = (password: string) => send('POST', '/login', login('u0004', password));
    for (let n = 0; n < 5; n += 1) assert.equal((await attempt('wrong')).status, 401);
    const locked = await attempt(DEFAULT_PASSWORD);
    assert.deepEqual([locked.status, locked.headers.get('retry-after')], [429, '60']);
    now += 60_000;
    assert.equal((await attempt(DEFAULT_PASSWORD)).status, 200);
  });

  test('a session ends after half an hour without use', async () => {
    const { answer } = await send('POST', '/login', login('u0005', DEFAULT_PASSWORD));
    const as = String(answer['token']);
    now += 29 * 60_000;
    assert.equal((await send('GET', '/accounts/u0005', { as })).status, 200);
    now += 29 * 60_000;
    assert.equal((await send('GET', '/accounts/u0005', { as })).status, 200);
    now += 31 * 60_000;
    assert.equal((await send('GET', '/accounts/u0005', { as })).status, 401);
  });

  test('bytes that are no HTTP are answered and harm nobody', async () => {
    const text = await new Promise<string>((resolve) => {
      const socket = createConnection(service.port, '127.0.0.1', () => socket.end('\u0000\u0001 nonsense\r\n\r\n'));
      let got = '';
      socket.on('data', (chunk) => (got += chunk.toString()));
      socket.on('close', () => resolve(got));
    });
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.equal((await send('GET', '/health')).status, 200);
  });

  test('nothing is left in flight', () => assert.equal(service.stats().inFlight, 0));
});

describe('core service without faults', () => {
  test('POST /faults does not exist', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'core-'));
    const service = await startService({ directory, fsync: false, accounts: 1 });
    const response = await fetch(`http://127.0.0.1:${service.port}/faults`, { method: 'POST' });
    assert.equal(response.status, 404);
    await service.stop();
    await service.stop();
    rmSync(directory, { recursive: true });
  });
});
