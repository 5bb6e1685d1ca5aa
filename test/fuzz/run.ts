/**
 * `npm run fuzz -- [--seconds 60] [--inputs N] [--seed S] [--jobs 2] [--list] [TARGET...]`: sends broken inputs through every
 * parser and framer. TARGET is a name or the start of one. An input that makes a target throw, or take more than a second,
 * is written to a file; `--input FILE TARGET` tries it again.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Seat, isSlowAgain, type Outcome } from './seat.ts';
import { collectTargets } from './targets.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: process.env['FUZZ_SECONDS'] ?? '60' },
    inputs: { type: 'string' },
    seed: { type: 'string', default: '1' },
    jobs: { type: 'string', default: '2' },
    input: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

const all = await collectTargets();
const names = all
  .map(({ target }) => target.name)
  .filter((name) => positionals.length === 0 || positionals.some((wanted) => name === wanted || name.startsWith(wanted)));
if (names.length === 0) {
  console.log(
    `there is no target ${positionals.join(' ')}; there are:\n${all.map(({ target }) => `  ${target.name}`).join('\n')}`,
  );
  process.exit(64);
}
if (values.list) for (const { target, file } of all) console.log(`${target.name.padEnd(32)} ${file}`);
else if (values.input === undefined) await fuzzAll();
else {
  for (const name of names) {
    const began = performance.now();
    const outcome = all.find(({ target }) => target.name === name)?.target.run(readFileSync(values.input));
    console.log(`${name}: ${String(outcome)} after ${(performance.now() - began).toFixed(1)} ms`);
  }
}

async function fuzzAll(): Promise<void> {
  const jobs = Math.min(Number(values.jobs), names.length);
  const queue = [...names];
  const seconds = values.inputs === undefined ? (Number(values.seconds) * jobs) / names.length : Infinity;
  const inputs = values.inputs === undefined ? Infinity : Number(values.inputs);
  const began = performance.now();
  let failed = 0;
  let total = 0;
  const again = new Set<string>();
  const take = (name: string, answer: Outcome): void => {
    if ('broke' in answer) {
      failed++;
      total += answer.inputs;
      console.log(`not ok ${name}: ${answer.broke} at input ${answer.inputs}\n${keep(name, answer.bytes)}`);
      return;
    }
    const { report } = answer;
    total += report.inputs;
    const { failure } = report;
    const rate = Math.round(report.inputs / Math.max(0.001, report.seconds));
    if (failure !== undefined) failed++;
    console.log(
      `${failure === undefined ? 'ok' : 'not ok'} ${name.padEnd(30)} ${String(report.inputs).padStart(9)} inputs ${String(rate).padStart(8)}/s  kept ${report.kept}  grown ${Math.round(report.grownBytes / 1024)} KiB`,
    );
    if (failure !== undefined)
      console.log(`    ${failure.message.replaceAll('\n', '\n    ')}\n${keep(name, Buffer.from(failure.bytes))}`);
  };
  await Promise.all(
    Array.from({ length: jobs }, async () => {
      let seat: Seat | undefined;
      for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
        seat ??= await Seat.open();
        const outcome = await seat.fuzz({ name, seed: Number(values.seed), seconds, inputs });
        if ('broke' in outcome) {
          seat = undefined;
          if (outcome.broke.startsWith('no answer') && !(await isSlowAgain(name, outcome.bytes))) {
            console.log(`again ${name}: slow once, not when tried again`);
            if (!again.has(name)) queue.push(name);
            again.add(name);
            continue;
          }
        }
        take(name, outcome);
      }
      await seat?.close();
    }),
  );
  console.log(
    `${total} inputs over ${names.length} targets in ${Math.round((performance.now() - began) / 1000)} s, seed ${values.seed}`,
  );
  console.log(`${names.length - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function keep(name: string, bytes: Buffer): string {
  const folder = join(tmpdir(), 'millrace-fuzz');
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${name.replaceAll(/[^\w.-]/g, '-')}-${values.seed}.bin`);
  writeFileSync(file, bytes);
  const shown = bytes.length <= 200 ? `    ${JSON.stringify(bytes.toString('latin1'))}\n` : '';
  return `${shown}    ${bytes.length} bytes in ${file}; again: npm run fuzz -- --input ${file} ${name}`;
}
