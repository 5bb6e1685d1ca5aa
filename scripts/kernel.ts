/**
 * `npm run kernel [-- --if-changed]`: compiles engine/events/kernel/assembly to engine/events/kernel/kernel.wasm, which is
 * shipped in the package and never committed. `npm ci` runs it through `prepare`.
 */
import { existsSync, globSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'engine', 'events', 'kernel');
const TARGET = join(FOLDER, 'kernel.wasm');
/** Memory in pages of 64 KiB: assembly/regions.ts and the tables; it never grows. */
const PAGES = '76';
const OPTIONS = `assembly/kernel.ts --outFile kernel.wasm --initialMemory ${PAGES} --maximumMemory ${PAGES}
  -O3 --noAssert --runtime stub --enable simd --use abort=`.split(/\s+/);

const modified = (file: string): number => statSync(file).mtimeMs;
const sources = globSync('assembly/*.ts', { cwd: FOLDER }).map((file) => join(FOLDER, file));
const newest = Math.max(...[...sources, import.meta.filename].map(modified));
const isFresh = existsSync(TARGET) && modified(TARGET) > newest;
// Without what is needed for development the plain implementation is used.
const hasCompiler = existsSync(join(ROOT, 'node_modules', 'assemblyscript'));
if (!hasCompiler) console.log('kernel: no compiler here, left out');
else if (!process.argv.includes('--if-changed') || !isFresh) {
  const compiler = await import('assemblyscript/asc');
  let messages = '';
  const write = (text: string | Uint8Array): void => void (messages += String(text));
  const { error } = await compiler.main([...OPTIONS, '--baseDir', FOLDER], { stderr: { write } });
  if (error !== null) throw new Error(`kernel: ${error.message}\n${messages}`);
}
