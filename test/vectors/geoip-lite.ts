/** `geoip-lite.json`: what geoip-lite answers, by our reader of its files. */
import { dirname } from 'node:path';
import { Address } from '../../plugins/enrich/geo/address.ts';
import { GeoipLiteReader } from '../../plugins/enrich/geo/geoip-lite-data.ts';
import { specialRange } from '../../plugins/enrich/geo/special.ts';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';
import { compared } from './compare.ts';
import { packageFile } from './geo-data.ts';

interface Case {
  readonly ip: string;
  readonly result: unknown;
}
interface GeoipLite {
  readonly dataset: { readonly package: string; readonly sha256: readonly string[] };
  readonly onlyLib: { readonly cases: readonly Case[] };
  readonly cases: readonly Case[];
}

export const adapter: VectorAdapter = {
  *run(file: VectorFile): Iterable<CaseResult> {
    const { dataset, cases, onlyLib } = file.json as unknown as GeoipLite;
    const data = packageFile(dataset.package, 'data/geoip-city.dat', dataset.sha256[0]);
    const names = packageFile(dataset.package, 'data/geoip-city-names.dat', dataset.sha256[1]);
    if (typeof data === 'string') {
      yield { id: 'dataset', skipped: data };
      return;
    }
    if (typeof names === 'string') {
      yield { id: 'dataset', skipped: names };
      return;
    }
    const reader = new GeoipLiteReader(dirname(data.path));
    const address = new Address();
    for (const { ip, result } of [...cases, ...onlyLib.cases]) {
      const isPublic = address.parse(ip) && specialRange(address) === undefined;
      yield compared(ip, isPublic ? reader.lookup(address) : null, result);
    }
  },
};
