import { memoryFiles } from '../../engine/config/files.ts';
import { loadConfig } from '../../engine/config/load.ts';
import type { Section } from '../../engine/config/model.ts';
import type { CaseResult, VectorAdapter } from './adapter.ts';
import { casesOf, compared, expectsError, shown, type Case } from './compare.ts';

/** Behaviour that is different on purpose, by the case's id. */
const DEVIATIONS: ReadonlyMap<string, string> = new Map([
  ['inc-yaml-tag-list', 'a list of tags means any of them; joined with commas it would match only a tag with commas'],
]);

export const adapter: VectorAdapter = {
  *run(file): Iterable<CaseResult> {
    for (const item of casesOf(file)) {
      const skipped = DEVIATIONS.get(item.id);
      yield skipped === undefined ? runCase(item) : { id: item.id, skipped };
    }
  },
};

function runCase(item: Case): CaseResult {
  const env = item['env'] as Record<string, string>;
  const files = (item['files'] as Record<string, string> | undefined) ?? { 'main.conf': String(item['input']) };
  const path = (item['main'] as string | undefined) ?? 'main.conf';
  const worker = env['SERVERENGINE_WORKER_ID'];
  const { root, problems } = loadConfig(path, {
    env,
    hostname: 'testhost',
    keepOldNames: true,
    files: memoryFiles(files),
    ...(worker && { workerId: Number(worker) }),
  });
  const errors = problems.filter((problem) => problem.severity === 'error');
  if (expectsError(item.expected))
    return errors.length > 0 ? { id: item.id } : { id: item.id, difference: `expected an error, got ${shown(treeOf(root))}` };
  if (errors.length > 0) return { id: item.id, difference: `unexpected problem: ${errors[0]?.message}` };
  return compared(item.id, treeOf(root), item.expected);
}

function treeOf(section: Section): unknown {
  const attrs = Object.fromEntries(
    [...section.params.values()].map(({ name, value }) => [name, value === undefined ? { $special: 'use_default' } : value]),
  );
  return { name: section.name, arg: section.arg, attrs, elements: section.sections.map(treeOf) };
}
