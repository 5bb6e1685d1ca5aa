import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Kv } from '../component.ts';

/** File names from keys: anything that is not plain is written as %XX, so that a key cannot leave the directory. */
const fileName = (key: string): string => encodeURIComponent(key).replaceAll('.', '%2E').slice(0, 200);

/** A value a file; written beside, synced and renamed, so that a reader sees the old value or the new one. */
export function diskKv(directory: string): Kv {
  let writing: Promise<void> = Promise.resolve();
  const put = async (key: string, value: Uint8Array): Promise<void> => {
    await mkdir(directory, { recursive: true });
    const path = join(directory, fileName(key));
    const file = await open(`${path}.new`, 'w');
    try {
      await file.writeFile(value);
      await file.datasync();
    } finally {
      await file.close();
    }
    await rename(`${path}.new`, path);
  };
  return {
    async get(key) {
      await writing.catch(() => undefined);
      try {
        return await readFile(join(directory, fileName(key)));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
    put(key, value) {
      // One after another: two writers of one key would share the file beside it.
      const result = writing.catch(() => undefined).then(() => put(key, value));
      writing = result;
      return result;
    },
  };
}

/** For runs that keep nothing. */
export function memoryKv(): Kv {
  const values = new Map<string, Uint8Array>();
  return {
    get: (key) => Promise.resolve(values.get(key)),
    put: (key, value) => Promise.resolve(void values.set(key, Uint8Array.from(value))),
  };
}
