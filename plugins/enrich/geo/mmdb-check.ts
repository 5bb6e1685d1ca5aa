/**
 * Walks a value of a MaxMind database before mmdb-lib decodes it. mmdb-lib trusts its file: pointers in a circle overflow
 * the stack, and a few kilobytes of maps that point at maps decode into more values than memory holds.
 *
 *     control byte  tttsssss  type, size      t = 0: the next byte + 7 is the type      t = 1: pointer, ss = its bytes - 1
 *     size 29, 30, 31: 29 + next byte, 285 + next two, 65821 + next three
 *
 * @see https://maxmind.github.io/MaxMind-DB/
 */

/** Real records have below 200 values and nest 5 deep. */
const VALUES_MAX = 20_000;
const DEPTH_MAX = 32;

const POINTER = 1;
const STRING = 2;
const BYTES = 4;
const MAP = 7;
const ARRAY = 11;
const BOOLEAN = 14;
/** Type to bytes: those whose size is fixed, or bounded. */
const FIXED: Readonly<Record<number, number>> = { 3: 8, 15: 4 };
const INTEGER_BYTES_MAX: Readonly<Record<number, number>> = { 5: 2, 6: 4, 8: 4, 9: 8, 10: 16 };

interface Walk {
  readonly bytes: Buffer;
  /** Where pointers count from. */
  readonly base: number;
  values: number;
}

/**
 * @param at  offset of the value in `bytes`
 * @param base  start of the section that pointers count from
 * @returns what is wrong, or undefined
 */
export function wrongWithValue(bytes: Buffer, at: number, base: number): string | undefined {
  const walk: Walk = { bytes, base, values: 0 };
  try {
    skip(walk, at, 0);
    return undefined;
  } catch (error) {
    if (error instanceof Damage) return error.message;
    throw error;
  }
}

class Damage extends Error {}

/** @returns the offset behind the value (behind the pointer, when it is one) */
function skip(walk: Walk, at: number, depth: number): number {
  if (++walk.values > VALUES_MAX) throw new Damage(`a record of more than ${VALUES_MAX} values`);
  if (depth > DEPTH_MAX) throw new Damage(`values nested more than ${DEPTH_MAX} deep, or in a circle`);
  const control = byteAt(walk, at);
  let type = control >> 5;
  let next = at + 1;
  if (type === POINTER) return skipPointer(walk, control, next, depth);
  if (type === 0) type = byteAt(walk, next++) + 7;
  const sizeBytes = Math.max(0, (control & 31) - 28);
  const extra = sizeBytes === 0 ? 0 : uint(walk, next, sizeBytes);
  const size = sizeBytes === 0 ? control & 31 : [29, 285, 65_821][sizeBytes - 1]! + extra;
  next += sizeBytes;
  if (type === MAP || type === ARRAY) {
    for (let i = 0; i < size; i++) {
      if (type === MAP) next = skipKey(walk, next, depth);
      next = skip(walk, next, depth + 1);
    }
    return next;
  }
  if (type === BOOLEAN) return next;
  const length = FIXED[type] ?? size;
  const isInteger = INTEGER_BYTES_MAX[type] !== undefined;
  if (isInteger && size > INTEGER_BYTES_MAX[type]!) throw new Damage(`an integer of ${size} bytes`);
  if (!isInteger && FIXED[type] === undefined && type !== STRING && type !== BYTES) throw new Damage(`unknown type ${type}`);
  if (FIXED[type] !== undefined && size !== FIXED[type]) throw new Damage(`a number of ${size} bytes`);
  if (next + length > walk.bytes.length) throw new Damage('a value reaches beyond the end of the file');
  return next + length;
}

function skipKey(walk: Walk, at: number, depth: number): number {
  const target = resolve(walk, at);
  if (byteAt(walk, target) >> 5 !== STRING) throw new Damage('a map whose key is no string');
  return skip(walk, at, depth + 1);
}

function skipPointer(walk: Walk, control: number, next: number, depth: number): number {
  const target = pointerTarget(walk, control, next);
  // The format forbids a pointer to a pointer.
  if (byteAt(walk, target) >> 5 === POINTER) throw new Damage('a pointer to a pointer');
  skip(walk, target, depth + 1);
  return next + ((control >> 3) & 3) + 1;
}

function resolve(walk: Walk, at: number): number {
  const control = byteAt(walk, at);
  return control >> 5 === POINTER ? pointerTarget(walk, control, at + 1) : at;
}

function pointerTarget(walk: Walk, control: number, next: number): number {
  const size = (control >> 3) & 3;
  const low = uint(walk, next, size + 1);
  const value = size === 3 ? low : (control & 7) * 256 ** (size + 1) + low + [0, 2048, 526_336][size]!;
  return walk.base + value;
}

function byteAt({ bytes }: Walk, at: number): number {
  const byte = bytes[at];
  if (byte === undefined) throw new Damage('a value lies beyond the end of the file');
  return byte;
}

function uint({ bytes }: Walk, at: number, length: number): number {
  if (at + length > bytes.length) throw new Damage('a value lies beyond the end of the file');
  return bytes.readUIntBE(at, length);
}
