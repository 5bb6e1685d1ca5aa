/** `npm run build [-- FOLDER]`: compiles the sources to dist/ (or there) and copies what they read at run time (tables, texts, pages). */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');
const TARGET = resolve(ROOT, process.argv[2] ?? 'dist');
const FOLDERS = ['engine', 'collectors', 'plugins', 'shippers', 'alerts', 'dashboards', 'cli', 'service'];
/** What the sources are next to and nobody reads at run time. */
const NOT_COPIED = /\.(?:ts|md)$|\/testdata\/|\/assembly\//;

function run(...args: readonly string[]): void {
  const { status } = spawnSync(process.execPath, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 70);
}

rmSync(TARGET, { recursive: true, force: true });
run(join(ROOT, 'scripts', 'kernel.ts'), '--if-changed');
run(join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', 'tsconfig.build.json', '--outDir', TARGET);

const assets = FOLDERS.flatMap((folder) => globSync(`${folder}/**/*.*`, { cwd: ROOT })).filter((file) => !NOT_COPIED.test(file));
for (const file of assets) {
  mkdirSync(dirname(join(TARGET, file)), { recursive: true });
  cpSync(join(ROOT, file), join(TARGET, file));
}
console.log(`built ${TARGET} with ${assets.length} files copied beside the compiled ones`);
