/** A small filesystem for a data directory, and a way to fill it. Only root may mount one. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const SIZE_MIB = 24;
const mounted = new Set<string>();

/** @returns why there can be none, or undefined */
export function whyNoSmallDisk(): string | undefined {
  if (process.platform !== 'linux') return 'only Linux has tmpfs';
  if (process.getuid?.() !== 0) return 'only root may mount a small filesystem';
  return undefined;
}

/** @returns why it could not be mounted (a container without the right to, say), or undefined */
export function mountSmallDisk(path: string): string | undefined {
  mkdirSync(path, { recursive: true });
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE_MIB}m`, 'tmpfs', path], { encoding: 'utf8' });
  if (status !== 0) return `mount: ${stderr.trim()}`;
  mounted.add(path);
  return undefined;
}

export function unmountSmallDisk(path: string): void {
  if (!mounted.delete(path)) return;
  spawnSync('umount', ['-l', path]);
}

export function unmountAll(): void {
  for (const path of mounted) unmountSmallDisk(path);
}

const ballastOf = (path: string): string => join(path, 'ballast');

/** Fills the filesystem to the last block. */
export function fillDisk(path: string): void {
  const file = openSync(ballastOf(path), 'a');
  try {
    for (const size of [1 << 20, 4096, 1]) {
      const block = Buffer.alloc(size);
      try {
        for (;;) writeSync(file, block);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      }
    }
  } finally {
    closeSync(file);
  }
}

export function freeDisk(path: string): void {
  rmSync(ballastOf(path), { force: true });
}
