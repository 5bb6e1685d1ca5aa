/**
 * The file that keeps an output's progress: three slots, written in turn, so that a slot that was cut off by a crash leaves
 * an older one to fall back to.
 *
 *     slot n at n * SLOT_BYTES, little-endian
 *      0  'MRPROG1\n'
 *      8  u32 CRC-32 of everything from 12 to the end of the slot's content
 *     12  u32 length of the content, head included
 *     16  u64 sequence number: the valid slot with the highest one counts
 *     24  u64 low-water mark
 *     32  u32 number of finished ranges, u32 zero
 *     40  u64 begin, u64 end of each finished range, rising
 *
 * Three slots and not two: the newest slot and the newest one that is certainly on the disk are never overwritten, so that
 * neither a killed process (which may cut a write short) nor a power cut (which may lose everything since the last sync)
 * costs more than what was written since.
 */
import { closeSync, constants, fdatasync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Position } from '../log/entrance-log.ts';

/** Ranges that a slot has room for. */
export const MAX_RANGES = 10_000;
const HEAD_BYTES = 40;
const RANGE_BYTES = 16;
const SLOTS = 3;
/** `HEAD_BYTES + MAX_RANGES * RANGE_BYTES`, rounded up to pages. */
export const SLOT_BYTES = 40 * 4096;
const MAGIC = Buffer.from('MRPROG1\n', 'latin1');

/** What is known to be finished. */
export interface Saved {
  readonly lowWater: Position;
  /** Begin and end in turn; rising, all above the low-water mark. */
  readonly ranges: readonly Position[];
}

/** The part of a disk that is needed, so that tests can crash it. */
export interface SlotStore {
  /** Fills `into` from `at` on; bytes beyond the end stay as they are. */
  read(into: Buffer, at: number): void;
  write(bytes: Buffer, at: number): void;
  /** Everything written before the call is safe once `done` is called. */
  sync(done: (error: Error | null) => void): void;
  close(): void;
}

/** Keeps the newest state in a store; knows which slot may be overwritten. */
export class ProgressFile {
  readonly #store: SlotStore;
  #sequence = 0;
  /** Slot of the newest state, of the newest one that is certainly on the disk, and of the one under way there; -1: none. */
  #newest = -1;
  #synced = -1;
  #syncing = -1;
  #isDirty = false;
  /** Calls of `sync` that wait for the one under way, which may not take in all that they shall. */
  #behind: (() => void)[] = [];
  #buffer = Buffer.alloc(HEAD_BYTES + 64 * RANGE_BYTES);

  constructor(store: SlotStore) {
    this.#store = store;
  }

  /** The newest state that is whole; undefined when there is none. */
  load(): Saved | undefined {
    const slot = Buffer.alloc(SLOT_BYTES);
    let newest: Saved | undefined;
    for (let n = 0; n < SLOTS; n++) {
      this.#store.read(slot.fill(0), n * SLOT_BYTES);
      const found = decode(slot);
      if (found === undefined || found.sequence <= this.#sequence) continue;
      this.#sequence = found.sequence;
      this.#newest = this.#synced = n;
      newest = found;
    }
    return newest;
  }

  /**
   * @param ranges  begin and end in turn, rising; those beyond `MAX_RANGES` are not kept
   * @throws what the disk says; the state that was there before stays
   */
  save(lowWater: Position, ranges: readonly Position[]): void {
    // While a sync is under way nobody knows which bytes it takes, so the third slot is written again and again.
    const other = this.#syncing >= 0 ? this.#syncing : this.#newest;
    let slot = 0;
    while (slot === this.#synced || slot === other) slot++;
    this.#store.write(this.#encode(this.#sequence + 1, lowWater, ranges), slot * SLOT_BYTES);
    this.#sequence++;
    this.#newest = slot;
    this.#isDirty = true;
  }

  /** Puts what was saved so far on the disk. */
  sync(done: (error: Error | null) => void): void {
    if (this.#syncing >= 0) {
      this.#behind.push(() => this.sync(done));
      return;
    }
    if (!this.#isDirty) return done(null);
    this.#isDirty = false;
    this.#syncing = this.#newest;
    this.#store.sync((error) => {
      if (error === null) this.#synced = this.#syncing;
      else this.#isDirty = true;
      this.#syncing = -1;
      done(error);
      for (const again of this.#behind.splice(0)) again();
    });
  }

  close(): void {
    this.#store.close();
  }

  #encode(sequence: number, lowWater: Position, ranges: readonly Position[]): Buffer {
    const count = Math.min(ranges.length >> 1, MAX_RANGES);
    const length = HEAD_BYTES + count * RANGE_BYTES;
    if (this.#buffer.length < length) this.#buffer = Buffer.alloc(Math.min(SLOT_BYTES, length * 2));
    const b = this.#buffer;
    MAGIC.copy(b);
    b.writeUInt32LE(length, 12);
    writeU64(b, sequence, 16);
    writeU64(b, lowWater, 24);
    b.writeUInt32LE(count, 32);
    b.writeUInt32LE(0, 36);
    for (let n = 0; n < count * 2; n++) writeU64(b, ranges[n] as number, HEAD_BYTES + n * 8);
    b.writeUInt32LE(crc32(b.subarray(12, length)), 8);
    return b.subarray(0, length);
  }
}

function decode(slot: Buffer): (Saved & { readonly sequence: number }) | undefined {
  if (!slot.subarray(0, 8).equals(MAGIC)) return undefined;
  const length = slot.readUInt32LE(12);
  const count = slot.readUInt32LE(32);
  if (count > MAX_RANGES || length !== HEAD_BYTES + count * RANGE_BYTES) return undefined;
  if (crc32(slot.subarray(12, length)) !== slot.readUInt32LE(8)) return undefined;
  const ranges: Position[] = [];
  for (let n = 0; n < count * 2; n++) ranges.push(readU64(slot, HEAD_BYTES + n * 8));
  return { sequence: readU64(slot, 16), lowWater: readU64(slot, 24), ranges };
}

/** Positions and sequence numbers stay below 2^53. */
function writeU64(b: Buffer, value: number, at: number): void {
  b.writeUInt32LE(value >>> 0, at);
  b.writeUInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
}

const readU64 = (b: Buffer, at: number): number => b.readUInt32LE(at) + b.readUInt32LE(at + 4) * 0x1_0000_0000;

/**
 * The file at `path`, made with its directory when it is not there.
 *
 * @throws what the disk says
 */
export function openSlots(path: string): SlotStore {
  mkdirSync(dirname(path), { recursive: true });
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o640);
  return {
    read(into, at) {
      for (let got = 0; got < into.length;) {
        const more = readSync(file, into, got, into.length - got, at + got);
        if (more === 0) break;
        got += more;
      }
    },
    write(bytes, at) {
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, at + done);
    },
    sync: (done) => fdatasync(file, done),
    close: () => closeSync(file),
  };
}
