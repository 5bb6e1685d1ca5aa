/**
 * Fluentd's position file, so that millrace goes on where Fluentd stopped, and back.
 *
 *     path TAB 16 hexadecimal digits of the offset TAB 16 of the inode LF
 *
 * A line is changed in place; an offset of all ones marks a file that is no longer read.
 */
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Kv } from '../../engine/component.ts';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import { statOf } from './finder.ts';
import type { TailConfig, TailContext } from './tail.ts';

export interface Position {
  readonly path: string;
  /** Bytes of whole lines that were handed over. */
  readonly offset: number;
  readonly inode: bigint;
}

const UNWATCHED = 0xffff_ffff_ffff_ffffn;
const ENTRY = /^([^\t]+)\t([0-9a-fA-F]{1,16})\t([0-9a-fA-F]{1,16})/;

/**
 * Reads the text of a position file. Of two lines with one key the later one holds.
 *
 * @param followsInodes  the key is the inode, otherwise the path
 */
export function readPositions(text: string, followsInodes: boolean): { positions: Position[]; unreadable: number } {
  const found = new Map<string, Position>();
  let unreadable = 0;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const parts = ENTRY.exec(line);
    if (parts === null) {
      unreadable++;
      continue;
    }
    const [, path = '', offset, inode] = parts;
    const position = { path, offset: Number(BigInt(`0x${offset}`)), inode: BigInt(`0x${inode}`) };
    if (BigInt(`0x${offset}`) === UNWATCHED) continue;
    if (!Number.isSafeInteger(position.offset)) {
      // No file is that large: somebody else's number, or damage.
      unreadable++;
      continue;
    }
    const key = keyOf(position, followsInodes);
    // Taken out first: the later line also has the later place.
    found.delete(key);
    found.set(key, position);
  }
  return { positions: [...found.values()], unreadable };
}

export function printPositions(positions: Iterable<Position>): string {
  let text = '';
  for (const { path, offset, inode } of positions) text += `${path}\t${hex(offset)}\t${hex(inode)}\n`;
  return text;
}

const hex = (value: number | bigint): string => value.toString(16).padStart(16, '0');
const keyOf = ({ path, inode }: Pick<Position, 'path' | 'inode'>, followsInodes: boolean): string =>
  followsInodes ? String(inode) : path;

/** Where the text of the positions is kept. */
export interface Keeper {
  load(): Promise<string>;
  /** Replaces the whole text. */
  replace(text: string): void;
  /** Overwrites bytes in the middle or at the end. `text` gives the whole, for keepers that cannot. */
  patch(at: number, part: string, text: () => string): void;
  close(): Promise<void>;
}

/** The positions of one source, in memory and in their keeper. */
export class Positions {
  readonly #keeper: Keeper;
  readonly #followsInodes: boolean;
  readonly #entries = new Map<string, { position: Position; at: number }>();
  #bytes = 0;

  private constructor(keeper: Keeper, followsInodes: boolean) {
    this.#keeper = keeper;
    this.#followsInodes = followsInodes;
  }

