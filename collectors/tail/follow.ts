import { readdirSync, watch, type FSWatcher } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { MillraceError, messageOf } from '../../engine/errors.ts';
import { Finder, statOf } from './finder.ts';
import { tagOf } from './paths.ts';
import { loadPositions, type Position, type Positions } from './positions.ts';
import { Reader, type TakeLines } from './reader.ts';
import type { Reports } from './reports.ts';
import type { TailConfig, TailContext } from './tail.ts';

/** Closed files whose place is remembered, in case a pattern finds them under another name. */
const MAX_REMEMBERED = 1000;

export interface Watched {
  readonly path: string;
  readonly tag: string;
  /** Named in full: it is waited for. Otherwise found by a pattern. */
  readonly isNamed: boolean;
  readonly take: TakeLines;
  /** Oldest first; all but the last were rotated away. The oldest one decides what the position says. */
  readonly readers: Reader[];
  watcher: FSWatcher | undefined;
  failures: number;
  isMissed: boolean;
  /** The patterns still find it. */
  isWanted: boolean;
}

/** What the follower asks of the tail. */
export interface Surroundings {
  readonly reports: Reports;
  takeFor(path: string): TakeLines;
  /** Takes what a reader keeps back, the incomplete last line and lines that wait for more, as whole. */
  finish(file: Watched, reader: Reader): void;
  /** Hands over what a reader has read. */
  emit(file: Watched, reader: Reader): void;
  /** There may be something to read. */
  wake(): void;
}

/** Knows which files there are, which of them were rotated away or cut, and up to where each one counts as read. */
export class Follower {
  readonly files = new Map<string, Watched>();
  /** Files of which the system told that they changed. */
  readonly notified = new Set<Watched>();
  readonly #config: TailConfig;
  readonly #ctx: TailContext;
  readonly #around: Surroundings;
  readonly #finder: Finder;
  readonly #holders = new Map<string, { reader: Reader; file: Watched }>();
  readonly #remembered = new Map<string, { offset: number; head: Buffer }>();
  #positions: Positions | undefined;

  constructor(config: TailConfig, ctx: TailContext, around: Surroundings) {
    this.#config = config;
    this.#ctx = ctx;
    this.#around = around;
    this.#finder = new Finder(config, ctx);
  }

  async load(): Promise<void> {
    this.#positions = await loadPositions(this.#config, this.#ctx, this.#finder.find());
  }

  compact(): void {
    this.#positions?.compact();
  }

  async close(): Promise<void> {
    for (const file of this.files.values()) {
      file.watcher?.close();
      for (const reader of file.readers) reader.close();
    }
    this.files.clear();
    this.#holders.clear();
    const positions = this.#positions;
    this.#positions = undefined;
    await positions?.close();
  }

  /** Looks the patterns up again. @param isFirst  files found now were there before we came */
  refresh(isFirst: boolean): void {
    const found = this.#finder.find();
    const limit = this.#config.max_files;
    const isOver = found.length > limit;
    this.#ctx.metrics.over_max_files.set(isOver ? 1 : 0);
    if (isOver) {
      this.#ctx.log.warn({ limit }, 'the patterns find more files than max_files, the rest is not read');
      found.length = limit;
    }
    const wanted = new Set(found);
    for (const [path, file] of this.files) {
      file.isWanted = wanted.has(path);
      if (!file.isWanted) for (const reader of file.readers) this.#retire(reader);
    }
    const named = new Set(this.#finder.named());
    for (const path of found) {
      if (this.files.has(path)) continue;
      const file: Watched = {
        path,
        tag: tagOf(this.#config.tag, path),
        isNamed: named.has(path),
        take: this.#around.takeFor(path),
        readers: [],
        watcher: undefined,
        failures: 0,
        isMissed: false,
        isWanted: true,
      };
      this.files.set(path, file);
      this.#open(file, isFirst);
    }
    this.#ctx.metrics.files.set(this.files.size);
    this.#around.wake();
  }

  /** @throws MR_NO_INPUT when there is nothing to read */
  requireFiles(): void {
    for (const file of this.files.values()) {
      if (file.readers.length > 0) continue;
      const reason = file.failures > 0 ? 'it cannot be read' : 'there is no such file';
      throw new MillraceError('MR_NO_INPUT', `cannot read ${file.path}: ${reason}`);
    }
    if (this.files.size === 0) throw new MillraceError('MR_NO_INPUT', `no file matches ${this.#config.path}`);
  }

  #open(file: Watched, isFirst: boolean): void {
    const found = statOf(file.path);
    if (found === undefined) {
      if (file.isNamed && !file.isMissed && isFirst)
        this.#ctx.log.warn({ path: file.path }, 'there is no such file yet, waiting for it');
      file.isMissed = true;
      if (!file.isNamed) this.files.delete(file.path);
      return;
    }
    if (!found.isFile()) {
      // Opening a pipe would wait for a writer.
      this.#around.reports.unreadable(file, new Error('not a regular file'));
      return;
    }
    const holder = this.#holders.get(`${found.dev}:${found.ino}`);
    if (holder !== undefined && holder.file !== file) return this.#adopt(file, holder);
    try {
      const chosen = (size: number, device: bigint, inode: bigint): number => this.#startAt(file, isFirst, size, device, inode);
      const reader = Reader.open(file.path, this.#config.max_line_size, chosen);
      const remembered = this.#remembered.get(reader.identity);
      if (remembered !== undefined && reader.committed > 0 && !reader.beginsWith(remembered.head)) reader.rewind(0);
      this.#remembered.delete(reader.identity);
      this.#hold(file, reader);
      file.failures = 0;
      this.commit(file);
      this.#watch(file);
    } catch (error) {
      this.#around.reports.unreadable(file, error);
    }
  }

  #hold(file: Watched, reader: Reader): void {
    file.readers.push(reader);
    this.#holders.set(reader.identity, { reader, file });
  }

  /** A pattern found a file under its new name: its reader moves along, so that nothing is read twice. */
  #adopt(file: Watched, holder: { reader: Reader; file: Watched }): void {
    const { reader, file: former } = holder;
    const atFormer = statOf(former.path);
    if (atFormer !== undefined && `${atFormer.dev}:${atFormer.ino}` === reader.identity) {
      // Two names of one file (a link): it is read once, under the first.
      this.files.delete(file.path);
      return;
    }
    former.readers.splice(former.readers.indexOf(reader), 1);
    reader.retireAt = undefined;
    reader.isFinished = false;
    this.#hold(file, reader);
    this.commit(file);
    this.#watch(file);
    if (former.readers.length > 0) this.commit(former);
    else {
      if (!this.#config.follow_inodes) this.#positions?.forget(former.path, reader.inode);
      this.look(former);
    }
  }

  #startAt(file: Watched, isFirst: boolean, size: number, device: bigint, inode: bigint): number {
    const known = this.#positions?.get(file.path, inode);
    if (known?.inode === inode) return known.offset <= size ? known.offset : 0;
    const remembered = this.#remembered.get(`${device}:${inode}`);
    if (remembered !== undefined && remembered.offset <= size) return remembered.offset;
    if (known !== undefined) {
      // Rotated while nobody looked: what was left unread in the old file comes first.
      if (isFirst) this.#openPredecessor(file, known);
      return 0;
    }
    return isFirst && !this.#config.read_from_head && !this.#config.exit_at_eof ? size : 0;
  }

