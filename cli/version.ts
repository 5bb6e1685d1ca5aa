import { readFileSync } from 'node:fs';

/** From package.json, one folder up in a checkout and two in `dist/`. */
function readVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as {
        name: string;
        version: string;
      };
      if (name === 'millrace') return version;
    } catch {
      // The other place has it.
    }
  }
  return 'unknown';
}

export const VERSION = readVersion();
