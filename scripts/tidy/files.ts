import { execFileSync } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '..', '..');

/** The files of the repository; without git (an unpacked archive) those in its folders. */
export function trackedFiles(): string[] {
  if (!existsSync(resolve(ROOT, '.git')))
    return globSync('**/*.*', { cwd: ROOT, exclude: ['node_modules/**', 'dist/**', '.millrace/**'] });
  const output = execFileSync('git', ['ls-files', '-z'], { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 24 });
  return output.split('\0').filter((file) => file !== '' && existsSync(resolve(ROOT, file)));
}
