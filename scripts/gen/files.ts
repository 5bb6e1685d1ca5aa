/** All generated files, as text in memory. */
import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { findDefinitions, PLACES, ROOT } from './definitions.ts';
import { renderLimits } from './limits.ts';
import { renderMetricsPage } from './metrics.ts';
import { renderReference } from './reference.ts';
import { HEAD, renderRegistry } from './registry.ts';
import { renderSchema } from './schema.ts';
import { renderSections } from './sections.ts';

export interface Generated {
  /** Path from the root → text. */
  readonly files: ReadonlyMap<string, string>;
  /** Component files that could not be imported: they are missing from the files. */
  readonly failures: readonly string[];
}

/** Pages with the mark of the generator that it would not write any more. Pages without it are written by hand and stay. */
export function leftOverOf(files: ReadonlyMap<string, string>): string[] {
  return globSync('docs/reference/**/*.md', { cwd: ROOT }).filter(
    (path) => !files.has(path) && readFileSync(resolve(ROOT, path), 'utf8').startsWith(`<!-- ${HEAD}`),
  );
}

export async function generate(): Promise<Generated> {
  const { found, failures } = await findDefinitions();
  const files = new Map<string, string>();
  for (const place of PLACES) files.set(`${place}/all.gen.ts`, renderRegistry(place, found));
  for (const [page, text] of renderReference(found)) files.set(`docs/reference/${page}`, text);
  for (const [page, text] of renderSections()) files.set(`docs/reference/${page}`, text);
  files.set('docs/reference/limits.md', renderLimits(found));
  files.set('docs/reference/metrics.md', renderMetricsPage(found));
  files.set('schema/millrace.schema.json', renderSchema(found));
  return { files, failures };
}
