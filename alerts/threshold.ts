import { parseFloating } from '../engine/units.ts';

type Sign = '>' | '>=' | '<' | '<=' | '==' | '!=';

/** Holds when one of its limits does. Values of ratios are from 0 to 1. */
export interface Threshold {
  /** As a person would write it: `> 5%`. */
  readonly text: string;
  readonly limits: readonly { readonly sign: Sign; readonly value: number }[];
}

/**
 * Reads `'> 5%'` or `{above: 5%, below: 1%}`.
 *
 * @returns a text that says what is wrong
 */
export function parseThreshold(value: unknown, unit: 'ratio' | 'number'): Threshold | string {
  if (typeof value === 'string') {
    const found = /^\s*(>=|<=|==|!=|>|<|=)\s*(.+)$/.exec(value);
    if (found === null) return 'expected a comparison such as > 5%';
    const sign = (found[1] === '=' ? '==' : found[1]) as Sign;
    const limit = readLimit(found[2] ?? '', unit);
    return typeof limit === 'string' ? limit : { text: `${sign} ${shown(limit, unit)}`, limits: [{ sign, value: limit }] };
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'expected a comparison such as > 5%';
  const limits: { sign: Sign; value: number }[] = [];
  for (const [key, text] of Object.entries(value)) {
    if (key !== 'above' && key !== 'below') return `"${key}" is not known, above and below are`;
    const limit = readLimit(text, unit);
    if (typeof limit === 'string') return limit;
    limits.push({ sign: key === 'above' ? '>' : '<', value: limit });
  }
  if (limits.length === 0) return 'expected above, below or both';
  return { text: limits.map(({ sign, value }) => `${sign} ${shown(value, unit)}`).join(' or '), limits };
}

export function holds(threshold: Threshold, value: number): boolean {
  return threshold.limits.some((limit) => SIGNS[limit.sign](value, limit.value));
}

const SIGNS: Readonly<Record<Sign, (value: number, limit: number) => boolean>> = {
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '==': (value, limit) => value === limit,
  '!=': (value, limit) => value !== limit,
};

function readLimit(value: unknown, unit: 'ratio' | 'number'): number | string {
  const text = typeof value === 'number' ? String(value) : typeof value === 'string' ? value.trim() : '';
  const isPercent = text.endsWith('%');
  const number = parseFloating(isPercent ? text.slice(0, -1) : text);
  if (number === undefined) return `"${text}" is not a number`;
  if (unit === 'number') return isPercent ? 'only a ratio is compared with a percentage' : number;
  // 0.07 * 100 must not become 7.000000000000001 on the way there and back.
  const ratio = isPercent ? Number((number / 100).toPrecision(15)) : number;
  return ratio < 0 || ratio > 1 ? `a ratio is from 0 to 1 (0% to 100%), not ${text}` : ratio;
}

/** A value as people read it: ratios in percent. */
export function shown(value: number, unit: 'ratio' | 'number'): string {
  const rounded = Number((unit === 'ratio' ? value * 100 : value).toPrecision(unit === 'ratio' ? 4 : 6));
  return unit === 'ratio' ? `${rounded}%` : String(rounded);
}
