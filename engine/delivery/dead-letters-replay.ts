/**
 * Dead letters go again: straight to the output that they were for, with the ids they had. Behind its filters, because the
 * event is kept as the output got it; with its old id, because an index that has the event after all then says so (409)
 * instead of holding it twice.
 */
import { randomBytes } from 'node:crypto';
import type { Output, Verdict } from '../component.ts';
import { messageOf } from '../errors.ts';
import type { Batch } from '../events/batch.ts';
import type { Letter } from './dead-letters-format.ts';

/** What became of a letter, in the order of the letters. */
export type Outcome =
  | { readonly kind: 'delivered' }
  /** The server will not have it, as before. */
  | { readonly kind: 'refused'; readonly reason: string }
  /** It was not decided; the letter stays as it is. */
  | { readonly kind: 'waiting'; readonly reason: string };

/** Writes the letters in as many chunks as they have different metadata. Never throws. */
export async function replayLetters(output: Output, letters: readonly Letter[], signal: AbortSignal): Promise<Outcome[]> {
  const outcomes: Outcome[] = letters.map(() => ({ kind: 'waiting', reason: 'not tried' }));
  const groups = new Map<string, number[]>();
  for (const [n, { metadata }] of letters.entries()) {
    const key = JSON.stringify(metadata);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [n]);
    else group.push(n);
  }
  for (const group of groups.values()) {
    const chosen = group.map((n) => letters[n] as Letter);
    for (const [n, outcome] of (await writeOnce(output, chosen, signal)).entries()) outcomes[group[n] as number] = outcome;
  }
  return outcomes;
}

async function writeOnce(output: Output, letters: readonly Letter[], signal: AbortSignal): Promise<Outcome[]> {
  const batches = letters.map(batchOf);
  const bytes = batches.reduce((sum, { end }) => sum + end, 0);
  const id = randomBytes(16).toString('hex');
  const { metadata } = letters[0] as Letter;
  let verdict: Verdict;
  try {
    verdict = await output.write({ id, metadata, batches, count: batches.length, bytes, attempt: 0 }, signal);
  } catch (error) {
    verdict = { retry: 'all', reason: messageOf(error) };
  }
  if (verdict === 'delivered') return letters.map(() => ({ kind: 'delivered' }));
  const { retry, refused, reason = 'the output asked for another try' } = verdict;
  const outcomes: Outcome[] = letters.map(() => (retry === 'all' ? { kind: 'waiting', reason } : { kind: 'delivered' }));
  if (Array.isArray(retry)) for (const index of retry) if (index in outcomes) outcomes[index] = { kind: 'waiting', reason };
  for (const one of refused ?? []) if (one.index in outcomes) outcomes[one.index] = { kind: 'refused', reason: one.reason };
  return outcomes;
}

function batchOf({ tag, event, place, index }: Letter): Batch {
  const batch = { tag, bytes: event, start: 0, end: event.length, count: 1, ids: Uint32Array.of(index) };
  return place === undefined ? batch : { ...batch, place };
}
