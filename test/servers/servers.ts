/**
 * Real servers for the end-to-end suites, from Debian's packages and Maven Central, on loopback:
 * `npm run servers -- start|stop|status [NAME...] [--dir DIR] [--shift N] [--env|--json]`. See README.md in this folder.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

interface Recipe {
  readonly script: string;
  /** Environment variable of the recipe -> port at `--shift 0`. */
  readonly ports: Readonly<Record<string, number>>;
  readonly settings?: Readonly<Record<string, string>>;
  /** Started only when it is named: needs more than a plain machine has, or more memory than all at once may take. */
  readonly byNameOnly?: true;
}

const RECIPES: Readonly<Record<string, Recipe>> = {
  opensearch: { script: 'opensearch.sh', ports: { PORT: 19200, TRANSPORT: 19210 } },
  elasticsearch: { script: 'elasticsearch.sh', ports: { PORT: 19220, TRANSPORT: 19230 } },
  elasticsearch7: { script: 'elasticsearch.sh', ports: { PORT: 19240, TRANSPORT: 19250 }, settings: { ES_VERSION: '7.17.29' } },
  // Debian 12 has no JDK that runs these two.
  elasticsearch9: {
    script: 'elasticsearch.sh',
    ports: { PORT: 19260, TRANSPORT: 19270 },
    settings: { ES_VERSION: '9.5.3' },
    byNameOnly: true,
  },
  opensearch3: {
    script: 'opensearch.sh',
    ports: { PORT: 19280, TRANSPORT: 19290 },
    settings: { OPENSEARCH_VERSION: '3.8.0' },
    byNameOnly: true,
  },
  graphite: { script: 'graphite.sh', ports: { PLAIN: 12003, PICKLE: 12004, QUERY: 17002, WEB: 18085 } },
  zabbix: { script: 'zabbix.sh', ports: { TRAPPER: 20051, WEB: 18080, DATABASE: 15432 } },
};
const VERBS = ['start', 'stop', 'status'] as const;
/** A recipe bounds each of its own steps; this is for a machine that stands still. */
const RECIPE_MS_MAX = 15 * 60_000;
const USAGE = `servers start|stop|status [NAME...] [--dir DIR] [--shift N] [--env|--json]\nnames: ${Object.keys(RECIPES).join(' ')} (default: all that need no JDK 21)\n`;

interface Outcome {
  readonly name: string;
  readonly code: number;
  readonly output: string;
}

/** Runs one recipe; its progress lines go to our stderr, what it prints comes back. */
function run(name: string, recipe: Recipe, verb: string, dir: string, shift: number): Promise<Outcome> {
  const ports = Object.entries(recipe.ports).map(([key, port]) => [key, String(port + shift)] as const);
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const child = spawn(join(import.meta.dirname, recipe.script), [join(dir, name), verb], {
    env: { ...process.env, ...Object.fromEntries(ports), ...recipe.settings, SERVER_NAME: name },
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: RECIPE_MS_MAX,
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.on('error', (error) => {
    resolve({ name, code: 1, output: error.message });
  });
  child.on('close', (code) => {
    resolve({ name, code: code ?? 1, output: output.trim() });
  });
  return promise;
}

/** `KEY=VALUE KEY=VALUE` -> pairs; values never hold blanks. */
function pairsOf(line: string): [string, string][] {
  return line
    .split(/\s+/)
    .filter((word) => word.includes('='))
    .map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]);
}

function render(outcomes: readonly Outcome[], form: 'env' | 'json' | 'text'): string {
  if (form === 'json')
    return `${JSON.stringify(Object.fromEntries(outcomes.map((o) => [o.name, Object.fromEntries(pairsOf(o.output))])))}\n`;
  if (form === 'text') {
    const said = outcomes.filter((o) => o.output !== '');
    return said.map((o) => `${o.output.replaceAll(/^/gm, `${o.name}: `)}\n`).join('');
  }
  const isForSuites = ([key]: [string, string]): boolean => /^[A-Z]/.test(key) && key !== 'VERSION' && key !== 'START_MS';
  return outcomes
    .flatMap((o) =>
      pairsOf(o.output)
        .filter(isForSuites)
        .map(([key, value]) => `export ${key}=${value}\n`),
    )
    .join('');
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      dir: { type: 'string' },
      shift: { type: 'string', default: '0' },
      env: { type: 'boolean' },
      json: { type: 'boolean' },
    },
  });
  const [verb, ...asked] = positionals;
  const unknown = asked.find((name) => RECIPES[name] === undefined);
  const shift = Number(values.shift);
  if (!VERBS.some((known) => known === verb) || unknown !== undefined || !Number.isInteger(shift)) {
    process.stderr.write(unknown === undefined ? USAGE : `no server is called ${unknown}\n${USAGE}`);
    return 64;
  }
  const dir = values.dir ?? join(tmpdir(), 'millrace-servers');
  mkdirSync(dir, { recursive: true });
  const isKnownHere = (name: string): boolean =>
    verb === 'start' ? RECIPES[name]?.byNameOnly !== true : existsSync(join(dir, name));
  const names = asked.length > 0 ? asked : Object.keys(RECIPES).filter(isKnownHere);
  const began = performance.now();
  const runs = names.map(async (name) => {
    const recipe = RECIPES[name];
    const outcome = recipe === undefined ? { name, code: 64, output: '' } : await run(name, recipe, verb ?? '', dir, shift);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    if (verb !== 'status')
      process.stderr.write(
        `${name}: ${outcome.code === 0 ? `${verb === 'start' ? 'up' : 'stopped'} after ${seconds} s` : `${verb} failed`}\n`,
      );
    return outcome;
  });
  const outcomes = await Promise.all(runs);
  process.stdout.write(render(outcomes, values.env === true ? 'env' : values.json === true ? 'json' : 'text'));
  return Math.max(0, ...outcomes.map((outcome) => outcome.code));
}

process.exitCode = await main(process.argv.slice(2));
