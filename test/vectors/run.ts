/**
 * Runs files of test vectors: `node test/vectors/run.ts DIR... [--pending NAME]...`
 *
 * Every `*.json` below a DIR that holds a list of cases is run by the adapter of its name, `test/vectors/NAME.ts`.
 * Exit 0 only when nothing failed and every file had an adapter, or was named as pending on the command line or in pending.json.
 */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { CaseResult, VectorAdapter, VectorFile } from './adapter.ts';

// The expected values were printed in this zone. It must stand before the first date is made, hence the dynamic imports below.
process.env['TZ'] ??= 'UTC';

const HERE = import.meta.dirname;
/** A broken adapter should not bury its first failures. */
const MAX_SHOWN = 20;

interface Totals {
  passed: number;
  failed: number;
  deviations: number;
}

export async function main(args: readonly string[], print: (line: string) => void): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { pending: { type: 'string', multiple: true }, all: { type: 'boolean' } },
  });
  if (positionals.length === 0) {
    print('usage: node test/vectors/run.ts DIR... [--pending NAME]... [--all]');
    return 64;
  }
  const listed = JSON.parse(readFileSync(join(HERE, 'pending.json'), 'utf8')) as string[];
  const pending = new Set([...listed, ...(values.pending ?? [])]);
  const totals: Totals = { passed: 0, failed: 0, deviations: 0 };
  let isComplete = true;
  for (const name of listed)
    if (hasAdapter(name)) {
      print(`${name}: has an adapter but stands in pending.json`);
      isComplete = false;
    }
  for (const path of positionals.flatMap(jsonFilesBelow)) {
    const json = readVectors(path);
    if (json === undefined) continue;
    const name = adapterName(path);
    if (json === 'damaged') {
      print(`${name}: ${path} is not JSON`);
      isComplete = false;
    } else if (hasAdapter(name)) await runFile({ path, json }, name, totals, values.all ? Infinity : MAX_SHOWN, print);
    else {
      print(`pending: ${name}`);
      isComplete &&= pending.has(name);
    }
  }
  if (totals.passed + totals.failed === 0) {
    print('no vectors were run');
    isComplete = false;
  }
  print(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed === 0 && isComplete ? 0 : 1;
}

async function runFile(
  file: VectorFile,
  name: string,
  totals: Totals,
  maxShown: number,
  print: (line: string) => void,
): Promise<void> {
  const counts: Totals = { passed: 0, failed: 0, deviations: 0 };
  const failures: string[] = [];
  try {
    const module = (await import(pathToFileURL(adapterPath(name)).href)) as { readonly adapter: VectorAdapter };
    for await (const result of module.adapter.run(file)) count(result, counts, failures);
  } catch (error) {
    counts.failed++;
    failures.push(`  (the adapter broke off): ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  }
  if (counts.passed + counts.failed + counts.deviations === 0) {
    counts.failed++;
    failures.push('  (the adapter ran no case)');
  }
  print(
    `${name}: ${counts.passed} passed, ${counts.failed} failed${counts.deviations > 0 ? `, ${counts.deviations} deviations` : ''}`,
  );
  for (const line of failures.slice(0, maxShown)) print(line);
  if (failures.length > maxShown) print(`  ... and ${failures.length - maxShown} more (--all shows them)`);
  totals.passed += counts.passed;
  totals.failed += counts.failed;
  totals.deviations += counts.deviations;
}

function count(result: CaseResult, counts: Totals, failures: string[]): void {
  if (result.skipped !== undefined) counts.deviations++;
  else if (result.difference === undefined) counts.passed++;
  else {
    counts.failed++;
    failures.push(`  ${result.id}: ${result.difference}`);
  }
}

const adapterPath = (name: string): string => join(HERE, `${name}.ts`);
const hasAdapter = (name: string): boolean => !NOT_ADAPTERS.has(name) && existsSync(adapterPath(name));
const NOT_ADAPTERS = new Set(['run', 'adapter', 'compare', 'numbers']);

function jsonFilesBelow(dir: string): string[] {
  if (statSync(dir).isFile()) return dir.endsWith('.json') ? [dir] : [];
  return readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => join(dir, name));
}

/** The file's base name; `cases.json` goes by the name of its folder. */
function adapterName(path: string): string {
  const name = basename(path, '.json');
  return name === 'cases' && !hasAdapter(name) ? basename(dirname(path)) : name;
}

/** @returns undefined for JSON that holds no cases: data beside the vectors */
function readVectors(path: string): Record<string, unknown> | undefined | 'damaged' {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return 'damaged';
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return undefined;
  // A vector file has a head that says what it is, and at least one list of cases.
  const hasHead = ['topic', 'about', 'dataset', 'format'].some((key) => key in json);
  const isVectors =
    hasHead && Object.values(json).some((value) => Array.isArray(value) && value.every((item) => typeof item === 'object'));
  return isVectors ? (json as Record<string, unknown>) : undefined;
}

if (import.meta.main) {
  process.exitCode = await main(process.argv.slice(2), (line) => {
    process.stdout.write(`${line}\n`);
  });
}
