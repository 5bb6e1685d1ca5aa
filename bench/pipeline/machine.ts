/** What a row has to say about where it was measured. */
import { execFileSync } from 'node:child_process';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..', '..');

export interface Machine {
  /** Processor, cores, memory, kernel. */
  readonly machine: string;
  readonly node: string;
  /** Short hash, with `+` behind it when files of the checkout differ from it. */
  readonly commit: string;
}

export function describeMachine(): Machine {
  const all = cpus();
  const memoryGb = Math.round(totalmem() / 2 ** 30);
  return {
    machine: `${all.length} x ${(all[0]?.model ?? 'unknown').trim()}, ${memoryGb} GB, ${platform()} ${release()} ${arch()}`,
    node: process.version,
    commit: commitOf(),
  };
}

function commitOf(): string {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short=10', 'HEAD')}${isChanged ? '+' : ''}`;
  } catch {
    // An unpacked archive has no history.
    return 'unknown';
  }
}
