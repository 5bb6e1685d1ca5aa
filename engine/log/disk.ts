/**
 * The disk as the log sees it. It is handed in, so that tests can take one that forgets what was not synced, tears writes,
 * or fails at any step.
 */
import * as fs from 'node:fs';
import * as fsp from 'node:fs/promises';
import { dirname, join } from 'node:path';

export interface DiskFile {
  /**
   * Hands `bytes[start, end)` to the system.
   *
   * @param offset  in the file
   * @returns how many bytes were taken, at least one
   */
  write(bytes: Uint8Array, start: number, end: number, offset: number): Promise<number>;
  /** What was written, and the size, are safe when it resolves. The name needs `Disk.syncDirectory`. */
  datasync(): Promise<void>;
  truncate(size: number): Promise<void>;
  /** @returns how many bytes were there, 0 at the end; blocks */
  readSync(into: Uint8Array, start: number, length: number, offset: number): number;
  sizeSync(): number;
  close(): Promise<void>;
}

/** Errors are those of Node.js, with their `code`: ENOSPC, EIO, ENOENT. */
export interface Disk {
  /** With those above it; each new name is synced in the directory it stands in. */
  makeDirectory(path: string): Promise<void>;
  /** Fails with EEXIST when there is one. */
  create(path: string): Promise<DiskFile>;
  open(path: string, mode: 'read' | 'write'): DiskFile;
  /** Names in it are safe when it resolves. */
  syncDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Names of files; a directory that is not there has none. */
  list(path: string): Promise<string[]>;
  freeBytes(path: string): Promise<number>;
}

class RealFile implements DiskFile {
  readonly #fd: number;
  #isOpen = true;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array, start: number, end: number, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(this.#fd, bytes, start, end - start, offset, (error, written) => (error ? reject(error) : resolve(written)));
    });
  }

  datasync(): Promise<void> {
    return new Promise((resolve, reject) => fs.fdatasync(this.#fd, (error) => (error ? reject(error) : resolve())));
  }

  truncate(size: number): Promise<void> {
    return new Promise((resolve, reject) => fs.ftruncate(this.#fd, size, (error) => (error ? reject(error) : resolve())));
  }

  readSync(into: Uint8Array, start: number, length: number, offset: number): number {
    return fs.readSync(this.#fd, into, start, length, offset);
  }

  sizeSync(): number {
    return fs.fstatSync(this.#fd).size;
  }

  close(): Promise<void> {
    if (!this.#isOpen) return Promise.resolve();
    this.#isOpen = false;
    return new Promise((resolve, reject) => fs.close(this.#fd, (error) => (error ? reject(error) : resolve())));
  }
}

const syncDirectory = async (path: string): Promise<void> => {
  const directory = await fsp.open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
};

const FILE_MODE = 0o640;

export const realDisk: Disk = {
  async makeDirectory(path) {
    const made = await fsp.mkdir(path, { recursive: true, mode: 0o750 });
    if (made === undefined) return;
    // From the deepest new one up to the directory that was there before.
    for (let at = path; ; at = dirname(at)) {
      await syncDirectory(dirname(at));
      if (at === made || at === dirname(at)) return;
    }
  },
  create: (path) =>
    new Promise((resolve, reject) => {
      fs.open(path, 'wx+', FILE_MODE, (error, fd) => (error ? reject(error) : resolve(new RealFile(fd))));
    }),
  open: (path, mode) => new RealFile(fs.openSync(path, mode === 'read' ? 'r' : 'r+')),
  syncDirectory,
  rename: (from, to) => fsp.rename(from, to),
  remove: (path) => fsp.rm(path, { force: true }),
  async list(path) {
    try {
      return await fsp.readdir(path);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return [];
      throw error;
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await fsp.statfs(path);
    return bavail * bsize;
  },
};

/** ENOSPC and the like; undefined for what is no error of the system. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** No room on the disk, or none that this user may take. */
export function isDiskFull(error: unknown): boolean {
  const code = errorCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** Writes all of it; a short write is gone on with. */
export async function writeAll(file: DiskFile, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes, at, bytes.length, offset + at);
}

/**
 * Puts a file in the place of another in one step: whoever reads sees the old one or the new one, also after a loss of
 * power, and the new one once it resolves.
 */
export async function replaceFile(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const beside = `${path}.new`;
  await disk.remove(beside);
  const file = await disk.create(beside);
  try {
    await writeAll(file, bytes, 0);
    await file.datasync();
  } finally {
    await file.close();
  }
  await disk.rename(beside, path);
  await disk.syncDirectory(dirname(path));
}

const LIMIT_BYTES = 8 * 2 ** 30;

/** What the log may take when nobody says: 8 GiB, and at most half of what is free on the disk of that directory. */
export async function defaultLimitBytes(directory: string, disk: Disk = realDisk): Promise<number> {
  let at = directory;
  for (;;) {
    try {
      return Math.min(LIMIT_BYTES, Math.floor((await disk.freeBytes(at)) / 2));
    } catch (error) {
      // The directory is made later: one above it is on the same disk.
      if (errorCode(error) !== 'ENOENT' || at === join(at, '..')) throw error;
      at = join(at, '..');
    }
  }
}
