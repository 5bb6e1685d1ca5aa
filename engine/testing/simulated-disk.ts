/**
 * A disk in memory that behaves as badly as a real one may: until a file is synced its writes may be lost, torn at any
 * byte, or reach the plate in another order; until a directory is synced, so may names. Operations fail where a test says.
 */
import { dirname } from 'node:path';
import type { Disk, DiskFile } from '../log/disk.ts';

export interface Operation {
  /** From 1, in the order of their beginning. */
  readonly number: number;
  readonly kind: 'create' | 'write' | 'datasync' | 'truncate' | 'syncDirectory' | 'rename' | 'remove' | 'list' | 'read' | 'open';
  readonly path: string;
}

/** What a file system may have done with changes that nobody asked it to make safe. */
type Change = { readonly offset: number; readonly bytes: Buffer } | { readonly size: number };

interface Inode {
  /** As it is for whoever reads. */
  content: Buffer;
  /** As it is on the plate. */
  safe: Buffer;
  changes: Change[];
}

const SECTOR_BYTES = 512;

export interface SimulatedDiskOptions {
  /** From 0 up to, not including, 1. */
  readonly random?: () => number;
  /** Operations end only when `step` is called; otherwise by themselves, in order. */
  readonly isManual?: boolean;
}

export class SimulatedDisk implements Disk {
  readonly #random: () => number;
  isManual: boolean;
  /** Names as they are, and as they are on the plate. */
  #names = new Map<string, Inode>();
  #safeNames = new Map<string, Inode>();
  /** Does it; what comes back answers whoever waits. */
  #pending: (() => () => void)[] = [];
  #isDead = false;
  operations = 0;
  /** Bytes that all files together may take. */
  capacityBytes = Infinity;
  /** Gives the code of the error that an operation ends with. */
  fault: ((operation: Operation) => string | undefined) | undefined;
  /** For tests that show what syncing is good for. */
  ignoresSync = { file: false, directory: false };

  constructor({ random = () => 0.5, isManual = false }: SimulatedDiskOptions = {}) {
    this.#random = random;
    this.isManual = isManual;
  }

  /** Operations that were begun and have not ended. */
  get pending(): number {
    return this.#pending.length;
  }

  /** Ends the n-th of those that are under way. @returns false when there is none */
  step(n = 0): boolean {
    const [end] = this.#pending.splice(n % Math.max(1, this.#pending.length), 1);
    end?.()();
    return end !== undefined;
  }

