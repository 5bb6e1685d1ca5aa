import { decodeMeta, parseChunkName } from '../../engine/delivery/fluentd-buffer.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, type Case } from './compare.ts';

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) yield item.group === 'file-name' ? nameOf(item) : metaOf(item);
  },
};

function nameOf({ id, path, expected }: Case): CaseResult {
  const { state, id: chunkId } = parseChunkName(path as string);
  return compared(id, { state, chunk_id_hex: chunkId ?? null }, expected);
}

/** Compared in what the case names. */
function metaOf({ id, meta_hex: hex, expected }: Case): CaseResult {
  const meta = decodeMeta(Buffer.from(hex as string, 'hex'));
  const wanted = expected as Record<string, unknown>;
  if (meta === undefined || wanted['broken'] === true)
    return compared(id, { broken: meta === undefined }, { broken: wanted['broken'] === true });
  const seen = new Map<string, unknown>([
    ['unique_id_hex', meta.id],
    ['records', meta.records],
    ['created_at', meta.createdAt],
    ['modified_at', meta.modifiedAt],
    ['timekey', meta.timekey ?? null],
    ['tag', meta.tag ?? null],
    ['variables', meta.variables ?? null],
    ['seq', meta.seq],
  ]);
  const actual = Object.fromEntries(Object.keys(wanted).map((name) => [name, seen.get(name)]));
  return compared(id, actual, wanted);
}
