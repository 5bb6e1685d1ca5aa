import { readFile, readdir, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { Clock, Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Place } from '../events/batch.ts';
import { parseChunkKeys, type ChunkValues } from '../placeholders.ts';
import { rubyText } from '../ruby-values.ts';
import type { BufferConfig } from './buffer-config.ts';
import { OpenChunk } from './chunk.ts';
import type { ChunkFiles } from './chunk-files.ts';
import { decodeMeta, parseChunkName, readContent, type FluentdMeta } from './fluentd-buffer.ts';

/** What a file of Fluentd is called once its events are ours: a Fluentd that is started again leaves it alone. */
const TAKEN = '.taken-over';
/** Fluentd keeps the tag of a chunk only where it is a chunk key. */
const UNKNOWN_TAG = 'fluentd.buffer';

export interface TakeOverOptions {
  readonly config: Pick<BufferConfig, '@arg' | '@type' | 'path' | 'decompression_size_limit'>;
  readonly baseDir: string;
  readonly files: ChunkFiles;
  /** Ids of chunks that are there already: an earlier process was killed before it could rename the original. */
  readonly known: ReadonlySet<string>;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Copies the chunks that a Fluentd left in its file buffer into chunk files, and renames the originals. What cannot be read
 * stays where it is and is said in the log.
 *
 * @returns the chunks, oldest first; each is in a file
 */
export async function takeOver(options: TakeOverOptions): Promise<OpenChunk[]> {
  const { config, log } = options;
  if (config['@type'] === 'memory' || config.path === undefined) return [];
  const chunks: OpenChunk[] = [];
  for (const path of await chunkPaths(config.path, options)) {
    try {
      const chunk = await takeOne(path, options);
      if (chunk !== undefined) chunks.push(chunk);
    } catch (error) {
      log.error({ file: path, reason: messageOf(error) }, 'a chunk of Fluentd cannot be taken over; it stays where it is');
    }
  }
  const events = chunks.reduce((sum, { count }) => sum + count, 0);
  if (chunks.length > 0) log.info({ chunks: chunks.length, events }, 'took over what a Fluentd had left in its buffer');
  return chunks.toSorted((a, b) => a.openedMs - b.openedMs);
}

/** `dir` holds `buffer.*.log` (file) or `fsb.*.buf` (file_single); `dir/name.*.suffix` and `dir/name` are patterns of their own. */
async function chunkPaths(path: string, { config, baseDir }: TakeOverOptions): Promise<string[]> {
  const found: string[] = [];
  const parent = resolve(baseDir, dirname(path));
  for (const directory of [resolve(baseDir, path), resolve(baseDir, path, 'worker0'), parent]) {
    const isParent = directory === parent;
    const prefix = isParent ? basename(path).split('*')[0] : config['@type'] === 'file' ? 'buffer.' : 'fsb.';
    for (const name of await namesIn(directory)) {
      if (!name.startsWith(prefix ?? '') || name.endsWith('.meta') || name.endsWith(TAKEN)) continue;
      if (parseChunkName(name).id?.length === 32) found.push(join(directory, name));
    }
  }
  return [...new Set(found)].toSorted();
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

async function takeOne(path: string, options: TakeOverOptions): Promise<OpenChunk | undefined> {
  const { config, files, known, clock, log } = options;
  const { id, key } = parseChunkName(path);
  const meta = await metaOf(path);
  if (meta === 'damaged') throw new Error('its .meta file is damaged');
  let chunk: OpenChunk | undefined;
  if (id !== undefined && !known.has(id)) {
    const values = valuesOf(meta, key, config['@arg']);
    const tag = values.tag ?? UNKNOWN_TAG;
    const { batch, problem } = readContent(await readFile(path), tag, config.decompression_size_limit, clock.now());
    if (problem !== undefined) {
      if (batch === undefined) throw new Error(problem);
      log.error(
        { file: path, reason: problem, events: batch.count },
        'a chunk of Fluentd is damaged; what could be read is taken over',
      );
    }
    if (batch !== undefined) {
      const openedMs = meta === undefined ? clock.now() : meta.createdAt * 1000;
      chunk = new OpenChunk(openedMs, values, id);
      chunk.add({ ...batch, place: placeOf(id, openedMs, clock.now()) }, undefined);
      await files.spill(chunk);
    }
  }
  await rename(path, `${path}${TAKEN}`);
  if (meta !== undefined) await rename(`${path}.meta`, `${path}.meta${TAKEN}`);
  return chunk;
}

async function metaOf(path: string): Promise<FluentdMeta | 'damaged' | undefined> {
  try {
    return decodeMeta(await readFile(`${path}.meta`)) ?? 'damaged';
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Fluentd's id of the chunk makes those of the events: the same ones if the chunk should be taken over twice. */
function placeOf(id: string, openedMs: number, enteredMs: number): Place {
  return {
    incarnation: BigInt(`0x${id.slice(16, 26)}`),
    segment: openedMs,
    offset: Number.parseInt(id.slice(26), 16),
    enteredMs,
  };
}

function valuesOf(meta: FluentdMeta | undefined, key: string | undefined, arg: string): ChunkValues {
  if (meta === undefined) {
    // A chunk of file_single has its one key in the name.
    if (key === undefined) return {};
    const keys = parseChunkKeys(arg);
    const [field] = 'error' in keys || keys.tag ? [] : keys.fields;
    return field === undefined ? { tag: key } : { variables: { [field]: key } };
  }
  const { timekey, tag, variables } = meta;
  const texts = Object.entries(variables ?? {}).map(([name, value]) => [name, rubyText(value)]);
  return {
    ...(timekey !== undefined && { timekey }),
    ...(tag !== undefined && { tag }),
    ...(texts.length > 0 && { variables: Object.fromEntries(texts) as Record<string, string> }),
  };
}
