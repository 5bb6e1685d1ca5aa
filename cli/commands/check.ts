import { formatProblems, hasErrors } from '../../engine/config/problems.ts';
import { EXIT } from '../../engine/errors.ts';
import { readConfiguration } from '../configuration.ts';
import type { Streams } from '../output.ts';
import { checkBoards } from '../targets.ts';

/** Shows everything that is wrong with a configuration, at once. */
export async function check(path: string, options: { readonly json?: boolean }, { out, err }: Streams): Promise<number> {
  const { problems, rules, loaded } = await readConfiguration({ path });
  const boards = checkBoards();
  const isSound = !hasErrors(problems) && boards.length === 0;
  if (options.json === true) {
    out(`${JSON.stringify({ schema: 'millrace/check@1', sound: isSound, problems, boards }, undefined, 2)}\n`);
  } else {
    if (problems.length > 0) err(formatProblems(problems));
    for (const sentence of boards) err(`board: ${sentence}\n`);
    const count = (name: string): number => loaded.root.sections.filter((section) => section.name === name).length;
    if (isSound)
      out(
        `${path}: sound; ${count('source')} sources, ${count('filter')} filters, ${count('match')} matches, ${rules.length} rules\n`,
      );
  }
  return isSound ? EXIT.ok : EXIT.config;
}
