/**
 * `npm run bench -- geo [LOOKUPS]`: our look-ups beside those of other packages, on the same addresses, in one run.
 *
 * The readers of qqwry.dat take turns in this process (median of 5 rounds), since a ratio only means something when both
 * sides met the same machine. The others run in processes of their own, so that their memory can be told.
 * Exit 1 when one of our paths is not 5 times as fast as lib-qqwry's fast mode.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { systemClock } from '../engine/telemetry/clock.ts';
import { Address, formatIpv4 } from '../plugins/enrich/geo/address.ts';
import { Chain } from '../plugins/enrich/geo/chain.ts';
import { openDefault } from '../plugins/enrich/geo/default-data.ts';
import { Enricher, FIELD_NAMES } from '../plugins/enrich/geo/enricher.ts';
import { openBytes } from '../plugins/enrich/geo/open.ts';
import { QqwryReader } from '../plugins/enrich/geo/qqwry.ts';
import { specialV4 } from '../plugins/enrich/geo/special.ts';

const require = createRequire(import.meta.url);
const ROUNDS = 5;
/** `--smoke`: enough for the ratios to mean something, in seconds. */
const SMOKE_LOOKUPS = 50_000;
const RATIO_MIN = 5;
const ZIPF_ADDRESSES = 10_000;

interface Sample {
  readonly texts: readonly string[];
  readonly bytes: Buffer;
  /** Where each address starts; one more than there are addresses. They are parted by a blank. */
  readonly starts: Uint32Array;
}
type Contender = (sample: Sample) => number;

/** Peers that run in a process of their own: module, and how it is asked. */
const PEERS: Readonly<Record<string, () => (text: string) => unknown>> = {
  'geoip-lite': () => {
    const geoip = require('geoip-lite') as { lookup(ip: string): unknown };
    return (text) => geoip.lookup(text);
  },
  ip2region: () => {
    const { default: IP2Region } = require('ip2region') as { default: new () => { search(ip: string): unknown } };
    const reader = new IP2Region();
    return (text) => reader.search(text);
  },
  'lib-qqwry, fast mode': () => libQqwry(),
  'millrace, default data': () => {
    const database = openDefault({ dataDir: process.env['BENCH_DATA'], clock: systemClock });
    const address = new Address();
    return (text) => (address.parse(text) ? database.lookup(address) : undefined);
  },
  'millrace, qqwry.dat': () => {
    const reader = openReader();
    return (text) => reader.findText(text);
  },
};

const [first = '', ...rest] = process.argv.slice(2);
if (first === '--peer') peer(rest[0] ?? '', Number(rest[1]));
else compare(first === '--smoke' ? SMOKE_LOOKUPS : Number(first === '' ? 200_000 : first));

function compare(count: number): void {
  const reader = openReader();
  const lib = libQqwry();
  const enricher = new Enricher(new Chain([openBytes(readFileSync(qqwryPath()), qqwryPath())]), {
    style: 'ecs',
    language: 'en',
    policy: 'iso',
    fields: FIELD_NAMES,
    target: ['source', 'geo'],
    asTarget: ['source', 'as'],
    classTarget: undefined,
  });
  const address = new Address();
  const contenders: Readonly<Record<string, Contender>> = {
    'lib-qqwry, fast mode: text to object': ({ texts }) => {
      let found = 0;
      for (const text of texts) if (lib(text) !== undefined) found++;
      return found;
    },
    'millrace: text to object': ({ texts }) => {
      let found = 0;
      for (const text of texts) if (reader.findText(text) !== undefined) found++;
      return found;
    },
    'millrace: bytes to object': ({ bytes, starts }) => {
      let found = 0;
      for (let i = 0; i + 1 < starts.length; i++)
        if (reader.findBytes(bytes, starts[i]!, starts[i + 1]! - 1) !== undefined) found++;
      return found;
    },
    'millrace: bytes to encoded fields': ({ bytes, starts }) => {
      let found = 0;
      for (let i = 0; i + 1 < starts.length; i++) {
        if (address.parseBytes(bytes, starts[i]!, starts[i + 1]! - 1) && enricher.answer(address).outcome === 'hit') found++;
      }
      return found;
    },
  };
  const samples = { uniform: uniform(count), 'Zipf 10,000': zipf(count) };
  const ratios = Object.entries(samples).flatMap(([name, sample]) => race(`${name}, ${count} look-ups`, contenders, sample));
  peers(count);
  const worst = Math.min(...ratios);
  console.log(`\nsmallest ratio of lib-qqwry's fast mode to one of ours: ${worst.toFixed(1)} (at least ${RATIO_MIN} wanted)`);
  if (worst < RATIO_MIN) process.exitCode = 1;
}

