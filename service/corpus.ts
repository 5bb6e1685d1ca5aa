import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { REGIONS, pickAddress, pickHome } from './traffic/addresses.ts';
import { AGENTS, ROBOTS } from './traffic/agents.ts';
import { makeRandom, type Random } from './traffic/random.ts';
import { dailyFactor } from './traffic/rhythm.ts';

export interface CorpusOptions {
  /** Up to ten million. */
  readonly lines: number;
  readonly seed: number;
  /** Default 2; the lines are spread over them as the day goes. */
  readonly days?: number;
  /** Midnight in China on the first day, in milliseconds since 1970; default 3 March 2025. */
  readonly start?: number;
}

/** What a reader of the corpus must find. */
export interface CorpusFigures {
  readonly lines: number;
  readonly distinctAddresses: number;
  readonly byStatus: Readonly<Record<string, number>>;
  /** `-` is a connection on which nothing was asked. */
  readonly byMethod: Readonly<Record<string, number>>;
  /** Sum of the sizes; lines with `-` for the size add nothing. */
  readonly bytes: number;
  readonly withoutSize: number;
  /** Time of the first and last line, milliseconds since 1970. */
  readonly first: number;
  readonly last: number;
}

/** One line before it is written. */
interface Entry {
  readonly address: string;
  readonly user: string;
  readonly time: number;
  readonly method: string;
  /** As Apache writes it: quotes, backslashes and bytes that are no visible ASCII are escaped. */
  readonly request: string;
  readonly status: number;
  readonly size: number | undefined;
  readonly referer: string;
  readonly agent: string;
}

export const DEFAULT_START = Date.UTC(2025, 2, 2, 16);
const LINES_MAX = 10_000_000;

/**
 * An access log in Apache's combined format, the same for the same options on every machine, times rising, no line feed at the end of a line.
 * Addresses, browsers and the course of the day are those of the visitors.
 *
 * @returns the figures of the whole corpus, as the generator's return value
 * @see https://httpd.apache.org/docs/2.4/logs.html#combined
 */
export function* corpusLines(options: CorpusOptions): Generator<string, CorpusFigures> {
  const addresses = new Set<string>();
  const byStatus: Record<string, number> = {};
  const byMethod: Record<string, number> = {};
  let bytes = 0;
  let withoutSize = 0;
  let lines = 0;
  let first = 0;
  let last = 0;
  for (const entry of entries(options)) {
    addresses.add(entry.address);
    byStatus[entry.status] = (byStatus[entry.status] ?? 0) + 1;
    byMethod[entry.method] = (byMethod[entry.method] ?? 0) + 1;
    if (entry.size === undefined) withoutSize += 1;
    else bytes += entry.size;
    if (lines === 0) first = entry.time;
    last = entry.time;
    lines += 1;
    yield writeLine(entry);
  }
  return { lines, distinctAddresses: addresses.size, byStatus, byMethod, bytes, withoutSize, first, last };
}

/** The figures without the lines. */
export function corpusFigures(options: CorpusOptions): CorpusFigures {
  const lines = corpusLines(options);
  for (;;) {
    const next = lines.next();
    if (next.done === true) return next.value;
  }
}

function* entries({ lines, seed, days = 2, start = DEFAULT_START }: CorpusOptions): Generator<Entry> {
  if (!Number.isInteger(lines) || lines < 0 || lines > LINES_MAX)
    throw new RangeError(`lines is a number up to ${LINES_MAX}, not ${lines}`);
  const random = makeRandom(seed);
  const guests = Math.max(1, Math.ceil(lines * 0.22));
  const moments = spread(lines, days, start);
  for (let line = 0; line < lines; line += 1) {
    // The square makes regulars: a tenth of the visitors makes a third of the visits.
    const visitor = Math.floor(guests * random.next() ** 2);
    const time = moments.next().value;
    const odd = random.next();
    if (odd < 0.004) yield oddEntry(time, visitor, seed, random);
    else if (odd < 0.03) yield robotEntry(time, random);
    else yield visitEntry(time, visitor, seed, random);
  }
}