  #openPredecessor(file: Watched, known: Position): void {
    const folder = dirname(file.path);
    for (const name of readdirSync(folder)) {
      if (!name.startsWith(basename(file.path)) || statOf(join(folder, name))?.ino !== known.inode) continue;
      const reader = Reader.open(join(folder, name), this.#config.max_line_size, (size) => Math.min(size, known.offset));
      if (this.#holders.has(reader.identity)) reader.close();
      else {
        this.#hold(file, reader);
        this.#retire(reader);
      }
      return;
    }
  }

  // ---- looking at files -------------------------------------------------------------------------

  #watch(file: Watched): void {
    if (!this.#config.enable_stat_watcher) return;
    file.watcher?.close();
    try {
      file.watcher = watch(file.path, { persistent: false }, () => {
        this.notified.add(file);
        this.#around.wake();
      });
      file.watcher.on('error', () => file.watcher?.close());
    } catch (error) {
      // The timer still looks each second.
      this.#ctx.log.debug({ path: file.path, reason: messageOf(error) }, 'the system does not tell of changes');
    }
  }

  /** Follows the path, looks whether there is more, and closes what is done with. */
  look(file: Watched): void {
    try {
      this.#followPath(file);
      for (const reader of file.readers.slice()) {
        if (reader.look() === 'truncated') this.#restart(file, reader);
        this.#closeIfDone(file, reader);
      }
      if (file.readers.length === 0 && !(file.isNamed && file.isWanted)) this.#drop(file);
    } catch (error) {
      this.#around.reports.unreadable(file, error);
    }
  }

  #followPath(file: Watched): void {
    const newest = file.readers.at(-1);
    const found = statOf(file.path);
    if (found === undefined) {
      if (newest !== undefined) this.#retire(newest);
      return;
    }
    if (!file.isWanted) return;
    if (newest?.identity === `${found.dev}:${found.ino}`) {
      // It may have been away for a moment.
      newest.retireAt = undefined;
      return;
    }
    if (newest !== undefined) {
      this.#retire(newest);
      this.#ctx.metrics.rotations.add(1);
    }
    this.#open(file, false);
  }

  #retire(reader: Reader): void {
    reader.retireAt ??= this.#ctx.clock.now() + this.#config.rotate_wait;
  }

  /** The file was cut: what it holds now is new. */
  #restart(file: Watched, reader: Reader): void {
    this.#ctx.metrics.rotations.add(1);
    this.#around.finish(file, reader);
    this.#around.emit(file, reader);
    reader.rewind(0);
    this.commit(file);
  }

  #closeIfDone(file: Watched, reader: Reader): void {
    if (reader.retireAt === undefined || reader.retireAt > this.#ctx.clock.now() || !reader.isAtEnd || reader.isHeld) return;
    if (!reader.isFinished) {
      this.#around.finish(file, reader);
      this.#around.emit(file, reader);
    }
    if (!reader.isSettled) return;
    reader.close();
    file.readers.splice(file.readers.indexOf(reader), 1);
    this.#holders.delete(reader.identity);
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.delete(this.#remembered.keys().next().value as string);
    this.#remembered.set(reader.identity, { offset: reader.committed, head: reader.head });
    if (file.readers.length > 0 && !this.#config.follow_inodes) this.commit(file);
    else this.#positions?.forget(file.path, reader.inode);
  }

  #drop(file: Watched): void {
    file.watcher?.close();
    this.files.delete(file.path);
    this.#ctx.metrics.files.set(this.files.size);
  }

  /** Writes down how far the oldest file of a path was acknowledged. */
  commit(file: Watched): void {
    const readers = this.#config.follow_inodes ? file.readers : file.readers.slice(0, 1);
    try {
      for (const { inode, committed } of readers) this.#positions?.set({ path: file.path, inode, offset: committed });
    } catch (error) {
      this.#ctx.log.warn({ reason: messageOf(error) }, 'positions could not be written');
    }
  }
}
