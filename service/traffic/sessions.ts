import { CHINA, REGIONS, pickAddress, pickHome, type Region } from './addresses.ts';
import { AGENTS, ROBOTS } from './agents.ts';
import { makeRandom, type Random } from './random.ts';

/** One request to be made. `$order` stands for the order placed last; `key` is the same when a step is tried again. */
export interface Step {
  readonly action: string;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly body?: Readonly<Record<string, unknown>>;
  readonly key?: string;
}

/** One visit: who, from where, and what he wants. */
export interface Session {
  readonly number: number;
  readonly region: Region;
  readonly address: string;
  readonly agent: string;
  readonly steps: readonly Step[];
}

export interface SessionOptions {
  readonly seed: number;
  /** Customers there are: `u0001` and on. */
  readonly accounts: number;
  readonly password: string;
}

const PRODUCTS = [
  'mmf-01',
  'mmf-02',
  'bond-03',
  'bond-06',
  'bond-12',
  'gold-01',
  'index-300',
  'insure-travel',
  'topup-50',
  'topup-100',
];
const SEARCHES = ['基金', '理财', '黄金', '保险', '话费', '稳健', 'bond', '一年期'];

/** The same visits in the same order for the same options; what the service answers changes nothing in it. */
export function* planSessions(options: SessionOptions): Generator<Session, never> {
  const random = makeRandom(options.seed);
  for (let number = 1; ; number += 1) {
    const kind = random.next();
    if (kind < 0.62) yield planCustomer(number, random, options);
    else if (kind < 0.97) yield planGuest(number, random);
    else yield planRobot(number, random);
  }
}

/** A customer has a home: an address he comes from four times in five, a region and a browser that stay. */
function planCustomer(number: number, random: Random, options: SessionOptions): Session {
  const customer = 1 + random.below(options.accounts);
  const home = makeRandom(options.seed, customer);
  const region = home.weighted(REGIONS);
  const homeAddress = pickHome(home, region);
  const agent = home.weighted(AGENTS).name;
  const address = random.chance(0.8) ? homeAddress : pickAddress(random, region);
  const account = accountId(customer);
  const steps: Step[] = random.chance(0.5) ? [browse(random)] : [];
  if (random.chance(0.07)) steps.push(login(account, options.password.slice(0, -1)));
  steps.push(login(account, options.password), get('account-read', `/accounts/${account}`));
  const deeds = 1 + random.below(3);
  for (let deed = 0; deed < deeds; deed += 1)
    steps.push(...planDeed(`${options.seed}-${number}-${deed}`, account, random, options));
  return { number, region, address, agent, steps };
}

function planDeed(key: string, account: string, random: Random, options: SessionOptions): Step[] {
  const kind = random.next();
  if (kind < 0.55) {
    const order = post('order-place', '/orders', { product: random.pick(PRODUCTS), quantity: 1 + random.below(3) });
    const pay: Step = { ...post('payment', '/payments', { order: '$order' }), key };
    const look = random.chance(0.5) ? [get('order-read', '/orders/$order')] : [];
    // The one who clicks twice sends the same key twice.
    return [browse(random), order, pay, ...(random.chance(0.05) ? [pay] : []), ...look];
  }
  if (kind < 0.7) return [{ ...post('deposit', '/deposits', { amount_cents: 1000 * (1 + random.below(500)) }), key }];
  if (kind < 0.82) {
    const to = accountId(1 + random.below(options.accounts));
    return [{ ...post('transfer', '/transfers', { to, amount_cents: 100 * (1 + random.below(3000)) }), key }];
  }
  if (kind < 0.95) return [get('order-list', `/orders?limit=${random.pick([5, 10, 20])}`)];
  return [planMistake(account, random)];
}

/** What goes wrong on the side of the callers. */
function planMistake(account: string, random: Random): Step {
  return random.pick<Step>([
    post('order-place', '/orders', { product: 'gold-01', quantity: 0 }),
    post('order-place', '/orders', { product: 'no-such', quantity: 1 }),
    post('payment', '/payments', { order: '$order' }),
    get('order-read', '/orders/o999999999'),
    get('account-read', `/accounts/${account === 'u0001' ? 'u0002' : 'u0001'}`),
    get('order-list', '/orders?limit=1000'),
  ]);
}

function planGuest(number: number, random: Random): Session {
  const region = random.weighted(REGIONS);
  const steps = Array.from({ length: 1 + random.below(5) }, () => browse(random));
  if (random.chance(0.04))
    steps.push(get('unknown', `/help/${encodeURIComponent(random.pick(['常见问题', '费率说明', '联系我们']))}`));
  if (random.chance(0.03)) steps.push(get('order-list', '/orders'));
  return { number, region, address: pickHome(random, region), agent: random.weighted(AGENTS).name, steps };
}

const PROBES = [
  '/wp-login.php',
  '/.env',
  '/phpmyadmin/index.php',
  '/robots.txt',
  '/actuator/health',
  '/index.php?id=1%27%20OR%201=1',
];

function planRobot(number: number, random: Random): Session {
  const region = random.weighted(REGIONS);
  const steps = Array.from({ length: 1 + random.below(4) }, () => get('unknown', random.pick(PROBES)));
  return { number, region, address: pickAddress(random, region), agent: random.weighted(ROBOTS).name, steps };
}

/** Log-in guessing: half a dozen addresses of one province try names and passwords for as long as one asks for more. */
export function* planGuessing(options: SessionOptions, incident: number): Generator<Session, never> {
  const random = makeRandom(options.seed, 1_000_000 + incident);
  const region = random.weighted(CHINA);
  const addresses = Array.from({ length: 6 }, () => pickAddress(random, region));
  const agent = 'python-requests/2.31.0';
  for (let number = 1; ; number += 1) {
    const name = random.chance(0.3)
      ? random.pick(['admin', 'root', 'test', 'guest'])
      : accountId(1 + random.below(options.accounts));
    const password = random.pick(['123456', 'password', '111111', 'a123456', '5201314', 'woaini1314', 'qwerty']);
    yield { number, region, address: random.pick(addresses), agent, steps: [login(name, password)] };
  }
}

function browse(random: Random): Step {
  const kind = random.next();
  if (kind < 0.4) return get('product-list', '/products');
  if (kind < 0.65) return get('product-list', `/products?q=${encodeURIComponent(random.pick(SEARCHES))}`);
  return get('product-read', `/products/${random.pick(PRODUCTS)}`);
}

function login(account: string, password: string): Step {
  return post('login', '/login', { account, password });
}

function get(action: string, path: string): Step {
  return { action, method: 'GET', path };
}

function post(action: string, path: string, body: Readonly<Record<string, unknown>>): Step {
  return { action, method: 'POST', path, body };
}

function accountId(number: number): string {
  return `u${String(number).padStart(4, '0')}`;
}