  get files(): string[] {
    return [...this.#names.keys()].toSorted();
  }

  /** Bytes of a file, to look at and to damage. */
  bytesOf(path: string): Buffer {
    return this.#inode(path).content;
  }

  /** Puts a file there, safe. */
  put(path: string, bytes: Uint8Array): void {
    const inode = { content: Buffer.from(bytes), safe: Buffer.from(bytes), changes: [] };
    this.#names.set(path, inode);
    this.#safeNames.set(path, inode);
  }

  /**
   * The end of the process, or of the power too. Operations under way are done, or in part, or not; none of them is ever
   * answered.
   *
   * @returns the disk as it is found afterwards
   */
  crash(kind: 'process' | 'power'): SimulatedDisk {
    // What is under way may still be done by the system.
    for (const end of this.#pending.splice(0)) if (this.#random() < 0.5) end();
    this.#isDead = true;
    const after = new SimulatedDisk({ random: this.#random, isManual: this.isManual });
    if (kind === 'process') {
      for (const [path, inode] of this.#names) after.put(path, inode.content);
      return after;
    }
    const survived = new Map<Inode, Buffer>();
    for (const path of new Set([...this.#safeNames.keys(), ...this.#names.keys()])) {
      const [now, safe] = [this.#names.get(path), this.#safeNames.get(path)];
      const inode = now === safe || this.#random() < 0.5 ? safe : now;
      if (inode === undefined) continue;
      const content = survived.get(inode) ?? this.#survive(inode);
      survived.set(inode, content);
      after.put(path, content);
    }
    return after;
  }

  #survive({ safe, changes }: Inode): Buffer {
    let content: Buffer = Buffer.from(safe);
    // Mostly all or nothing, so that long logs survive too.
    const mood = this.#random();
    for (const change of changes) {
      const luck = mood < 0.2 ? 0 : mood < 0.4 ? 1 : this.#random();
      if ('size' in change) {
        if (luck > 0.5) content = resize(content, change.size);
      } else if (luck > 0.6) content = overwrite(content, change.offset, change.bytes);
      else if (luck > 0.4) {
        // Torn at any byte.
        content = overwrite(content, change.offset, change.bytes.subarray(0, Math.floor(this.#random() * change.bytes.length)));
      } else if (luck > 0.2) content = this.#tearSectors(content, change.offset, change.bytes);
      else if (luck > 0.1) content = resize(content, Math.max(content.length, change.offset + change.bytes.length));
    }
    return content;
  }

  /** Some sectors of a write are there, others hold what was there before, or zeros. */
  #tearSectors(content: Buffer, offset: number, bytes: Buffer): Buffer {
    let torn = resize(content, Math.max(content.length, offset + bytes.length));
    for (let at = 0; at < bytes.length;) {
      const next = Math.min(bytes.length, at + SECTOR_BYTES - ((offset + at) % SECTOR_BYTES));
      if (this.#random() < 0.6) torn = overwrite(torn, offset + at, bytes.subarray(at, next));
      at = next;
    }
    return torn;
  }

  // ---- the disk ----------------------------------------------------------------------------------

  #begin<T>(kind: Operation['kind'], path: string, end: () => T): Promise<T> {
    const number = ++this.operations;
    if (this.#isDead) return new Promise(() => undefined);
    const code = this.fault?.({ number, kind, path });
    return new Promise((resolve, reject) => {
      const done = (): (() => void) => {
        if (code !== undefined) return () => reject(failure(code, kind, path));
        try {
          const result = end();
          return () => resolve(result);
        } catch (error) {
          return () => reject(error as Error);
        }
      };
      if (this.isManual) this.#pending.push(done);
      else
        queueMicrotask(() => {
          if (!this.#isDead) done()();
        });
    });
  }

  #now(kind: Operation['kind'], path: string): void {
    const code = this.fault?.({ number: ++this.operations, kind, path });
    if (code !== undefined) throw failure(code, kind, path);
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure('ENOENT', 'open', path);
    return inode;
  }

  makeDirectory(): Promise<void> {
    return Promise.resolve();
  }

  create(path: string): Promise<DiskFile> {
    return this.#begin('create', path, () => {
      if (this.#names.has(path)) throw failure('EEXIST', 'create', path);
      const inode = { content: Buffer.alloc(0), safe: Buffer.alloc(0), changes: [] };
      this.#names.set(path, inode);
      return this.#file(path, inode);
    });
  }

  open(path: string): DiskFile {
    this.#now('open', path);
    return this.#file(path, this.#inode(path));
  }

  #file(path: string, inode: Inode): DiskFile {
    return {
      write: (bytes, start, end, offset) => {
        const copy = Buffer.from(bytes.subarray(start, end));
        return this.#begin('write', path, () => {
          const grows = Math.max(0, offset + copy.length - inode.content.length);
          const room = this.capacityBytes - [...this.#names.values()].reduce((sum, { content }) => sum + content.length, 0);
          const taken = copy.length - Math.max(0, grows - Math.max(0, room));
          if (taken <= 0) throw failure('ENOSPC', 'write', path);
          const part = copy.subarray(0, taken);
          inode.content = overwrite(inode.content, offset, part);
          inode.changes.push({ offset, bytes: part });
          return taken;
        });
      },
      datasync: () => {
        // Only what was there when it began is promised.
        const count = inode.changes.length;
        return this.#begin('datasync', path, () => {
          if (this.ignoresSync.file) return;
          const changes = inode.changes.splice(0, Math.min(count, inode.changes.length));
          for (const change of changes) {
            inode.safe = 'size' in change ? resize(inode.safe, change.size) : overwrite(inode.safe, change.offset, change.bytes);
          }
        });
      },
      truncate: (size) =>
        this.#begin('truncate', path, () => {
          inode.content = resize(inode.content, size);
          inode.changes.push({ size });
        }),
      readSync: (into, start, length, offset) => {
        this.#now('read', path);
        const part = inode.content.subarray(offset, offset + length);
        into.set(part, start);
        return part.length;
      },
      sizeSync: () => inode.content.length,
      close: () => Promise.resolve(),
    };
  }

  syncDirectory(path: string): Promise<void> {
    return this.#begin('syncDirectory', path, () => {
      if (this.ignoresSync.directory) return;
      for (const name of this.#safeNames.keys())
        if (dirname(name) === path && !this.#names.has(name)) this.#safeNames.delete(name);
      for (const [name, inode] of this.#names) if (dirname(name) === path) this.#safeNames.set(name, inode);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#begin('rename', from, () => {
      const inode = this.#inode(from);
      this.#names.delete(from);
      this.#names.set(to, inode);
    });
  }

  remove(path: string): Promise<void> {
    return this.#begin('remove', path, () => void this.#names.delete(path));
  }

  list(path: string): Promise<string[]> {
    return this.#begin('list', path, () =>
      this.files.filter((name) => dirname(name) === path).map((name) => name.slice(path.length + 1)),
    );
  }

  freeBytes(): Promise<number> {
    return Promise.resolve(this.capacityBytes);
  }
}

function failure(code: string, kind: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${kind} ${path}`), { code });
}

function resize(content: Buffer, size: number): Buffer {
  if (size <= content.length) return Buffer.from(content.subarray(0, size));
  return Buffer.concat([content, Buffer.alloc(size - content.length)]);
}

function overwrite(content: Buffer, offset: number, bytes: Buffer): Buffer {
  const next = offset + bytes.length > content.length ? resize(content, offset + bytes.length) : Buffer.from(content);
  next.set(bytes, offset);
  return next;
}
