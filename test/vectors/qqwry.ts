/** `qqwry.json`: look-ups in the qqwry.dat that lib-qqwry carries. */
import { Address } from '../../plugins/enrich/geo/address.ts';
import { QqwryReader } from '../../plugins/enrich/geo/qqwry.ts';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';
import { compared } from './compare.ts';
import { packageFile } from './geo-data.ts';

interface Qqwry {
  readonly dataset: {
    readonly package: string;
    readonly file: string;
    readonly sha256: string;
    readonly dataVersion: string;
    readonly records: number;
  };
  readonly invalidInputs: { readonly values: readonly string[] };
  readonly v4mapped: readonly { readonly input: string; readonly sameAs: string }[];
  readonly cases: readonly { readonly ip: string; readonly country: string; readonly area: string }[];
}

export const adapter: VectorAdapter = {
  *run(file: VectorFile): Iterable<CaseResult> {
    const vectors = file.json as unknown as Qqwry;
    const { dataset } = vectors;
    const data = packageFile(dataset.package, dataset.file, dataset.sha256);
    if (typeof data === 'string') {
      yield { id: 'dataset', skipped: data };
      return;
    }
    const reader = new QqwryReader(data.bytes, data.path);
    yield compared(
      'dataset',
      { version: reader.version, records: reader.records },
      { version: dataset.dataVersion, records: dataset.records },
    );
    const address = new Address();
    for (const { ip, country, area } of vectors.cases) {
      yield compared(ip, reader.findText(ip), { country, area });
      const bytes = Buffer.from(ip);
      yield compared(`${ip} from bytes`, reader.findBytes(bytes, 0, bytes.length), { country, area });
    }
    for (const text of vectors.invalidInputs.values) {
      address.parse(text);
      const found = address.family === 4 ? reader.find(address.v4) : undefined;
      yield compared(`invalid ${JSON.stringify(text)}`, [found, reader.findText(text)], [undefined, undefined]);
    }
    for (const { input, sameAs } of vectors.v4mapped) {
      yield compared(
        input,
        address.parse(input) && address.family === 4 ? reader.find(address.v4) : undefined,
        reader.findText(sameAs),
      );
    }
  },
};
