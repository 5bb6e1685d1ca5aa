import { resolve } from 'node:path';
import { EXIT } from '../../engine/errors.ts';
import { systemClock } from '../../engine/telemetry/clock.ts';
import { dataDirOf } from '../data-dir.ts';
import { checkDatabase, lookupAddresses, renderCheck, renderLookups } from '../geo.ts';
import type { Streams } from '../output.ts';

export interface GeoLookupOptions {
  readonly database?: string;
  readonly data?: string;
  readonly language: 'zh' | 'en';
  readonly json?: boolean;
}

/** @returns 1 when something is no address */
export async function geoLookup(addresses: readonly string[], options: GeoLookupOptions, { out }: Streams): Promise<number> {
  const lookups = await lookupAddresses(addresses, {
    language: options.language,
    clock: systemClock,
    dataDir: options.data === undefined ? dataDirOf(undefined) : resolve(options.data),
    ...(options.database === undefined ? {} : { database: resolve(options.database) }),
  });
  out(
    options.json === true
      ? `${JSON.stringify({ schema: 'millrace/geo-lookup@1', lookups }, undefined, 2)}\n`
      : renderLookups(lookups),
  );
  return lookups.every(({ kind }) => kind !== 'malformed') ? EXIT.ok : EXIT.no;
}

export async function geoCheck(file: string, options: { readonly json?: boolean }, { out, err }: Streams): Promise<number> {
  const check = await checkDatabase(file);
  if (options.json === true) out(`${JSON.stringify({ schema: 'millrace/geo-check@1', ...check }, undefined, 2)}\n`);
  else if (check.ok) out(renderCheck(check));
  else err(renderCheck(check));
  return check.exit;
}
