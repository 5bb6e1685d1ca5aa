/** `ip2region-db.json`: look-ups in the version 1 file that the package ip2region carries. */
import { parseIpv4 } from '../../plugins/enrich/geo/address.ts';
import { Ip2regionDb } from '../../plugins/enrich/geo/ip2region-db.ts';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';
import { compared } from './compare.ts';
import { packageFile } from './geo-data.ts';

interface Ip2region {
  readonly dataset: { readonly package: string; readonly file: string; readonly sha256: string };
  readonly cases: readonly {
    readonly ip: string;
    readonly region: string | null;
    readonly parsed?: Readonly<Record<'country' | 'province' | 'city' | 'isp', string>>;
  }[];
}

export const adapter: VectorAdapter = {
  *run(file: VectorFile): Iterable<CaseResult> {
    const { dataset, cases } = file.json as unknown as Ip2region;
    const data = packageFile(dataset.package, dataset.file, dataset.sha256);
    if (typeof data === 'string') {
      yield { id: 'dataset', skipped: data };
      return;
    }
    const reader = new Ip2regionDb(data.bytes, data.path);
    for (const { ip, region, parsed } of cases) {
      const v4 = parseIpv4(ip);
      const found = v4 < 0 ? undefined : reader.region(v4);
      yield compared(ip, found ?? null, region);
      if (parsed) yield compared(`${ip} parsed`, parts(found ?? ''), { ...parsed });
    }
  },
};

function parts(region: string): Record<string, string> {
  const [country = '', , province = '', city = '', isp = ''] = region.split('|').map((part) => (part === '0' ? '' : part));
  return { country, province, city, isp };
}
