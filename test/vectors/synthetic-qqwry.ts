/** `synthetic-qqwry.json`: small qqwry.dat files, good ones with their answers and damaged ones that must be refused. */
import { createHash } from 'node:crypto';
import { MillraceError } from '../../engine/errors.ts';
import { formatIpv4, parseIpv4 } from '../../plugins/enrich/geo/address.ts';
import { QqwryReader, withoutMarker } from '../../plugins/enrich/geo/qqwry.ts';
import { buildQqwry, type QqwryBuild } from '../../plugins/enrich/geo/writers.cases.ts';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';
import { compared } from './compare.ts';

interface Expected {
  readonly ip: string;
  readonly none?: boolean;
  readonly country?: string;
  readonly area?: string;
  readonly cleaned?: { readonly country?: string | null; readonly area?: string | null };
}
interface Synthetic {
  readonly name: string;
  readonly build: QqwryBuild;
  readonly size: number;
  readonly sha256?: string;
  readonly base64?: string;
}
interface Vectors {
  readonly good: readonly (Synthetic & { readonly expect: readonly Expected[] })[];
  readonly corrupt: readonly (Synthetic & { readonly expectError: { readonly kind: string } })[];
}

/** What a message says for each kind; the words are ours. */
const WORDS: Readonly<Record<string, RegExp>> = {
  'too-short': /too short|truncated/,
  truncated: /truncated/,
  'bad-header': /bad header/,
  'bad-offset': /bad offset/,
  'redirect-loop': /redirect loop/,
  unsorted: /unsorted/,
  'no-terminator': /no terminator/,
};

export const adapter: VectorAdapter = {
  *run(file: VectorFile): Iterable<CaseResult> {
    const vectors = file.json as unknown as Vectors;
    for (const one of vectors.good) {
      const bytes = bytesOf(one);
      if (typeof bytes === 'string') {
        yield { id: one.name, difference: bytes };
        continue;
      }
      const reader = new QqwryReader(bytes, `${one.name}.dat`);
      for (const expected of one.expect) yield lookUp(`${one.name} ${expected.ip}`, reader, expected);
    }
    for (const one of vectors.corrupt) {
      const bytes = bytesOf(one);
      yield typeof bytes === 'string' ? { id: one.name, difference: bytes } : refused(one.name, bytes, one.expectError.kind);
    }
  },
};

function lookUp(id: string, reader: QqwryReader, expected: Expected): CaseResult {
  const found = reader.findText(expected.ip);
  if (expected.none) return compared(id, found, undefined);
  const { country = '', area = '' } = expected;
  if (found && expected.cleaned) {
    const cleaned = { country: withoutMarker(found.country), area: withoutMarker(found.area) };
    const want = { country: expected.cleaned.country ?? '', area: expected.cleaned.area ?? '' };
    return compared(id, { ...found, cleaned }, { country, area, cleaned: want });
  }
  const again = reader.find(parseIpv4(formatIpv4(parseIpv4(expected.ip))));
  return compared(
    id,
    [found, again],
    [
      { country, area },
      { country, area },
    ],
  );
}

function refused(id: string, bytes: Buffer, kind: string): CaseResult {
  const path = `${id}.dat`;
  try {
    const { records } = new QqwryReader(bytes, path);
    return { id, difference: `accepted, with ${records} records` };
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== 'MR_GEO_DATABASE')
      return { id, difference: `threw ${String(error)}` };
    const says = error.message.includes(path) && (WORDS[kind]?.test(error.message) ?? true);
    return says ? { id } : { id, difference: `expected a message about ${kind} in ${path}, got: ${error.message}` };
  }
}

function bytesOf({ base64, build, size, sha256 }: Synthetic): Buffer | string {
  const bytes = base64 === undefined ? buildQqwry(build) : Buffer.from(base64, 'base64');
  if (bytes.length !== size) return `made ${bytes.length} bytes, expected ${size}`;
  const isSame = sha256 === undefined || createHash('sha256').update(bytes).digest('hex') === sha256;
  return isSame ? bytes : 'the file that was made has another checksum';
}
