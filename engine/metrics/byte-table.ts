/** What a ByteTable holds: one object per distinct key. */
export interface Slot {
  readonly key: Uint8Array;
  readonly hash: number;
  /** The table's own: the next slot of the same bucket. */
  next: Slot | undefined;
}

/** FNV-1a; start with `HASH_SEED` and go on over several ranges. */
export const HASH_SEED = 0x811c_9dc5;
export function hashBytes(bytes: Uint8Array, from: number, to: number, hash = HASH_SEED): number {
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x0100_0193);
  return hash;
}

/**
 * Keys of a bucket are compared one by one. With buckets doubled as slots come, a longer chain is no accident but keys
 * made to collide; they are refused rather than searched for.
 */
const MAX_CHAIN = 64;

/** Finds objects by the bytes of their key without making a string or a copy. Does not bound itself: see `size`. */
export class ByteTable<T extends Slot> {
  #buckets: (T | undefined)[] = Array.from<T | undefined>({ length: 256 });
  size = 0;

  find(bytes: Uint8Array, from: number, to: number, hash: number): T | undefined {
    const length = to - from;
    for (let slot = this.#buckets[this.#bucket(hash)]; slot !== undefined; slot = slot.next as T | undefined) {
      if (slot.hash === hash && slot.key.length === length && equals(slot.key, bytes, from)) return slot;
    }
    return undefined;
  }

  /** @returns false when too many keys share its bucket: not added */
  add(slot: T): boolean {
    const bucket = this.#bucket(slot.hash);
    let chain = 0;
    for (let other = this.#buckets[bucket]; other !== undefined; other = other.next as T | undefined) chain++;
    if (chain >= MAX_CHAIN) return false;
    slot.next = this.#buckets[bucket];
    this.#buckets[bucket] = slot;
    if (++this.size > this.#buckets.length) this.#rebuild([...this], this.#buckets.length * 4);
    return true;
  }

  /** Keeps the slots for which `wanted` is true. */
  prune(wanted: (slot: T) => boolean): void {
    const kept = [...this].filter(wanted);
    if (kept.length < this.size) this.#rebuild(kept, this.#buckets.length);
  }

  #rebuild(slots: readonly T[], buckets: number): void {
    this.#buckets = Array.from<T | undefined>({ length: buckets });
    this.size = slots.length;
    for (const slot of slots) {
      const bucket = this.#bucket(slot.hash);
      slot.next = this.#buckets[bucket];
      this.#buckets[bucket] = slot;
    }
  }

  *[Symbol.iterator](): Generator<T> {
    for (const first of this.#buckets) for (let slot = first; slot !== undefined; slot = slot.next as T | undefined) yield slot;
  }

  // The low bits of FNV alone are weak for short keys.
  #bucket(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#buckets.length - 1);
  }
}

function equals(key: Uint8Array, bytes: Uint8Array, from: number): boolean {
  for (let n = 0; n < key.length; n++) if (key[n] !== bytes[from + n]) return false;
  return true;
}
