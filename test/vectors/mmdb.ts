/** `mmdb.json`: records of MaxMind's test files, and files that are damaged on purpose. */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { MillraceError } from '../../engine/errors.ts';
import { Address } from '../../plugins/enrich/geo/address.ts';
import { MmdbDatabase } from '../../plugins/enrich/geo/mmdb.ts';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';
import { shown } from './compare.ts';
import { packageFile } from './geo-data.ts';

interface Mmdb {
  readonly floatTolerance: number;
  readonly cases: readonly { readonly file: string; readonly ip: string; readonly result: unknown }[];
  readonly corrupt: { readonly files: readonly { readonly file: string }[] };
}

const PROBES = ['0.0.0.0', '1.1.1.1', '128.0.0.1', '216.160.83.56', '255.255.255.255', '::1', '2001:218::1', 'ffff::'];

/** Deviation: whether such an address is found depends on the maker of a file alone; users mean the IPv4 address. */
const MAPPED = /^::ffff:\d+\.\d+\.\d+\.\d+$/i;
const MAPPED_WHY = 'an IPv4 address in IPv6 clothes is looked up as the IPv4 address, also in files that do not map it';

export const adapter: VectorAdapter = {
  *run(file: VectorFile): Iterable<CaseResult> {
    const vectors = file.json as unknown as Mmdb;
    const address = new Address();
    const opened = new Map<string, MmdbDatabase | string>();
    for (const { file: name, ip, result } of vectors.cases) {
      const id = `${name} ${ip}`;
      const database = opened.get(name) ?? open(name, dirname(file.path));
      opened.set(name, database);
      if (typeof database === 'string') {
        yield { id, skipped: database };
        continue;
      }
      const found = address.parse(ip) ? (database.raw(address) ?? null) : null;
      if (result === null && found !== null && MAPPED.test(ip)) {
        yield { id, skipped: MAPPED_WHY };
        continue;
      }
      const isSame = equal(found, result, vectors.floatTolerance);
      yield isSame ? { id } : { id, difference: `expected ${shown(result)}, got ${shown(found)}` };
    }
    for (const { file: name } of vectors.corrupt.files) yield damaged(name, readFileSync(join(dirname(file.path), name)));
  },
};

function open(name: string, folder: string): MmdbDatabase | string {
  const found = /^npm:((?:@[^/]+\/)?[^@/]+)@[^/]+\/(.+)$/.exec(name);
  if (!found) return new MmdbDatabase(readFileSync(join(folder, name)), name);
  const data = packageFile(found[1] ?? '', found[2] ?? '');
  return typeof data === 'string' ? data : new MmdbDatabase(data.bytes, data.path);
}

/** Passed when it is refused with a clear error, or opened and every look-up returns. */
function damaged(id: string, bytes: Buffer): CaseResult {
  try {
    const database = new MmdbDatabase(bytes, id);
    const address = new Address();
    for (const probe of PROBES) {
      address.parse(probe);
      database.raw(address);
      database.lookup(address);
    }
    return { id };
  } catch (error) {
    const isClear = error instanceof MillraceError && error.code === 'MR_GEO_DATABASE' && error.message.includes(id);
    return isClear ? { id } : { id, difference: `threw ${String(error)}` };
  }
}

function equal(found: unknown, want: unknown, tolerance: number): boolean {
  if (typeof found === 'number' && typeof want === 'number')
    return Math.abs(found - want) <= tolerance * Math.max(1, Math.abs(want));
  if (typeof found !== 'object' || typeof want !== 'object' || found === null || want === null) return found === want;
  const keys = Object.keys(found);
  return (
    keys.length === Object.keys(want).length &&
    keys.every(
      (key) =>
        Object.hasOwn(want, key) &&
        equal((found as Record<string, unknown>)[key], (want as Record<string, unknown>)[key], tolerance),
    )
  );
}
