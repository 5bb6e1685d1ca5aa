/** Rules about one source file. What oxlint checks already is not repeated here. */
import { parseSync, Visitor } from 'oxc-parser';

const LINES_MAX = 400;

interface Ban {
  readonly pattern: RegExp;
  /** Where it is banned. */
  readonly where: RegExp;
  /** Where it is allowed all the same, with the reason in the remedy. */
  readonly except?: RegExp;
  readonly remedy: string;
}

const COMPONENTS = /^(?:collectors|plugins|shippers)\//;
const PRODUCT = /^(?:engine|collectors|plugins|shippers|alerts|dashboards)\//;

// Compared with the code only: comments and texts are blanked before (but for names of node: modules).
const BANS: readonly Ban[] = [
  {
    pattern: /\bconsole\.\w+\(/,
    where: PRODUCT,
    remedy: 'use ctx.log, or return the text to cli/',
  },
  {
    pattern: /\bprocess\.exit\(/,
    where: /./,
    except: /^(?:cli\/main|service\/(?:main|visitors|corpus))\.ts$|^(?:scripts|bench|test)\/|^bin\//,
    remedy: 'throw a MillraceError: only cli/main.ts ends the process',
  },
  {
    pattern: /\b(?:Date\.now\(\)|new Date\(\))/,
    where: COMPONENTS,
    remedy: 'use ctx.clock.now() (performance.now() for how long something took), so that a run can be replayed',
  },
  {
    pattern: /(?<![.\w])(?:setTimeout|setInterval)\(/,
    where: COMPONENTS,
    // A client is also used by plan and apply, where no context is: its deadlines are those of its sockets.
    except: /\/client\.ts$/,
    remedy: 'use ctx.clock.after() or every(), so that a test can turn the clock',
  },
  {
    pattern: /\bMath\.random\(/,
    where: PRODUCT,
    remedy: 'take randomness as a parameter, so that a run can be replayed',
  },
  {
    pattern: /\bfrom 'node:(?:fs|net|dgram|http|child_process)/,
    where: /^plugins\/(?:parse|format|filter)\//,
    remedy: 'plugins are functions of the event: take files and sockets from the engine',
  },
  {
    pattern: /\bfetch\(/,
    where: /^(?:shippers|collectors|engine)\//,
    remedy: "use undici's Pool with a Buffer built once: fetch copies the body",
  },
  { pattern: /\b(?:describe|test|it)\.only\(|\bdebugger\b/, where: /./, remedy: 'remove it before the commit' },
  { pattern: /\bprocess\.chdir\(/, where: /./, remedy: 'pass { cwd }: unit tests share one process' },
];

/** Files with a clock of their own, each with its reason. */
const ALLOWED: ReadonlyMap<string, string> = new Map([]);

/** @returns a sentence with the way out for each finding */
export function checkSource(file: string, source: string): string[] {
  const findings: string[] = [];
  const lines = source.split('\n').length - 1;
  const isTest = /\.(?:test|cases|bench|fuzz)\.ts$/.test(file) || file.startsWith('test/');
  const isGenerated = file.includes('.gen.');
  const isTable = /(?:^|[-/])(?:table|tables|data)\.ts$/.test(file);
  if (lines > LINES_MAX && !isTest && !isGenerated && !isTable)
    findings.push(`${file}: ${lines} lines; more than ${LINES_MAX} hide a second idea: move it to a file of its own`);
  if (/(?:^|\/)index\.[cm]?ts$/.test(file)) findings.push(`${file}: name the file after what is in it; there are no index files`);
  if (!isGenerated && !/^[a-z0-9.-]+$/.test(file.split('/').at(-1) ?? '')) findings.push(`${file}: file names are kebab-case`);
  const { program, comments, errors } = parseSync(file, source);
  if (errors.length > 0) return [...findings, `${file}: cannot be parsed: ${errors[0]?.message ?? ''}`];
  const quiet: Span[] = [...comments];
  new Visitor({
    Literal(node) {
      if (typeof node.value === 'string' && !node.value.startsWith('node:')) quiet.push(node);
    },
    TemplateElement(node) {
      quiet.push(node);
    },
    ExportDefaultDeclaration() {
      findings.push(`${file}: give the default export a name, so that it can be searched for`);
    },
    TSEnumDeclaration() {
      findings.push(`${file}: write a union of literals instead of an enum: type stripping cannot run it`);
    },
    TSModuleDeclaration(node) {
      if (!node.declare) findings.push(`${file}: write a module instead of a namespace: type stripping cannot run it`);
    },
    ExportAllDeclaration() {
      findings.push(`${file}: export by name: a barrel hides where things come from`);
    },
  }).visit(program);
  if (isTest || ALLOWED.has(file)) return findings;
  const code = blank(source, quiet);
  for (const { pattern, where, except, remedy } of BANS) {
    if (!where.test(file) || except?.test(file)) continue;
    const at = code.search(pattern);
    if (at >= 0)
      findings.push(
        `${file}:${source.slice(0, at).split('\n').length}: ${source.slice(at, at + 30).split('\n')[0] ?? ''}: ${remedy}`,
      );
  }
  return findings;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function blank(source: string, spans: readonly Span[]): string {
  let code = '';
  let at = 0;
  for (const { start, end } of spans.toSorted((a, b) => a.start - b.start)) {
    if (start < at) continue;
    code += source.slice(at, start) + source.slice(start, end).replaceAll(/[^\n]/g, ' ');
    at = end;
  }
  return code + source.slice(at);
}
