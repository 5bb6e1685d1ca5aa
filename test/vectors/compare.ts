import { isDeepStrictEqual } from 'node:util';
import type { CaseResult, VectorFile } from './adapter.ts';

export type Case = Readonly<Record<string, unknown>> & {
  readonly id: string;
  readonly group: string;
  readonly expected: unknown;
};

/** The cases of a Fluentd vector file. */
export function casesOf(file: VectorFile): Case[] {
  return (file.json['vectors'] ?? []) as Case[];
}

/** Passed when both are deeply equal as JSON values; maps compare without regard to order. */
export function compared(id: string, actual: unknown, expected: unknown): CaseResult {
  if (isDeepStrictEqual(actual, expected)) return { id };
  return { id, difference: `expected ${shown(expected)}, got ${shown(actual)}` };
}

export const expectsError = (expected: unknown): boolean =>
  typeof expected === 'object' && expected !== null && 'error' in expected;

export function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? String(value);
  return text.length > 600 ? `${text.slice(0, 600)}...` : text;
}