/** Moments in seconds that fall as densely as the day is busy: each line is due when its share of the days' visits has passed. */
function* spread(lines: number, days: number, start: number): Generator<number, number> {
  const minutes = days * 1440;
  let minute = 0;
  let passed = 0;
  const weight = (at: number): number => dailyFactor((at / 60) % 24);
  for (let line = 0; line < lines; line += 1) {
    const due = ((line + 0.5) / lines) * minutes;
    while (minute < minutes - 1 && passed + weight(minute) < due) {
      passed += weight(minute);
      minute += 1;
    }
    const within = Math.min(1, Math.max(0, (due - passed) / weight(minute)));
    yield start + Math.floor((minute + within) * 60) * 1000;
  }
  return start;
}

/** Someone keeps his address and browser over the whole corpus. */
function person(visitor: number, seed: number): { address: string; agent: string; user: string } {
  const home = makeRandom(seed, visitor + 1);
  const region = home.weighted(REGIONS);
  const address = pickHome(home, region);
  const agent = home.weighted(AGENTS).name;
  return { address, agent, user: home.chance(0.02) ? `u${String(1 + home.below(200)).padStart(4, '0')}` : '-' };
}

interface Page {
  readonly weight: number;
  readonly path: string;
  readonly method?: 'GET' | 'POST' | 'HEAD' | 'OPTIONS';
  /** Typical size of the answer in bytes. */
  readonly size: number;
  readonly cached?: true;
}

const SITE = 'https://pay.example.cn';
const PAGES: readonly Page[] = [
  { weight: 14, path: '/', size: 18_432 },
  { weight: 9, path: '/products', size: 2_210 },
  { weight: 6, path: `/products?q=${encodeURIComponent('基金')}`, size: 840 },
  { weight: 4, path: `/products?q=${encodeURIComponent('定期理财')}&page=2`, size: 912 },
  // The same word in GBK, from an old browser.
  { weight: 1, path: '/products?q=%BB%F9%BD%F0', size: 26 },
  { weight: 5, path: '/products/gold-01', size: 96 },
  { weight: 5, path: '/products/index-300', size: 104 },
  { weight: 4, path: `/help/${encodeURIComponent('常见问题')}.html`, size: 7_300 },
  { weight: 2, path: `/help/${encodeURIComponent('费率说明')}.html?from=weixin`, size: 5_150 },
  { weight: 12, path: '/static/app.3f9c2b.js', size: 148_213, cached: true },
  { weight: 9, path: '/static/app.3f9c2b.css', size: 24_870, cached: true },
  { weight: 5, path: `/static/${encodeURIComponent('图')}/logo.png`, size: 9_114, cached: true },
  { weight: 3, path: '/favicon.ico', size: 1_150, cached: true },
  { weight: 5, path: '/login', method: 'POST', size: 92 },
  { weight: 4, path: '/orders', method: 'POST', size: 141 },
  { weight: 4, path: '/payments', method: 'POST', size: 110 },
  { weight: 3, path: '/orders?limit=20', size: 2_480 },
  { weight: 3, path: '/accounts/u0042', size: 130 },
  { weight: 1, path: '/statement.pdf', size: 412_009 },
  { weight: 1, path: '/health', method: 'HEAD', size: 0 },
  { weight: 0.5, path: '/payments', method: 'OPTIONS', size: 0 },
  { weight: 0.6, path: '/old/index.php', size: 236 },
];

function visitEntry(time: number, visitor: number, seed: number, random: Random): Entry {
  const { address, agent, user } = person(visitor, seed);
  const page = random.weighted(PAGES);
  const method = page.method ?? 'GET';
  const { status, size } = answer(page, method, random);
  const referer = random.chance(0.35)
    ? '-'
    : random.pick([`${SITE}/`, `${SITE}/products`, 'https://www.baidu.com/link?url=Kx9', 'https://servicewechat.com/']);
  const version = random.chance(0.05) ? 'HTTP/1.0' : 'HTTP/1.1';
  return { address, user, time, method, request: `${method} ${page.path} ${version}`, status, size, referer, agent };
}