  /** @param isAlive  false for positions of files that are gone, which are taken out */
  static async load(
    keeper: Keeper,
    followsInodes: boolean,
    isAlive: (position: Position) => boolean,
  ): Promise<{ positions: Positions; unreadable: number }> {
    const positions = new Positions(keeper, followsInodes);
    const before = await keeper.load();
    const { positions: found, unreadable } = readPositions(before, followsInodes);
    for (const position of found)
      if (isAlive(position)) positions.#entries.set(keyOf(position, followsInodes), { position, at: 0 });
    if (before !== positions.#layOut()) positions.compact();
    return { positions, unreadable };
  }

  get(path: string, inode: bigint): Position | undefined {
    return this.#entries.get(keyOf({ path, inode }, this.#followsInodes))?.position;
  }

  set(position: Position): void {
    const key = keyOf(position, this.#followsInodes);
    const entry = this.#entries.get(key);
    if (entry !== undefined && entry.position.path === position.path) {
      const { position: old } = entry;
      if (old.offset === position.offset && old.inode === position.inode) return;
      entry.position = position;
      const at = entry.at + Buffer.byteLength(position.path) + 1;
      this.#keeper.patch(at, `${hex(position.offset)}\t${hex(position.inode)}`, () => this.#text());
      return;
    }
    if (entry !== undefined) {
      // The file has another name now: its line changes length.
      entry.position = position;
      this.compact();
      return;
    }
    const line = printPositions([position]);
    this.#entries.set(key, { position, at: this.#bytes });
    this.#keeper.patch(this.#bytes, line, () => this.#text());
    this.#bytes += Buffer.byteLength(line);
  }

  /** Forgets a file that is gone; its line stays, marked, until the next `compact`. */
  forget(path: string, inode: bigint): void {
    const key = keyOf({ path, inode }, this.#followsInodes);
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.position.inode !== inode) return;
    this.#entries.delete(key);
    this.#keeper.patch(entry.at + Buffer.byteLength(entry.position.path) + 1, hex(UNWATCHED), () => this.#text());
  }

  /** Writes the file anew, without the lines that no longer count. */
  compact(): void {
    this.#keeper.replace(this.#layOut());
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }

  #layOut(): string {
    let at = 0;
    for (const entry of this.#entries.values()) {
      entry.at = at;
      at += Buffer.byteLength(printPositions([entry.position]));
    }
    this.#bytes = at;
    return this.#text();
  }

  #text(): string {
    return printPositions(Array.from(this.#entries.values(), ({ position }) => position));
  }
}

/**
 * The positions of a source: in `pos_file`, else in the data directory, else nowhere, of which a warning tells.
 *
 * @param found  the files that are there; positions of others are taken out
 * @throws MR_DISK when the file cannot be used
 */
export async function loadPositions(config: TailConfig, ctx: TailContext, found: readonly string[]): Promise<Positions> {
  const { pos_file: posFile, follow_inodes: followsInodes } = config;
  if (posFile === undefined && ctx.dataDir === undefined && !config.exit_at_eof)
    ctx.log.warn({}, 'no pos_file and no data directory: after a restart nobody knows how far the files were read');
  const failed = (error: unknown): void => ctx.log.warn({ reason: messageOf(error) }, 'positions could not be written');
  const path = posFile === undefined ? undefined : resolve(ctx.baseDir, posFile);
  const keeper = path === undefined ? kvKeeper(ctx.kv, 'positions', failed) : fileKeeper(path);
  const paths = new Set(found);
  const inodes = new Set(followsInodes ? found.map((one) => statOf(one)?.ino) : []);
  const isAlive = (position: Position): boolean => (followsInodes ? inodes.has(position.inode) : paths.has(position.path));
  try {
    const { positions, unreadable } = await Positions.load(keeper, followsInodes, isAlive);
    if (unreadable > 0)
      ctx.log.warn({ file: path ?? 'data directory', lines: unreadable }, 'lines of the position file could not be read');
    return positions;
  } catch (error) {
    throw new MillraceError('MR_DISK', `cannot use the position file ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** A file in Fluentd's format. @throws the error of the file system when it cannot be read or written */
export function fileKeeper(path: string): Keeper {
  let descriptor: number | undefined;
  const open = (): number => (descriptor ??= openSync(path, 'r+'));
  const close = (): void => {
    if (descriptor !== undefined) closeSync(descriptor);
    descriptor = undefined;
  };
  return {
    load() {
      mkdirSync(dirname(path), { recursive: true });
      try {
        return Promise.resolve(readFileSync(path, 'utf8'));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return Promise.reject(error as Error);
        writeFileSync(path, '');
        return Promise.resolve('');
      }
    },
    replace(text) {
      close();
      // Written beside and renamed, so that a crash leaves the old file or the new one.
      writeFileSync(`${path}.tmp`, text);
      renameSync(`${path}.tmp`, path);
    },
    patch(at, part) {
      writeSync(open(), part, at, 'utf8');
    },
    close() {
      close();
      return Promise.resolve();
    },
  };
}

/** The same text as one value of the data directory. Puts follow each other; the newest text wins. */
export function kvKeeper(kv: Kv, key: string, failed: (error: unknown) => void): Keeper {
  let wanted: (() => string) | undefined;
  let running: Promise<void> | undefined;
  const put = async (): Promise<void> => {
    while (wanted !== undefined) {
      const text = wanted();
      wanted = undefined;
      try {
        await kv.put(key, Buffer.from(text, 'utf8'));
      } catch (error) {
        failed(error);
      }
    }
    running = undefined;
  };
  const ask = (text: () => string): void => {
    wanted = text;
    running ??= put();
  };
  return {
    async load() {
      return Buffer.from((await kv.get(key)) ?? []).toString('utf8');
    },
    replace: (text) => ask(() => text),
    patch: (_at, _part, text) => ask(text),
    async close() {
      await running;
    },
  };
}
