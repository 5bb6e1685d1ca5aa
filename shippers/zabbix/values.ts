import type { SenderItem } from './protocol.ts';

/** Value types of Zabbix items that take numbers or text. */
export type ItemType = 'float' | 'uint' | 'char' | 'text' | 'log';

export type Refusal = 'not-a-number' | 'not-finite' | 'fraction' | 'range' | 'no-value';
export type Rendered = { readonly send: string } | { readonly refuse: Refusal };

const UINT_MAX = 2n ** 64n - 1n;
/** Servers cut longer texts by characters and say nothing; cutting here makes it the same for all of them. */
const TEXT_CHARACTERS_MAX: Readonly<Record<'char' | 'text' | 'log', number>> = { char: 255, text: 65_535, log: 65_535 };
const DECIMAL = /^[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?$/i;

/**
 * Writes a value as a server will take it for an item of that type. What a server would count as processed and then
 * throw away (a comma in a number, NaN, a fraction for an unsigned item) is refused here, where somebody can see it.
 */
export function renderValue(value: unknown, type: ItemType): Rendered {
  if (value === undefined || value === null) return { refuse: 'no-value' };
  if (type === 'float') return renderFloat(value);
  if (type === 'uint') return renderUint(value);
  return { send: cutText(textOf(value), TEXT_CHARACTERS_MAX[type]) };
}

/** Numbers as numbers, everything else as text: for items whose type is not known here. */
export function renderAny(value: unknown): Rendered {
  return typeof value === 'number' ? renderFloat(value) : renderValue(value, 'text');
}

function renderFloat(value: unknown): Rendered {
  if (typeof value === 'bigint') return { send: String(value) };
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return { refuse: 'not-finite' };
    return { send: String(value === 0 ? 0 : value) };
  }
  if (typeof value !== 'string') return { refuse: 'not-a-number' };
  const text = value.trim();
  if (/^[-+]?(?:nan|inf|infinity)$/i.test(text)) return { refuse: 'not-finite' };
  if (!DECIMAL.test(text)) return { refuse: 'not-a-number' };
  return Number.isFinite(Number(text)) ? { send: text } : { refuse: 'not-finite' };
}

function renderUint(value: unknown): Rendered {
  if (typeof value === 'bigint') return uintInRange(value);
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) return { refuse: 'not-finite' };
    return Number.isInteger(value) ? uintInRange(BigInt(value)) : { refuse: 'fraction' };
  }
  if (typeof value !== 'string') return { refuse: 'not-a-number' };
  const text = value.trim();
  if (/^[-+]?(?:nan|inf|infinity)$/i.test(text)) return { refuse: 'not-finite' };
  if (/^[-+]?\d+$/.test(text)) return text.length > 40 ? { refuse: 'range' } : uintInRange(BigInt(text.replace(/^\+/, '')));
  if (!DECIMAL.test(text)) return { refuse: 'not-a-number' };
  // 1e3 and 5.0: whole numbers in a form that Zabbix 6.0 refuses.
  const number = Number(text);
  if (!Number.isFinite(number)) return { refuse: 'not-finite' };
  return Number.isInteger(number) ? uintInRange(BigInt(number)) : { refuse: 'fraction' };
}

const uintInRange = (value: bigint): Rendered =>
  value < 0n || value > UINT_MAX ? { refuse: 'range' } : { send: value.toString() };

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null) return JSON.stringify(value);
  return String(value);
}

/** Well-formed, without NUL (servers cut there), at most `max` characters. */
function cutText(text: string, max: number): string {
  const clean = text.replaceAll('\0', '').toWellFormed();
  if (clean.length <= max) return clean;
  let end = 0;
  for (let characters = 0; characters < max && end < clean.length; characters++)
    end += (clean.codePointAt(end) ?? 0) > 0xff_ff ? 2 : 1;
  return clean.slice(0, end);
}

/**
 * Splits a time into what the protocol carries: servers refuse a fractional clock and one of 13 digits.
 *
 * @param seconds  since the epoch, rounded to microseconds (a double cannot carry more at today's dates)
 * @returns undefined when it is before the epoch, beyond 32 bits, or no number
 */
export function clockOf(seconds: number): { clock: number; ns: number } | undefined {
  if (!Number.isFinite(seconds) || seconds < 0) return undefined;
  const whole = Math.floor(seconds);
  return carry(whole, Math.round((seconds - whole) * 1e6) * 1000);
}

/** Like `clockOf`, from milliseconds. */
export function clockOfMs(ms: number): { clock: number; ns: number } | undefined {
  if (!Number.isFinite(ms) || ms < 0) return undefined;
  const clock = Math.floor(ms / 1000);
  return carry(clock, Math.round((ms - clock * 1000) * 1e3) * 1e3);
}

/** Brings `ns` below 10^9 by carrying into the clock. */
export function carry(clock: number, ns: number): { clock: number; ns: number } | undefined {
  const whole = clock + Math.floor(ns / 1e9);
  return Number.isInteger(ns) && whole >= 0 && whole < 2 ** 31 ? { clock: whole, ns: ((ns % 1e9) + 1e9) % 1e9 } : undefined;
}

/** 250 is the habit of zabbix_sender; servers take more. */
export const BATCH_RECORDS_MAX = 250;

/**
 * Splits records into requests, in order.
 *
 * @param byHost  one host a request: a proxy of a proxy group looks only at the first record's host
 */
export function splitBatches<T extends { readonly host: string }>(
  items: readonly T[],
  options: { readonly maxRecords?: number; readonly byHost?: boolean } = {},
): T[][] {
  const size = options.maxRecords ?? BATCH_RECORDS_MAX;
  const runs = options.byHost === true ? [...Map.groupBy(items, (item) => item.host).values()] : [items];
  return runs.flatMap((run) =>
    Array.from({ length: Math.ceil(run.length / size) }, (_, index) => run.slice(index * size, (index + 1) * size)),
  );
}

/** Gives records of the same host, key and time rising nanoseconds, so that none replaces another. */
export function spreadNanoseconds<T extends Partial<SenderItem>>(items: readonly T[]): T[] {
  // A taken time maps to the next one to try, so that many repeats of one time cost no more than few.
  const taken = new Map<string, { clock: number; ns: number }>();
  return items.map((item) => {
    if (item.clock === undefined) return item;
    const name = (time: { clock: number; ns: number }): string => JSON.stringify([item.host, item.key, time.clock, time.ns]);
    const own = { clock: item.clock, ns: item.ns ?? 0 };
    let free = own;
    for (let next = taken.get(name(free)); next !== undefined; next = taken.get(name(free))) free = next;
    const after = carry(free.clock, free.ns + 1);
    // At the end of 32 bits there is no later time: repeats keep what they have.
    if (after === undefined) return item;
    taken.set(name(free), after);
    if (free === own) return item;
    taken.set(name(own), after);
    return { ...item, ...free };
  });
}

export interface Totals {
  readonly processed: number;
  readonly failed: number;
  readonly total: number;
}

/** Adds up the answers to several requests; a count that was not said adds nothing. */
export function addReplies(
  replies: readonly { processed: number | undefined; failed: number | undefined; total: number | undefined }[],
): Totals {
  const sum = (pick: (reply: (typeof replies)[number]) => number | undefined): number =>
    replies.reduce((all, reply) => all + (pick(reply) ?? 0), 0);
  return { processed: sum((r) => r.processed), failed: sum((r) => r.failed), total: sum((r) => r.total) };
}
