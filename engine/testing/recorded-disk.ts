/** Writes down what is asked of a disk, begin and end of each operation, so that a run can be cut off at any moment. */
import type { Disk, DiskFile } from '../log/disk.ts';
import { SimulatedDisk } from './simulated-disk.ts';

type Asked =
  | { readonly do: 'create'; readonly path: string }
  | { readonly do: 'remove'; readonly path: string }
  | { readonly do: 'syncDirectory'; readonly path: string }
  | { readonly do: 'datasync'; readonly path: string }
  | { readonly do: 'rename'; readonly path: string; readonly to: string }
  | { readonly do: 'truncate'; readonly path: string; readonly size: number }
  | { readonly do: 'write'; readonly path: string; readonly offset: number; readonly bytes: Buffer };

/** `number` ties the end of an operation to its beginning; `note` is what the test wrote between them. */
export type Recorded =
  | { readonly kind: 'begin'; readonly number: number; readonly asked: Asked }
  | { readonly kind: 'end'; readonly number: number }
  | { readonly kind: 'note'; readonly note: string };

export class RecordedDisk implements Disk {
  readonly #disk: Disk;
  readonly entries: Recorded[] = [];
  #operations = 0;

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  note(note: string): void {
    this.entries.push({ kind: 'note', note });
  }

  async #record<T>(asked: Asked, run: Promise<T>): Promise<T> {
    const number = this.#operations++;
    this.entries.push({ kind: 'begin', number, asked });
    const result = await run;
    this.entries.push({ kind: 'end', number });
    return result;
  }

  makeDirectory(path: string): Promise<void> {
    return this.#disk.makeDirectory(path);
  }

  async create(path: string): Promise<DiskFile> {
    return this.#file(path, await this.#record({ do: 'create', path }, this.#disk.create(path)));
  }

  open(path: string, mode: 'read' | 'write'): DiskFile {
    return this.#file(path, this.#disk.open(path, mode));
  }

  #file(path: string, file: DiskFile): DiskFile {
    return {
      write: (bytes, start, end, offset) => {
        const copy = Buffer.from(bytes.subarray(start, end));
        return this.#record({ do: 'write', path, offset, bytes: copy }, file.write(bytes, start, end, offset));
      },
      datasync: () => this.#record({ do: 'datasync', path }, file.datasync()),
      truncate: (size) => this.#record({ do: 'truncate', path, size }, file.truncate(size)),
      readSync: (into, start, length, offset) => file.readSync(into, start, length, offset),
      sizeSync: () => file.sizeSync(),
      close: () => file.close(),
    };
  }

  syncDirectory(path: string): Promise<void> {
    return this.#record({ do: 'syncDirectory', path }, this.#disk.syncDirectory(path));
  }
  rename(from: string, to: string): Promise<void> {
    return this.#record({ do: 'rename', path: from, to }, this.#disk.rename(from, to));
  }
  remove(path: string): Promise<void> {
    return this.#record({ do: 'remove', path }, this.#disk.remove(path));
  }
  list(path: string): Promise<string[]> {
    return this.#disk.list(path);
  }
  freeBytes(path: string): Promise<number> {
    return this.#disk.freeBytes(path);
  }
}

/** What a disk looks like that the first `count` entries have reached when the power fails. */
export async function diskAfter(
  entries: readonly Recorded[],
  count: number,
  random: () => number,
  prepare: (disk: SimulatedDisk) => void,
): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ random, isManual: true });
  prepare(disk);
  const files = new Map<string, DiskFile>();
  /** Numbers of the operations under way, in the order in which the disk has them. */
  const pending: number[] = [];
  const begin = (asked: Asked): void => {
    const { path } = asked;
    const file = files.get(path);
    // Nobody waits for an answer: the end of the operation is an entry of its own.
    if (asked.do === 'create') void disk.create(path).then((made) => files.set(path, made));
    else if (asked.do === 'remove') void disk.remove(path);
    else if (asked.do === 'syncDirectory') void disk.syncDirectory(path);
    else if (asked.do === 'rename') void disk.rename(path, asked.to);
    else if (asked.do === 'datasync') void file?.datasync();
    else if (asked.do === 'truncate') void file?.truncate(asked.size);
    else void file?.write(asked.bytes, 0, asked.bytes.length, asked.offset);
  };
  for (const entry of entries.slice(0, count)) {
    if (entry.kind === 'begin') {
      begin(entry.asked);
      pending.push(entry.number);
    } else if (entry.kind === 'end') {
      const index = pending.indexOf(entry.number);
      pending.splice(index, 1);
      disk.step(index);
      // A file that was made is there for what follows.
      await Promise.resolve();
      await Promise.resolve();
    }
  }
  const after = disk.crash('power');
  after.isManual = false;
  return after;
}