/** @returns how many times as long as each of ours lib-qqwry took, in the middle of the rounds */
function race(title: string, contenders: Readonly<Record<string, Contender>>, sample: Sample): number[] {
  const names = Object.keys(contenders);
  const times = new Map<string, number[]>(names.map((name) => [name, []]));
  // One round to warm up, then in turns: what else runs on the machine hits all of them alike.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const name of names) {
      const start = process.hrtime.bigint();
      const found = contenders[name]!(sample);
      const ns = Number(process.hrtime.bigint() - start) / sample.texts.length;
      if (found === 0) throw new Error(`${name} found nothing`);
      if (round > 0) times.get(name)!.push(ns);
    }
  }
  const peerNs = median(times.get(names[0]!)!);
  console.log(`\n${title}`);
  console.log(`${'reader of qqwry.dat'.padEnd(40)} ns/look-up  times as fast`);
  for (const name of names) {
    const ns = median(times.get(name)!);
    console.log(`${name.padEnd(40)} ${ns.toFixed(0).padStart(10)}  ${(peerNs / ns).toFixed(1).padStart(13)}`);
  }
  return names.slice(1).map((name) => peerNs / median(times.get(name)!));
}

function peers(count: number): void {
  const folder = mkdtempSync(join(tmpdir(), 'bench-geo-'));
  try {
    const run = (name: string): string =>
      execFileSync(process.execPath, ['--expose-gc', import.meta.filename, '--peer', name, String(count)], {
        encoding: 'utf8',
        env: { ...process.env, BENCH_DATA: folder },
      });
    // The packaged data are compacted at the first use; what counts is every later one.
    run('millrace, default data');
    console.log(`\nin processes of their own, uniform, ${count} look-ups`);
    console.log(`${'reader'.padEnd(40)} ns/look-up    load ms  memory MB`);
    for (const name of Object.keys(PEERS)) process.stdout.write(run(name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** One line about one reader: nanoseconds, milliseconds until the first answer, growth of the resident set. */
function peer(name: string, count: number): void {
  const { texts } = uniform(count);
  globalThis.gc?.();
  const before = process.memoryUsage.rss();
  const start = performance.now();
  const lookUp = PEERS[name]!();
  lookUp('114.114.114.114');
  const loadMs = performance.now() - start;
  globalThis.gc?.();
  const megabytes = (process.memoryUsage.rss() - before) / 2 ** 20;
  const rounds = Array.from({ length: ROUNDS }, () => {
    const begin = process.hrtime.bigint();
    for (const text of texts) lookUp(text);
    return Number(process.hrtime.bigint() - begin) / texts.length;
  });
  console.log(
    `${name.padEnd(40)} ${median(rounds).toFixed(0).padStart(10)} ${loadMs.toFixed(0).padStart(10)} ${megabytes.toFixed(0).padStart(10)}`,
  );
}

function openReader(): QqwryReader {
  const path = qqwryPath();
  return new QqwryReader(readFileSync(path), path);
}

function libQqwry(): (text: string) => unknown {
  const create = require('lib-qqwry') as (fast: boolean) => { searchIP(ip: string): unknown };
  const reader = create(true);
  return (text) => reader.searchIP(text);
}

function qqwryPath(): string {
  return join(dirname(require.resolve('lib-qqwry/package.json')), 'data', 'qqwry.dat');
}

/** Public addresses, each as likely as any other; the same ones in every run. */
function uniform(count: number): Sample {
  const next = random(1);
  return sampleOf(Array.from({ length: count }, () => publicAddress(next)));
}

/** Addresses of which the n-th is asked for 1/n as often as the first: what access logs look like. */
function zipf(count: number): Sample {
  const next = random(2);
  const known = Array.from({ length: ZIPF_ADDRESSES }, () => publicAddress(next));
  const sums: number[] = [];
  let sum = 0;
  for (let n = 1; n <= ZIPF_ADDRESSES; n++) sums.push((sum += 1 / n));
  const pick = (): string => {
    const wanted = (next() / 2 ** 32) * sum;
    let from = 0;
    let to = ZIPF_ADDRESSES - 1;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (sums[middle]! < wanted) from = middle + 1;
      else to = middle;
    }
    return known[from]!;
  };
  return sampleOf(Array.from({ length: count }, pick));
}

function publicAddress(next: () => number): string {
  for (;;) {
    const v4 = next();
    if (specialV4(v4) === undefined) return formatIpv4(v4);
  }
}

function sampleOf(texts: readonly string[]): Sample {
  const bytes = Buffer.from(`${texts.join(' ')} `, 'latin1');
  const starts = new Uint32Array(texts.length + 1);
  let at = 0;
  for (const [index, text] of texts.entries()) {
    starts[index] = at;
    at += text.length + 1;
  }
  starts[texts.length] = at;
  return { texts, bytes, starts };
}

/** xorshift32: the same numbers in every run. */
function random(seed: number): () => number {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;
}
