import { access, mkdir, open, constants, type FileHandle } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import * as z from 'zod';
import { defineOutput, type Chunk, type Context, type Formatter, type Output } from '../../engine/component.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import { ByteWriter } from '../../engine/events/byte-writer.ts';
import { EventCursor } from '../../engine/events/view.ts';
import { compilePlaceholders, type Expand } from '../../engine/placeholders.ts';
import { zoneOf } from '../../engine/time/zone.ts';
import { bool, oneOf, rawSection, text } from '../../engine/units.ts';

const compress = promisify(gzip);
/** Files of one chunk; a path made of a field with many values would open any number. */
const MAX_FILES = 256;
const MAX_NUMBERED = 10_000;

const config = z.object({
  path: text()
    .describe(
      'Path of the file; %Y%m%d stands for the time of each event, ${tag} and ${tag[0]} for its tag, ${host} for a field that is a chunk key',
    )
    .meta({ examples: ['/var/log/millrace/${tag}.%Y%m%d.log'] }),
  append: bool()
    .default(true)
    .describe('Whether chunks go to the end of the file; otherwise each one gets a numbered file of its own'),
  add_path_suffix: bool().default(false).describe('Whether path_suffix is put behind the path'),
  path_suffix: text().default('.log').describe('Ending of the path'),
  compress: oneOf(['text', 'gz', 'gzip']).default('text').describe('Compression; gz also adds .gz to the path'),
  fsync: bool().default(false).describe('Whether each chunk is forced to the disk before it counts as delivered'),
  utc: bool().default(false).describe('Whether the times in the path are UTC; otherwise those of this machine'),
  timezone: text()
    .optional()
    .describe('Zone of the times in the path')
    .meta({ examples: ['Asia/Shanghai'] }),
  format: rawSection().optional().describe('Format of the events; without it a line of JSON'),
});
type Config = z.output<typeof config>;

export const fileOutput = defineOutput({
  name: 'file',
  summary: 'Writes events to files, named by tag and time.',
  config,
  workers: 'all',
  examples: [
    { title: 'A file a day', config: '<match app.**>\n  @type file\n  path /var/log/millrace/app.%Y%m%d.log\n</match>' },
    { title: 'Compressed, by tag', config: '<match **>\n  @type file\n  path archive/${tag}/%Y%m%d%H\n  compress gz\n</match>' },
  ],
  create: (parsed, ctx) => writeFiles(parsed, ctx),
});

/** The lines for one file, and the events they are of. */
interface Part {
  readonly lines: ByteWriter;
  readonly indices: number[];
}

function writeFiles(parsed: Config, ctx: Context): Output {
  const formatter = ctx.formatter(parsed.format, 'json');
  const template = resolve(ctx.baseDir, parsed.path) + (parsed.add_path_suffix ? parsed.path_suffix : '');
  const path = template.endsWith('.gz') || parsed.compress === 'text' ? template : `${template}.gz`;
  const zone = zoneOf({ localtime: !parsed.utc, utc: parsed.utc, timezone: parsed.timezone });
  const expands = new Map<string, Expand>();
  /** For the fields that are chunk keys; they are the same for all chunks of a configuration. */
  const expandFor = (variables: Readonly<Record<string, string>> = {}): Expand => {
    const fields = Object.keys(variables);
    const known = expands.get(fields.join(','));
    if (known !== undefined) return known;
    const expand = compilePlaceholders(path, { time: true, tag: true, fields }, zone);
    expands.set(fields.join(','), expand);
    return expand;
  };
  return {
    async probe() {
      const folder = dirname(path);
      if (/[%$]/.test(folder)) return;
      try {
        await mkdir(folder, { recursive: true });
        await access(folder, constants.W_OK);
      } catch (error) {
        throw new MillraceError('MR_DISK', `cannot write to ${folder}: ${messageOf(error)}`, { cause: error });
      }
    },
    async write(chunk) {
      const { parts, refused } = partsOf(chunk, formatter, expandFor(chunk.metadata.variables));
      const retry: number[] = [];
      let reason: string | undefined;
      for (const [file, { lines, indices }] of parts) {
        try {
          const bytes = lines.take();
          await append(file, parsed.compress === 'text' ? bytes : await compress(bytes), parsed);
        } catch (error) {
          for (const index of indices) retry.push(index);
          reason = `cannot write ${file}: ${messageOf(error)}`;
        }
      }
      if (retry.length === 0 && refused.length === 0) return 'delivered';
      return { retry: retry.sort((a, b) => a - b), refused, ...(reason === undefined ? {} : { reason }) };
    },
  };
}

function partsOf(
  chunk: Chunk,
  formatter: Formatter,
  expand: Expand,
): { parts: Map<string, Part>; refused: { index: number; reason: string }[] } {
  const parts = new Map<string, Part>();
  const refused: { index: number; reason: string }[] = [];
  const cursor = new EventCursor();
  let index = 0;
  for (const batch of chunk.batches) {
    cursor.open(batch);
    let second = Number.NaN;
    let part: Part | string = '';
    for (let n = 0; n < batch.count; n++, index++) {
      cursor.next(n);
      // Most neighbours are of one second, and all of one tag.
      if (cursor.seconds !== second) {
        second = cursor.seconds;
        part = partFor(parts, expand({ timekey: second, tag: batch.tag, variables: chunk.metadata.variables }));
      }
      if (typeof part === 'string') refused.push({ index, reason: part });
      else {
        formatter.format(cursor, part.lines);
        part.indices.push(index);
      }
    }
  }
  return { parts, refused };
}

function partFor(parts: Map<string, Part>, path: ReturnType<Expand>): Part | string {
  if (typeof path !== 'string') return path.error;
  let part = parts.get(path);
  if (part !== undefined) return part;
  if (parts.size >= MAX_FILES) return `more than ${MAX_FILES} files in one chunk`;
  part = { lines: new ByteWriter(16_384), indices: [] };
  parts.set(path, part);
  return part;
}

/**
 * All of `bytes`, or none: after a failure the file is cut back, so that a retry repeats nothing. In one write(2) as long
 * as the disk takes it: another worker that appends to the same file comes before or behind, never between.
 */
async function append(path: string, bytes: Uint8Array, { append: appends, fsync }: Config): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = appends ? await open(path, 'a') : await openNumbered(path);
  try {
    const { size } = await file.stat();
    let written = 0;
    try {
      while (written < bytes.length) written += (await file.write(bytes, written)).bytesWritten;
      if (fsync) await file.datasync();
    } catch (error) {
      // What somebody else has appended meanwhile must stay; the rest of a torn line stays with it then.
      if ((await file.stat()).size === size + written) await file.truncate(size);
      throw error;
    }
  } finally {
    await file.close();
  }
}

/** `events.log` -> `events_0.log`, `events_1.log` ...: the first that is not there. */
async function openNumbered(path: string): Promise<FileHandle> {
  const ending = /\.\w+\.gz$/.exec(path)?.[0] ?? extname(path);
  const stem = path.slice(0, path.length - ending.length);
  for (let n = 0; n < MAX_NUMBERED; n++) {
    try {
      return await open(`${stem}_${n}${ending}`, 'ax');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  throw new Error(`there are ${MAX_NUMBERED} numbered files already`);
}
