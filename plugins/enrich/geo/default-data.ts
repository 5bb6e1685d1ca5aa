/**
 * The data that are there without any set-up: compacted out of the npm packages ip2region and geoip-lite at first use, kept in
 * the data directory, and made anew when a package changes.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Clock, Log } from '../../../engine/component.ts';
import { MillraceError, messageOf } from '../../../engine/errors.ts';
import { CompactDatabase, encodeCompact } from './compact.ts';
import { joinV4, joinV6, ORIGINS, PlaceTable } from './default-join.ts';
import type { World } from './default-join.ts';
import { GeoipLitePlaces, V4_ROW_BYTES } from './geoip-lite-data.ts';
import { Ip2regionDb } from './ip2region-db.ts';
import { ZxIpv6 } from './zx-ipv6.ts';

/** Rises when the join or the table of Chinese places changes what a file would hold. */
const JOIN_VERSION = 1;
/** A temporary file older than this was left behind by a process that died. */
const LEFT_BEHIND_MS = 3_600_000;
const FOLDER = 'geo';

export const CREDITS: readonly string[] = [
  'This product includes GeoLite2 data created by MaxMind, available from https://www.maxmind.com (CC BY-SA 4.0, by way of geoip-lite)',
  'IP data of China by ip2region, https://github.com/lionsoul2014/ip2region (Apache-2.0)',
  'IPv6 data of China by ZX, https://ip.zxinc.org (by way of ip2region)',
];

/** Folders with the data files of the two packages; undefined where a package is not installed. */
export interface Sources {
  readonly ip2region: string | undefined;
  readonly geoipLite: string | undefined;
}

export interface DefaultOptions {
  /** Where the compacted file is kept, in its folder `geo`; undefined: in the user's cache directory. */
  readonly dataDir: string | undefined;
  readonly clock: Pick<Clock, 'now'>;
  readonly log?: Pick<Log, 'info' | 'warn'> | undefined;
  /** For tests: other folders than those of the installed packages; without `dataDir` nothing of them is kept. */
  readonly sources?: Sources;
}

/**
 * Opens the compacted data, and makes them when they are missing, damaged or older than the packages. Synchronous: making
 * them takes a few seconds once. Two processes may do so at the same time: each writes a file of its own and renames it.
 *
 * @throws MillraceError MR_GEO_DATABASE when neither package is there, or their data are damaged
 */
export function openDefault(options: DefaultOptions): CompactDatabase {
  const { clock, log, sources = installedSources() } = options;
  const fingerprint = fingerprintOf(sources);
  if (fingerprint === undefined) {
    throw new MillraceError(
      'MR_GEO_DATABASE',
      'there are no IP data: neither of the packages ip2region and geoip-lite is installed (npm install without --omit=optional brings both, or name a file with `database`)',
    );
  }
  const path = pathOf(options, fingerprint);
  const kept = path === undefined ? undefined : openKept(path, fingerprint, log);
  if (kept) return kept;
  const startMs = clock.now();
  const bytes = compactSources(sources, fingerprint);
  const database = new CompactDatabase(bytes, path ?? describe(sources));
  if (path !== undefined) keep(path, bytes, clock.now(), log);
  log?.info({ ms: clock.now() - startMs, bytes: bytes.length, path: database.path }, 'compacted the IP data of the packages');
  return database;
}

/**
 * Where the data will be kept, when they are not there yet and can be made.
 *
 * @returns undefined when they are there, when there is no place for them, or nothing to make them from
 */
export function missingDefault(options: DefaultOptions): string | undefined {
  const fingerprint = fingerprintOf(options.sources ?? installedSources());
  const path = fingerprint === undefined ? undefined : pathOf(options, fingerprint);
  return path === undefined || sizeOf(path) > 0 ? undefined : path;
}

function pathOf({ dataDir, sources }: DefaultOptions, fingerprint: string): string | undefined {
  const home = dataDir ?? (sources === undefined ? cacheDirOf(process.env) : undefined);
  if (home === undefined) return undefined;
  return join(home, FOLDER, `default-${crc32(fingerprint).toString(16).padStart(8, '0')}.bin`);
}

/**
 * For what runs without a data directory (one-liners, `millrace test`), so that it does not wait for seconds each time.
 *
 * @see https://specifications.freedesktop.org/basedir-spec/latest/
 */
export function cacheDirOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { XDG_CACHE_HOME: cache, HOME: home } = env;
  if (cache?.startsWith('/') === true) return join(cache, 'millrace');
  return home?.startsWith('/') === true ? join(home, '.cache', 'millrace') : undefined;
}

export function installedSources(): Sources {
  return {
    ip2region: packageData('ip2region', ['ip2region.db']),
    geoipLite: packageData('geoip-lite', ['geoip-city.dat', 'geoip-city-names.dat']),
  };
}

