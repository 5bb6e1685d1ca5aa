import { makeBatch } from '../testing/driver.ts';
import { readWholeBatch, type FuzzTarget } from '../testing/fuzz.ts';
import { decodeMeta, parseChunkName, readContent } from './fluentd-buffer.ts';

const batch = makeBatch([{ record: { message: '中文', n: 1 } }]);

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'delivery/fluentd-buffer',
    seeds: [
      Buffer.from(
        'c1000000001f84a26964c410000102030405060708090a0b0c0d0e0fa173 02a163ce65537400a16dce65537400'.replaceAll(' ', ''),
        'hex',
      ),
      Buffer.from(batch.bytes.subarray(batch.start, batch.end)),
      'buffer.q5d9f0e7b3c1a4d2e8f6071829304a5b6.log',
      'fsb.a%2Eb.b5d9f0e7b3c1a4d2e8f6071829304a5b6.buf',
    ],
    words: ['c10000000000', 'a26964', 'c410', 'a173', 'a7']
      .map((hex): string | Buffer => Buffer.from(hex, 'hex'))
      .concat(['.b', '.q', '%E4', 'fsb.']),
    run(bytes) {
      const { batch: content, problem } = readContent(bytes, 'fuzz', 1 << 20, 1_700_000_000_000);
      const read = content === undefined ? problem?.slice(0, 20) : readWholeBatch(content);
      const meta = decodeMeta(bytes);
      const { state, id } = parseChunkName(bytes.toString('utf8'));
      return `${read} ${
        meta === undefined
          ? 'no'
          : Object.values(meta)
              .map((value) => typeof value)
              .join()
      } ${state} ${id === undefined}`;
    },
  },
];
