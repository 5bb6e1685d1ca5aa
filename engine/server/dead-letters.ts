/** Replaying and dropping dead letters while the process runs: it alone marks them then, one request after the other. */
import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import type { Clock } from '../component.ts';
import { isLetterId, type Letter } from '../delivery/dead-letters-format.ts';
import { parseFileName } from '../delivery/dead-letters-names.ts';
import type { Outcome } from '../delivery/dead-letters-replay.ts';
import type { DeadLetterStore } from '../delivery/dead-letters-store.ts';

/** Letters in one request. */
export const LETTERS_MAX = 1000;

const chosen = z.strictObject({
  output: z.string().max(4096),
  file: z.string().refine((name) => parseFileName(name) !== undefined, 'expected the name of a file of letters'),
  ids: z.array(z.string().refine(isLetterId, 'expected the id of a letter')).min(1).max(LETTERS_MAX),
  /** Nothing more comes: files with nothing left in them may go. That reads all of them, so not after every request. */
  isLast: z.boolean().default(false),
});
const replayed = chosen.extend({ to: z.string().max(4096).optional() });

export type ReplayRequest = z.output<typeof replayed>;
type DropRequest = z.output<typeof chosen>;

/** What became of each letter; those that were dealt with before are not in it. */
export interface ReplayAnswer {
  readonly outcomes: readonly (Outcome & { readonly id: string })[];
}

export interface DeadLetterServiceOptions {
  readonly store: DeadLetterStore;
  readonly clock: Clock;
  /** Has an output write the letters. undefined: no output of that id runs. */
  readonly send: (output: string, letters: readonly Letter[]) => Promise<readonly Outcome[] | undefined>;
}

export class DeadLetterService {
  readonly #o: DeadLetterServiceOptions;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(options: DeadLetterServiceOptions) {
    this.#o = options;
  }

  /** Two commands at once must not send a letter twice. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => undefined);
    return result;
  }

  /** @returns undefined when no output of that id runs */
  replay({ output, file, ids, to, isLast }: ReplayRequest): Promise<ReplayAnswer | undefined> {
    return this.#inTurn(async () => {
      const { store, clock, send } = this.#o;
      const letters = await store.pick(output, file, new Set(ids));
      if (letters.length === 0) return { outcomes: [] };
      const outcomes = await send(to ?? output, letters);
      if (outcomes === undefined) return undefined;
      // Only what the server took is marked. Killed before this line, the letter goes again, with the id it had.
      store.mark(
        output,
        letters.filter((_letter, n) => outcomes[n]?.kind === 'delivered'),
        'replayed',
        clock.now(),
      );
      if (isLast) await store.tidy(output, false);
      return { outcomes: letters.map(({ id }, n) => ({ id, ...(outcomes[n] ?? { kind: 'waiting', reason: 'no answer' }) })) };
    });
  }

  /** @returns how many were dropped */
  drop({ output, file, ids, isLast }: DropRequest): Promise<number> {
    return this.#inTurn(async () => {
      const { store, clock } = this.#o;
      const letters = await store.pick(output, file, new Set(ids));
      store.mark(output, letters, 'dropped', clock.now());
      if (isLast) await store.tidy(output, false);
      return letters.length;
    });
  }
}

export function addDeadLetterRoutes(app: FastifyInstance, service: DeadLetterService): void {
  app.post('/api/v1/dlq/replay', async (request, reply) => {
    const parsed = replayed.safeParse(request.body);
    if (!parsed.success) return reply.code(400).send({ error: z.prettifyError(parsed.error) });
    const answer = await service.replay(parsed.data);
    if (answer !== undefined) return answer;
    return reply.code(404).send({ error: `no output ${parsed.data.to ?? parsed.data.output} runs` });
  });
  app.post('/api/v1/dlq/drop', async (request, reply) => {
    const parsed = chosen.safeParse(request.body);
    if (!parsed.success) return reply.code(400).send({ error: z.prettifyError(parsed.error) });
    return { dropped: await service.drop(parsed.data) };
  });
}
