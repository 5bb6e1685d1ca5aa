/**
 * `npm run bench -- pipeline [SCENARIO...]`: the real program between a sender and a sink that do not limit it, in CPU seconds
 * for a million events, beside a plain-object pipeline and a calibration loop in the same run. See docs/performance.md.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runFootprint, type Figure } from './pipeline/footprint.ts';
import { runHold } from './pipeline/hold.ts';
import { ROOT, describeMachine } from './pipeline/machine.ts';
import { Program, stopAll } from './pipeline/program.ts';
import type { SendAnswer, SendQuestion } from './pipeline/programs/sender.ts';
import { gatesOf, isMet, render, type Results } from './pipeline/report.ts';
import { SCENARIOS, type Scenario } from './pipeline/scenarios.ts';
import { compile, prepareGeo, type Millrace } from './pipeline/subject.ts';
import { runThroughput, type Row } from './pipeline/throughput.ts';

const USAGE = `usage: npm run bench -- pipeline [SCENARIO...] [--smoke] [--rounds N] [--events N] [--stripped] [--json FILE]
         [--against 'CMD'] [--gate] [--write]
  --smoke      a tenth of the events, one round
  --events N   events of the scenario hold (default 1,000,000)
  --stripped   run the TypeScript as it stands instead of compiled JavaScript
  --against    another agent that speaks the forward protocol, on {port}, sending bulk requests to {sink}; {sink_port} and
               {dir}, a directory of its own, are known too
  --gate       exit 1 when a figure that was measured is not what is demanded
  --write      put the tables into docs/performance.md`;
const PAGE = join(ROOT, 'docs', 'performance.md');
const MARKS = ['<!-- npm run bench -- pipeline --write -->', '<!-- end of the run -->'] as const;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    events: { type: 'string' },
    stripped: { type: 'boolean', default: false },
    json: { type: 'string' },
    against: { type: 'string' },
    gate: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds ?? (values.smoke ? 1 : 5));
const scale = values.smoke ? 0.1 : 1;

if (values.help) console.log(USAGE);
else process.exitCode = await main();

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
  // Packages are found from there as they are from dist/.
  const built = join(ROOT, 'node_modules', '.cache', `millrace-bench-${process.pid}`);
  const clear = (): void => {
    for (const one of [folder, built]) rmSync(one, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      stopAll();
      clear();
      process.exit(70);
    });
  try {
    mkdirSync(built, { recursive: true });
    const millrace: Millrace = values.stripped
      ? { entry: join(ROOT, 'bin', 'millrace.cjs'), how: 'stripped', folder }
      : { entry: compile(built), how: 'compiled', folder };
    const chosen = choose();
    if (chosen === undefined) return 64;
    const results = await measure(millrace, chosen);
    const text = render(results);
    console.log(`\n${text}`);
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(results, undefined, 2)}\n`);
    if (values.write) writePage(text);
    return values.gate && !gatesOf(results).every(isMet) ? 1 : 0;
  } finally {
    clear();
  }
}

function choose(): readonly Scenario[] | undefined {
  const unknown = positionals.filter((name) => !SCENARIOS.some((one) => one.name === name));
  if (unknown.length > 0) {
    console.error(`${USAGE}\nunknown: ${unknown.join(', ')}\nscenarios: ${SCENARIOS.map(({ name }) => name).join(', ')}`);
    return undefined;
  }
  return positionals.length === 0 ? SCENARIOS : SCENARIOS.filter(({ name }) => positionals.includes(name));
}

async function measure(millrace: Millrace, chosen: readonly Scenario[]): Promise<Results> {
  const sender = new Program<SendQuestion, SendAnswer>('sender');
  const rows: Row[] = [];
  const figures: Figure[] = [];
  try {
    if (chosen.some((one) => (one.kind === 'throughput' ? one.geo : one.name === 'paced'))) prepareGeo(millrace);
    for (const scenario of chosen) {
      console.log(`${scenario.name}: ${scenario.title}`);
      const bench = { millrace, sender, rounds, scale, isShort: values.smoke, against: values.against } as const;
      if (scenario.kind === 'throughput') rows.push(...(await runThroughput(bench, scenario)));
      else if (scenario.kind === 'footprint') figures.push(...(await runFootprint(bench, scenario)));
      else figures.push(...(await runHold({ ...bench, events: Number(values.events ?? scenario.events * scale) }, scenario)));
    }
  } finally {
    await sender.stop();
  }
  return { ...describeMachine(), how: millrace.how, rounds, rows, figures };
}

/** What stands between the two marks is replaced. */
function writePage(text: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [before, rest] = page.split(MARKS[0]);
  const after = rest?.split(MARKS[1])[1];
  if (after === undefined) throw new Error(`docs/performance.md has not the marks ${MARKS.join(' and ')}`);
  writeFileSync(PAGE, `${before}${MARKS[0]}\n\n${text}\n${MARKS[1]}${after}`);
}
