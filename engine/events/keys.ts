/** Keys of records, compared as bytes. */
import type { Fields } from './batch.ts';
import type { Fragment } from './field.ts';
import { stringStart } from './msgpack.ts';

/** Whether the text at `keyAt`, which ends at `keyEnd`, is `name`. */
export function keyEquals(b: Uint8Array, keyAt: number, keyEnd: number, name: Uint8Array): boolean {
  const from = keyEnd - name.length;
  // The header takes 1, 2, 3 or 5 bytes; the contents end where the key ends.
  if (from <= keyAt) return false;
  for (let n = name.length - 1; n >= 0; n--) if (b[from + n] !== name[n]) return false;
  return stringStart(b, keyAt) === from;
}

/** Whether one of the fragment's pairs has the key at `keyAt`. */
export function brings(fragment: Fragment, b: Uint8Array, keyAt: number, keyEnd: number): boolean {
  for (const { name } of fragment.pairs) if (keyEquals(b, keyAt, keyEnd, name)) return true;
  return false;
}

/** Sets an own property, whatever its name. */
export function put(record: Fields, key: string, value: unknown): void {
  if (key === '__proto__') Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true });
  else record[key] = value;
}
