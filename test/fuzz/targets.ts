/** All targets: what the files `*.fuzz.ts` beside the sources declare. */
import { globSync } from 'node:fs';
import { relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { FuzzTarget } from '../../engine/testing/fuzz.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const FOLDERS = ['engine', 'collectors', 'plugins', 'shippers', 'alerts', 'dashboards', 'cli', 'test/fuzz'];

/** A target and the file that declares it, relative to the checkout. */
export interface Declared {
  readonly file: string;
  readonly target: FuzzTarget;
}

/** @throws when two targets have one name, or a file declares none */
export async function collectTargets(): Promise<readonly Declared[]> {
  const files = FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.fuzz.ts`, { cwd: ROOT })).sort();
  const declared: Declared[] = [];
  for (const path of files) {
    const file = relative(ROOT, resolve(ROOT, path));
    const module = (await import(pathToFileURL(resolve(ROOT, path)).href)) as { fuzzTargets?: readonly FuzzTarget[] };
    if (module.fuzzTargets === undefined || module.fuzzTargets.length === 0)
      throw new Error(`${file} exports no fuzzTargets: readonly FuzzTarget[]`);
    for (const target of module.fuzzTargets) {
      const other = declared.find((each) => each.target.name === target.name);
      if (other !== undefined) throw new Error(`${file} and ${other.file} both name a target ${target.name}`);
      declared.push({ file, target });
    }
  }
  return declared;
}
