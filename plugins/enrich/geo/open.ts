/** Opens an IP database of any format that is read here; the format is told by the bytes, not by the name. */
import { readFile, stat } from 'node:fs/promises';
import { MillraceError } from '../../../engine/errors.ts';
import type { Address } from './address.ts';
import { CompactDatabase, looksLikeCompact } from './compact.ts';
import type { GeoDatabase } from './database.ts';
import { Ip2regionDb, looksLikeIp2regionDb } from './ip2region-db.ts';
import { Ip2regionXdb, looksLikeIp2regionXdb } from './ip2region-xdb.ts';
import { looksLikeMmdb, MmdbDatabase } from './mmdb.ts';
import type { Place } from './place.ts';
import { looksLikeQqwry, QqwryReader, withoutMarker, type QqwryRecord } from './qqwry.ts';
import { placeFromTexts } from './texts.ts';
import { looksLikeZxIpv6, ZxIpv6 } from './zx-ipv6.ts';

/** The whole file is held in memory; the largest known database (DB-IP city, both families) has 150 MB. */
const FILE_BYTES_MAX = 2 ** 30;

/** What is often found in the place of a database, by its first bytes. */
const STRANGERS: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/^\s*<(?:!doctype|html|\?xml)/i, 'a web page: the download has failed'],
  [/^version https:\/\/git-lfs/, 'a Git LFS pointer: the file itself was not fetched'],
  [/^\x1f\x8b/, 'gzip: unpack it first'],
  [/^PK\x03\x04/, 'a zip archive: unpack it first'],
  [/^(?:\xfd7zXZ|BZh|7z\xbc\xaf)/, 'an archive: unpack it first'],
  [/^CZIP/, 'the CZ88 update container: it holds no data, only their key'],
  [/^[\s\S]{4}\{"build"/, 'an .ipdb file, which is not read yet'],
];

/**
 * @throws MillraceError MR_NO_INPUT when the file cannot be read, MR_GEO_DATABASE when it is no database or damaged
 */
export async function openDatabase(path: string): Promise<GeoDatabase> {
  return openBytes(await readDatabase(path), path);
}

export async function readDatabase(path: string): Promise<Buffer> {
  try {
    const { size } = await stat(path);
    if (size > FILE_BYTES_MAX) throw new MillraceError('MR_GEO_DATABASE', `${path} is too large: ${size} bytes`);
    return await readFile(path);
  } catch (error) {
    if (error instanceof MillraceError) throw error;
    throw new MillraceError('MR_NO_INPUT', `cannot read the IP database ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** @throws MillraceError MR_GEO_DATABASE */
export function openBytes(bytes: Buffer, path: string): GeoDatabase {
  if (bytes.length === 0) throw new MillraceError('MR_GEO_DATABASE', `${path} is empty`);
  if (looksLikeCompact(bytes)) return new CompactDatabase(bytes, path);
  if (looksLikeMmdb(bytes)) return new MmdbDatabase(bytes, path);
  if (looksLikeZxIpv6(bytes)) return new ZxIpv6(bytes, path);
  if (looksLikeIp2regionXdb(bytes)) return new Ip2regionXdb(bytes, path);
  const head = bytes.toString('latin1', 0, 256);
  const stranger = STRANGERS.find(([pattern]) => pattern.test(head));
  if (stranger) throw new MillraceError('MR_GEO_DATABASE', `${path} is no IP database but ${stranger[1]}`);
  // Both formats begin with two offsets; only one of them can hold its checks, but a damaged file may pass for the other.
  const couldBeIp2region = looksLikeIp2regionDb(bytes);
  if (couldBeIp2region && (!looksLikeQqwry(bytes) || !path.endsWith('.dat'))) return new Ip2regionDb(bytes, path);
  return new QqwryDatabase(bytes, path);
}

/** qqwry.dat with its texts read as places. */
export class QqwryDatabase implements GeoDatabase {
  readonly format = 'qqwry';
  readonly path: string;
  readonly version: string;
  readonly records: number;
  readonly hasIpv6 = false;
  readonly credits = ['IP data by CZ88, https://www.cz88.net'];
  readonly reader: QqwryReader;
  readonly keys: number;
  // One per pair of texts: 163,000 in a file of half a million ranges.
  readonly #places = new Map<QqwryRecord, Place | null>();

  constructor(bytes: Buffer, path: string) {
    this.reader = new QqwryReader(bytes, path);
    this.path = path;
    this.version = this.reader.version;
    this.records = this.reader.records;
    this.keys = this.reader.ranges;
  }

  lookup(address: Address): Place | undefined {
    if (address.family !== 4) return undefined;
    const record = this.reader.find(address.v4);
    if (record === undefined) return undefined;
    let place = this.#places.get(record);
    if (place === undefined) {
      place = placeFromTexts(withoutMarker(record.country), withoutMarker(record.area)) ?? null;
      this.#places.set(record, place);
    }
    return place ?? undefined;
  }

  keyOf(address: Address): number {
    return address.family === 4 ? this.reader.rangeOf(address.v4) : -1;
  }
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'it is a directory';
  return error instanceof Error ? error.message : String(error);
}
