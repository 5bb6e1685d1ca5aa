import type { FuzzTarget } from '../../engine/testing/fuzz.ts';
import { parseMultipart, parseQuery } from './forms.ts';

const sign = (params: ReadonlyMap<string, Buffer>): string =>
  `${params.size} ${[...params.keys()].map((name) => name.length).join()}`;

export const fuzzTargets: readonly FuzzTarget[] = [
  {
    name: 'http/query',
    seeds: ['json=%7B%22a%22%3A1%7D&time=1.5&a=b+c', 'msgpack=%81%a1a%01&&=x&y'],
    words: ['%', '%e4%b8%ad', '&', '=', '+', 'json='],
    run: (bytes) => sign(parseQuery(bytes)),
  },
  {
    name: 'http/multipart',
    seeds: ['--B\r\nContent-Disposition: form-data; name="json"\r\n\r\n{"a":1}\r\n--B\r\nx: name=time\r\n\r\n1\r\n--B--\r\n'],
    words: ['--B', '\r\n\r\n', 'name="', '\r\n--B--'],
    run: (bytes) => sign(parseMultipart(bytes, 'B', new Map())),
  },
];
