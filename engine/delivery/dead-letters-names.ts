/** Where dead letters lie: `<data>/dead-letters/<output>/w<worker>-<number>.ndjson`, and `marks` beside them. */
import { createHash } from 'node:crypto';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { join } from 'node:path';

const DIRECTORY = 'dead-letters';
/** Name of the file in which letters are marked as replayed or dropped. */
export const MARKS = 'marks';
const NAME_LENGTH_MAX = 150;

export function lettersRoot(dataDir: string): string {
  return join(dataDir, DIRECTORY);
}

/** A folder per output; no id can leave the folder above, or be that of another output. */
export function lettersDir(dataDir: string, output: string): string {
  const plain = encodeURIComponent(output).replaceAll('.', '%2E');
  if (plain.length <= NAME_LENGTH_MAX && plain !== '') return join(lettersRoot(dataDir), plain);
  return join(lettersRoot(dataDir), `long~${createHash('sha256').update(output).digest('hex').slice(0, 32)}`);
}

export function fileNameOf(worker: number, number: number): string {
  return `w${worker}-${String(number).padStart(6, '0')}.ndjson`;
}

/** @returns undefined when the name is not one of ours */
export function parseFileName(name: string): { readonly worker: number; readonly number: number } | undefined {
  const match = /^w(\d{1,3})-(\d{6,12})\.ndjson$/.exec(name);
  return match === null ? undefined : { worker: Number(match[1]), number: Number(match[2]) };
}

/** Makes the names in a directory as durable as the files behind them. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
