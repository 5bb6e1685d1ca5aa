/** How the programs of the benchmark are talked to: one question at a time over the channel of `fork`, one answer each. */

/** Answers each question of the parent with what `answer` gives; ends when the parent is gone. */
export function serve<Q, A>(answer: (question: Q) => Promise<A> | A): void {
  process.on('message', (question: Q) => {
    Promise.resolve(answer(question)).then(
      (result) => process.send?.({ result }),
      (error: unknown) => process.send?.({ error: String(error) }),
    );
  });
  process.on('disconnect', () => process.exit(0));
  process.send?.({ result: 'ready' });
}
