/** Access logs as a forward sender packs them: the same bytes for the same seed, whatever the machine. */
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { packedRequest } from '../../engine/events/forward.ts';
import { writeEventTime, writeValue } from '../../engine/events/msgpack-write.ts';

export interface Corpus {
  /** PackedForward requests of `eventsEach` events. */
  readonly frames: readonly Buffer[];
  readonly eventsEach: number;
  readonly events: number;
  readonly bytes: number;
}

const AGENTS = [
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148',
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 Chrome/123.0 Mobile Safari/537.36',
  'Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0',
  'Googlebot/2.1 (+http://www.google.com/bot.html)',
  'okhttp/4.12.0',
  'curl/8.5.0',
];
const PATHS = ['/', '/api/v1/items', '/api/v1/orders', '/static/js/app.js', '/login', '/search', '/cart/checkout', '/health'];
const CHINESE = ['商品详情页-手机数码', '用户登录成功', '搜索结果列表', '订单支付失败:余额不足', '上海市浦东新区'];
const REFERERS = ['-', 'https://www.example.com/', 'https://m.example.cn/list?cat=12'];
const CODES = [200, 200, 200, 200, 200, 204, 301, 304, 404, 500];

/** A small generator with 32 bits of state (mulberry32). */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below);
  };
}

/** 12 fields; one event in ten has Chinese text, one in 25 has characters that JSON escapes. */
function makeRecord(random: (below: number) => number, addresses: readonly string[]): Record<string, unknown> {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const hex = (digits: number): string => Array.from({ length: digits }, () => random(16).toString(16)).join('');
  const isChinese = random(10) === 0;
  const hasEscapes = random(25) === 0;
  return {
    // A few clients send most of the requests.
    remote: addresses[random(random(addresses.length) + 1)],
    host: `web-${String(random(24)).padStart(2, '0')}.bj.example.com`,
    user: random(5) === 0 ? `u${random(9999)}` : '-',
    method: random(4) === 0 ? 'POST' : 'GET',
    path: pick(PATHS) + (random(2) === 0 ? `?id=${random(1_000_000)}&sid=${hex(12)}` : ''),
    code: pick(CODES),
    size: random(60_000),
    referer: pick(REFERERS),
    agent: pick(AGENTS) + (hasEscapes ? ' "x\\y"\t' : ''),
    request_time: random(2000) / 1000,
    request_id: hex(32),
    message: isChinese ? pick(CHINESE) : 'upstream ok',
  };
}

export function makeCorpus(frames: number, eventsEach = 2000, seed = 0x1234567): Corpus {
  const random = randomOf(seed);
  const addresses = Array.from({ length: 20_000 }, () => `${1 + random(222)}.${random(256)}.${random(256)}.${1 + random(254)}`);
  let milliseconds = Date.UTC(2026, 10, 22, 12, 0, 0);
  let bytes = 0;
  const made: Buffer[] = [];
  for (let n = 0; n < frames; n++) {
    const body = new ByteWriter(eventsEach * 384);
    for (let event = 0; event < eventsEach; event++) {
      if (random(20) === 0) milliseconds++;
      body.u8(0x92);
      writeEventTime(body, Math.floor(milliseconds / 1000), (milliseconds % 1000) * 1_000_000 + random(1_000_000));
      writeValue(body, makeRecord(random, addresses));
    }
    bytes += body.length;
    const option = { count: eventsEach, chunk: `chunk-${n}`, isGzip: false };
    made.push(packedRequest('nginx.access', body.copy(), option));
  }
  return { frames: made, eventsEach, events: frames * eventsEach, bytes };
}