/** @throws MillraceError MR_GEO_DATABASE */
export function compactSources(sources: Sources, fingerprint: string): Buffer {
  const { ip2region, geoipLite } = sources;
  const world: World | undefined =
    geoipLite === undefined
      ? undefined
      : { directory: geoipLite, places: placesOf(geoipLite), rows: sizeOf(join(geoipLite, 'geoip-city.dat')) / V4_ROW_BYTES };
  const table = new PlaceTable(world?.places);
  const db = ip2region === undefined ? undefined : join(ip2region, 'ip2region.db');
  const v4 = joinV4(table, db === undefined ? undefined : new Ip2regionDb(read(db), db), world);
  const zx = ip2region === undefined ? undefined : join(ip2region, 'ipv6wry.db');
  const hasV6 = geoipLite !== undefined && sizeOf(join(geoipLite, 'geoip-city6.dat')) > 0;
  const v6 = joinV6(table, zx !== undefined && sizeOf(zx) > 0 ? new ZxIpv6(read(zx), zx) : undefined, hasV6 ? world : undefined);
  return encodeCompact({
    fingerprint,
    version: describe(sources),
    credits: CREDITS,
    origins: ORIGINS,
    v4,
    v6,
    places: table.finish(),
  });
}

function placesOf(directory: string): GeoipLitePlaces {
  const path = join(directory, 'geoip-city-names.dat');
  return new GeoipLitePlaces(read(path), path);
}

/** Versions and sizes of everything that goes in: a changed package gives another text. */
function fingerprintOf(sources: Sources): string | undefined {
  const parts = [
    [sources.ip2region, 'ip2region.db'],
    [sources.ip2region, 'ipv6wry.db'],
    [sources.geoipLite, 'geoip-city.dat'],
    [sources.geoipLite, 'geoip-city6.dat'],
    [sources.geoipLite, 'geoip-city-names.dat'],
  ] as const;
  const sizes = parts.map(([directory, name]) => (directory === undefined ? '' : `${name}:${sizeOf(join(directory, name))}`));
  return sizes.some((size) => size !== '') ? `join ${JOIN_VERSION} ${describe(sources)} ${sizes.join(' ')}` : undefined;
}

function describe({ ip2region, geoipLite }: Sources): string {
  const named = [
    ['ip2region', ip2region],
    ['geoip-lite', geoipLite],
  ] as const;
  return named
    .flatMap(([name, directory]) => (directory === undefined ? [] : [`${name} ${versionOf(directory)}`.trim()]))
    .join(' + ');
}

function versionOf(directory: string): string {
  try {
    const { version } = JSON.parse(readFileSync(join(directory, '..', 'package.json'), 'utf8')) as { version?: unknown };
    return typeof version === 'string' ? version : '';
  } catch {
    // A folder that is no package's (a test's): the sizes of the files must do.
    return '';
  }
}

function packageData(name: string, needed: readonly string[]): string | undefined {
  let directory: string;
  try {
    directory = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'data');
  } catch {
    // Not installed, which an optional dependency is allowed to be.
    return undefined;
  }
  return needed.every((file) => sizeOf(join(directory, file)) > 0) ? directory : undefined;
}

function openKept(path: string, fingerprint: string, log: DefaultOptions['log']): CompactDatabase | undefined {
  if (sizeOf(path) === 0) return undefined;
  try {
    const database = new CompactDatabase(readFileSync(path), path);
    return database.fingerprint === fingerprint ? database : undefined;
  } catch (error) {
    log?.warn({ path, error: messageOf(error) }, 'the compacted IP data cannot be used, making them anew');
    return undefined;
  }
}

/** Without a place on the disk the data work from memory all the same, so a failure is only a warning. */
function keep(path: string, bytes: Buffer, nowMs: number, log: DefaultOptions['log']): void {
  const folder = dirname(path);
  const temporary = `${path}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`;
  try {
    mkdirSync(folder, { recursive: true });
    const file = openSync(temporary, 'wx', 0o644);
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
    removeOthers(folder, path, nowMs);
  } catch (error) {
    if (sizeOf(temporary) > 0) rmSync(temporary, { force: true });
    log?.warn(
      { path, error: messageOf(error) },
      'the compacted IP data cannot be kept, they will be made anew at the next start',
    );
  }
}

function removeOthers(folder: string, path: string, nowMs: number): void {
  for (const name of readdirSync(folder)) {
    const other = join(folder, name);
    if (other === path || !/^default-[0-9a-f]{8}\.bin(?:\..*\.tmp)?$/.test(name)) continue;
    // The temporary file of another process that is making the same data right now stays.
    if (name.endsWith('.tmp') && nowMs - (statSync(other, { throwIfNoEntry: false })?.mtimeMs ?? 0) < LEFT_BEHIND_MS) continue;
    rmSync(other, { force: true });
  }
}

/** 0 also for what is not there, or lies below a file instead of a directory. */
function sizeOf(path: string): number {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  } catch {
    // Whoever wants to read the file will hear why it cannot be.
    return 0;
  }
}

function read(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new MillraceError('MR_GEO_DATABASE', `cannot read ${path}`, { cause: error });
  }
}
