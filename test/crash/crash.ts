/**
 * `npm run crash -- [--runs N] [--seed S] [--jobs 2] [--only FAULT,...] [--durability LEVEL] [--keep]`: real processes, real
 * kills. Each run has its own seed, from S upward; a run that fails keeps its directory and says how to do it again.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULTS, planOf, type Fault, type PlanOptions } from './plan.ts';
import { killAll } from './process.ts';
import { crashRun, type RunOptions, type RunReport } from './run.ts';
import { unmountAll, whyNoSmallDisk } from './small-disk.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: process.env['CRASH_RUNS'] ?? '50' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    only: { type: 'string' },
    durability: { type: 'string' },
    keep: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

const root = mkdtempSync(join(tmpdir(), 'millrace-crash-'));
const began = performance.now();
const noDisk = whyNoSmallDisk();
if (noDisk !== undefined) console.log(`skipped: disk full (${noDisk})`);
const only = values.only?.split(',').map((name) => {
  const fault = FAULTS.find((each) => each === name.trim());
  if (fault === undefined) throw new Error(`there is no fault "${name}"; there are ${FAULTS.join(', ')}`);
  return fault;
});
const options: PlanOptions = {
  without: noDisk === undefined ? [] : ['disk full' satisfies Fault],
  ...(only === undefined ? {} : { only }),
};

process.on('exit', () => {
  killAll();
  unmountAll();
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));

let next = Number(values.seed);
const last = next + Number(values.runs);
let failed = 0;
const totals: Record<string, number> = {};

async function runOn(): Promise<void> {
  while (next < last) {
    const seed = next++;
    const directory = join(root, String(seed));
    const report = await crashRun({
      plan: planOf(seed, options),
      directory,
      durability: values.durability as RunOptions['durability'],
    });
    print(seed, directory, report);
    if (report.problems.length === 0 && !values.keep) rmSync(directory, { recursive: true, force: true });
  }
}

function print(seed: number, directory: string, { problems, sums, story, seconds }: RunReport): void {
  for (const [name, sum] of Object.entries(sums)) totals[name] = (totals[name] ?? 0) + sum;
  const isGood = problems.length === 0;
  if (!isGood) failed++;
  const faults = planOf(seed, options).steps.map(({ fault }) => fault);
  const counts = Object.entries(sums).map(([name, sum]) => `${name} ${sum}`);
  console.log(`${isGood ? 'ok' : 'not ok'} seed ${seed}  ${seconds.toFixed(1)} s  ${faults.join(' + ')}  ${counts.join(', ')}`);
  if (isGood && !values.verbose) return;
  for (const line of story) console.log(`    ${line}`);
  if (isGood) return;
  for (const problem of problems) console.log(`    ${problem}`);
  const words = [
    values.only === undefined ? '' : ` --only '${values.only}'`,
    values.durability === undefined ? '' : ` --durability ${values.durability}`,
  ];
  console.log(`    kept in ${directory}; again: npm run crash -- --runs 1 --seed ${seed}${words.join('')}`);
}

await Promise.all(Array.from({ length: Number(values.jobs) }, runOn));
if (failed === 0 && !values.keep) rmSync(root, { recursive: true, force: true });
console.log(
  `together: ${Object.entries(totals)
    .map(([name, sum]) => `${name} ${sum}`)
    .join(', ')}`,
);
console.log(`# ${Math.round((performance.now() - began) / 1000)} s`);
console.log(`${Number(values.runs) - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
