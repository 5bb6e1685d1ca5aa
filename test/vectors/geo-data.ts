/** The data sets that geo vectors were made from; they lie in npm packages, not beside the vectors. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export interface DataFile {
  readonly path: string;
  readonly bytes: Buffer;
}

/** @returns the file, or a text that says why its cases cannot be run */
export function packageFile(name: string, file: string, sha256?: string): DataFile | string {
  let path: string;
  try {
    path = join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), file);
  } catch {
    return `the package ${name} is not installed`;
  }
  if (!existsSync(path)) return `the package ${name} has no ${file}`;
  const bytes = readFileSync(path);
  const found = createHash('sha256').update(bytes).digest('hex');
  return sha256 === undefined || found === sha256
    ? { path, bytes }
    : `${name}/${file} is another version than the vectors were made from`;
}
