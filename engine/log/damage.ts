import { join, basename } from 'node:path';
import type { Log } from '../component.ts';
import { messageOf } from '../errors.ts';
import { writeAll, type Disk } from './disk.ts';
import { firstPosition, type Segment } from './segment.ts';

/** Copies of damaged bytes beyond are not made; the damage is counted and named all the same. */
const KEPT_BYTES = 64 << 20;
const COPY_BYTES = 1 << 20;

/** Sets aside what is no frame: copied to `damaged/` beside the segments, counted, and named in the own log, once. */
export class Damage {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #log: Log;
  /** `segment:offset` of what is known. */
  readonly #known = new Set<string>();
  #copied = 0;
  #copying: Promise<void> = Promise.resolve();
  readonly metrics = { log_damaged_ranges: 0, log_damaged_bytes: 0 };

  constructor(disk: Disk, directory: string, log: Log) {
    this.#disk = disk;
    this.#directory = join(directory, 'damaged');
    this.#log = log;
  }

  /** Bytes `[from, to)` of a segment's file are no frames. */
  report(segment: Segment, from: number, to: number): void {
    const key = `${segment.sequence}:${from}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    const { metrics } = this;
    metrics.log_damaged_ranges++;
    metrics.log_damaged_bytes += to - from;
    const position = segment.base + from;
    const name = `${basename(segment.path, '.log')}-${from}.bin`;
    const isKept = this.#copied + to - from <= KEPT_BYTES && position >= firstPosition(segment);
    const fields = { segment: segment.path, offset: from, bytes: to - from, position };
    if (!isKept) {
      this.#log.error(fields, 'a part of the log is damaged and was left out');
      return;
    }
    this.#copied += to - from;
    this.#log.error({ ...fields, copy: join(this.#directory, name) }, 'a part of the log is damaged and was set aside');
    this.#copying = this.#copying.then(() => this.#copy(segment.path, name, from, to));
  }

  async #copy(path: string, name: string, from: number, to: number): Promise<void> {
    try {
      await this.#disk.makeDirectory(this.#directory);
      if ((await this.#disk.list(this.#directory)).includes(name)) return;
      const source = this.#disk.open(path, 'read');
      const copy = await this.#disk.create(join(this.#directory, name));
      const bytes = Buffer.alloc(COPY_BYTES);
      for (let at = from; at < to;) {
        const read = source.readSync(bytes, 0, Math.min(COPY_BYTES, to - at), at);
        if (read === 0) break;
        await writeAll(copy, bytes.subarray(0, read), at - from);
        at += read;
      }
      await copy.datasync();
      await copy.close();
      await source.close();
    } catch (error) {
      this.#log.error({ segment: path, reason: messageOf(error) }, 'a damaged part of the log could not be copied');
    }
  }

  /** The copies are done. */
  settled(): Promise<void> {
    return this.#copying;
  }

  /** Moves a file whose header is damaged out of the way. */
  async moveFile(path: string, bytes: number): Promise<void> {
    this.metrics.log_damaged_ranges++;
    this.metrics.log_damaged_bytes += bytes;
    await this.#disk.makeDirectory(this.#directory);
    const to = join(this.#directory, basename(path));
    await this.#disk.rename(path, to);
    await this.#disk.syncDirectory(this.#directory);
    this.#log.error({ segment: path, bytes, to }, 'a segment of the log has a damaged header and was set aside');
  }
}
