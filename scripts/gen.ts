/** `npm run gen`: writes registries, reference pages and the JSON schema from the declarations of the components. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { ROOT } from './gen/definitions.ts';
import { generate, leftOverOf } from './gen/files.ts';

const { files, failures } = await generate();
let written = 0;
for (const [path, text] of files) {
  const file = resolve(ROOT, path);
  mkdirSync(dirname(file), { recursive: true });
  if (readOrEmpty(file) === text) continue;
  writeFileSync(file, text);
  written++;
}
const leftOver = leftOverOf(files);
for (const file of leftOver) rmSync(resolve(ROOT, file));
for (const failure of failures) console.error(`left out, cannot be imported: ${failure}`);
console.log(`${files.size} generated files, ${written} written, ${leftOver.length} removed`);

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // Not there yet: it is written.
    return '';
  }
}
