/** `ip2region-xdb.json`: look-ups in the xdb file of ip2region-ts, which is not among our packages: its preinstall refuses npm. */
import { Address } from '../../plugins/enrich/geo/address.ts';
import { Ip2regionXdb } from '../../plugins/enrich/geo/ip2region-xdb.ts';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';
import { compared } from './compare.ts';
import { packageFile } from './geo-data.ts';

interface Xdb {
  readonly dataset: { readonly package: string; readonly file: string; readonly sha256: string };
  readonly cases: readonly { readonly ip: string; readonly region: string | null }[];
}

export const adapter: VectorAdapter = {
  *run(file: VectorFile): Iterable<CaseResult> {
    const { dataset, cases } = file.json as unknown as Xdb;
    const data = packageFile(dataset.package, dataset.file, dataset.sha256);
    if (typeof data === 'string') {
      yield { id: 'dataset', skipped: data };
      return;
    }
    const reader = new Ip2regionXdb(data.bytes, data.path);
    const address = new Address();
    for (const { ip, region } of cases)
      yield compared(ip, (address.parse(ip) ? reader.region(address) : undefined) ?? null, region);
  },
};