function answer(page: Page, method: string, random: Random): { status: number; size: number | undefined } {
  const luck = random.next();
  if (page.path.startsWith('/old/')) return { status: 301, size: page.size };
  if (luck < 0.004) return { status: random.pick([500, 502, 502, 504]), size: 563 };
  if (method === 'POST') {
    if (luck < 0.05) return { status: page.path === '/login' ? 401 : 402, size: 74 };
    if (luck < 0.06) return { status: random.pick([400, 409, 422]), size: 88 };
    return { status: page.path === '/login' ? 200 : 201, size: page.size };
  }
  if (page.cached === true && luck < 0.3) return { status: 304, size: undefined };
  if (page.path === '/statement.pdf' && luck < 0.4)
    return luck < 0.02 ? { status: 416, size: 190 } : { status: 206, size: 65_536 };
  if (page.path.startsWith('/accounts/') && luck < 0.2) return { status: 403, size: 64 };
  if (page.size === 0) return { status: method === 'OPTIONS' ? 204 : 200, size: undefined };
  return { status: 200, size: Math.round(page.size * (0.9 + 0.2 * random.next())) };
}

const PROBES = [
  '/wp-login.php',
  '/.env',
  '/phpmyadmin/index.php',
  '/robots.txt',
  '/index.php?id=1%27%20OR%201=1',
  '/cgi-bin/../../etc/passwd',
];

function robotEntry(time: number, random: Random): Entry {
  const address = pickAddress(random, random.weighted(REGIONS));
  const path = random.pick(PROBES);
  const status = path === '/robots.txt' ? 200 : path.includes('..') ? 400 : 404;
  const size = status === 200 ? 112 : 196;
  return {
    address,
    user: '-',
    time,
    method: 'GET',
    request: `GET ${path} HTTP/1.1`,
    status,
    size,
    referer: '-',
    agent: random.weighted(ROBOTS).name,
  };
}

/** What real logs hold and parsers stumble over. */
function oddEntry(time: number, visitor: number, seed: number, random: Random): Entry {
  const { address, agent } = person(visitor, seed);
  const plain = {
    address,
    user: '-',
    time,
    method: 'GET',
    request: 'GET / HTTP/1.1',
    status: 200,
    size: 18_432,
    referer: '-',
    agent,
  };
  return random.pick<Entry>([
    // Nothing was sent before the time limit.
    { ...plain, method: '-', request: '-', status: 408, size: undefined, agent: '-' },
    // TLS spoken to a port without it.
    { ...plain, method: '\\x16\\x03\\x01\\x02', request: '\\x16\\x03\\x01\\x02', status: 400, size: 484, agent: '-' },
    { ...plain, agent: 'curl/8.5.0 \\"测试\\"'.replace('测试', escapeBytes('测试')) },
    { ...plain, agent: 'Mozilla/5.0 (compatible; C:\\\\Windows\\\\Temp)' },
    { ...plain, agent: '' },
    { ...plain, referer: `${SITE}/?say=\\"${escapeBytes('你好')}\\"` },
    { ...plain, request: 'GET /products?q=[a]&b={1}|2 HTTP/1.1', size: 26 },
    { ...plain, request: 'GET /', method: 'GET' },
  ]);
}

function escapeBytes(text: string): string {
  return [...Buffer.from(text)].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('');
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

function writeLine({ address, user, time, request, status, size, referer, agent }: Entry): string {
  const china = new Date(time + 8 * 3_600_000).toISOString();
  const day = `${china.slice(8, 10)}/${MONTHS[Number(china.slice(5, 7)) - 1] ?? ''}/${china.slice(0, 4)}`;
  return `${address} - ${user} [${day}:${china.slice(11, 19)} +0800] "${request}" ${status} ${size ?? '-'} "${referer}" "${agent}"`;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      lines: { type: 'string', default: '10000' },
      seed: { type: 'string', default: '1' },
      days: { type: 'string', default: '2' },
      figures: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'lines' | 'seed' | 'days'): number => {
    if (!/^\d{1,9}$/.test(values[name])) throw new Error(`--${name} needs a whole number, not ${values[name]}`);
    return Number(values[name]);
  };
  const options = { lines: number('lines'), seed: number('seed'), days: Math.max(1, number('days')) };
  if (values.figures) {
    process.stdout.write(`${JSON.stringify(corpusFigures(options))}\n`);
    return;
  }
  // A reader that has enough, such as head, closes the pipe: that is no failure.
  process.stdout.on('error', () => process.exit(0));
  let text = '';
  for (const line of corpusLines(options)) {
    text += `${line}\n`;
    if (text.length < 64 * 1024) continue;
    if (!process.stdout.write(text)) await once(process.stdout, 'drain');
    text = '';
  }
  process.stdout.write(text);
}

if (import.meta.main) {
  main().catch((error: unknown) => {
    process.stderr.write(`corpus: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}
