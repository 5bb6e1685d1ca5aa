/** Writes the reference pages: one per component, an index, and the table of error codes. */
import { ERROR_CODES, EXIT } from '../../engine/errors.ts';
import type { ErrorCode } from '../../engine/errors.ts';
import type { Kind } from '../../engine/component.ts';
import type { Level } from '../../engine/log/entrance-log.ts';
import type { Found } from './definitions.ts';
import { fieldsOf, printDuration, printSize } from './fields.ts';
import type { FieldInfo } from './fields.ts';
import { HEAD } from './registry.ts';

const KINDS = {
  source: { folder: 'collectors', title: 'Collectors', section: '`<source>`' },
  parser: { folder: 'parsers', title: 'Parsers', section: '`<parse>`' },
  filter: { folder: 'filters', title: 'Filters', section: '`<filter PATTERN>`' },
  consumer: { folder: 'consumers', title: 'Consumers', section: '`<filter PATTERN>`' },
  formatter: { folder: 'formatters', title: 'Formatters', section: '`<format>`' },
  output: { folder: 'shippers', title: 'Shippers', section: '`<match PATTERN>`' },
} as const satisfies Record<Kind, { folder: string; title: string; section: string }>;

/** @returns path below docs/reference/ → text */
export function renderReference(all: readonly Found[]): Map<string, string> {
  const pages = new Map<string, string>();
  const index = [
    `<!-- ${HEAD} -->\n# Reference\n\nEvery component, from its own declaration. And what is no component: [system](system.md), [buffer](buffer.md), [inject](inject.md), [rules](alerts.md), [targets](targets.md), [error codes](errors.md), [metrics](metrics.md), [limits](limits.md).\n`,
  ];
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const ofKind = all.filter((one) => one.definition.kind === kind);
    if (ofKind.length === 0) continue;
    const { folder, title, section } = KINDS[kind];
    index.push(`\n## ${title}\n\nIn ${section}.\n\n| \`@type\` | what it does |\n| --- | --- |\n`);
    for (const one of ofKind) {
      const page = `${folder}/${one.definition.name}.md`;
      pages.set(page, renderPage(one));
      index.push(`| [${one.definition.name}](${page}) | ${cell(sentence(one.definition.summary))} |\n`);
    }
  }
  pages.set('README.md', index.join(''));
  pages.set('errors.md', renderErrors());
  return pages;
}

function renderPage({ definition, file }: Found): string {
  const { section } = KINDS[definition.kind];
  const parts = [
    `<!-- ${HEAD} Source: ${file} -->\n# ${definition.name}\n\n${sentence(definition.summary)}\n\nUsed in ${section}.`,
  ];
  if (definition.aliases.length > 0)
    parts.push(` Also found as ${definition.aliases.map((alias) => `\`${alias}\``).join(', ')}.`);
  if (definition.workers === 'one') parts.push(' Runs in worker 0 only.');
  parts.push('\n');
  if (definition.kind === 'source') parts.push(durability(definition.durability));
  const fields = fieldsOf(definition.config);
  parts.push('\n## Parameters\n', fields.length === 0 ? '\nNone.\n' : renderFields(fields));
  for (const { title, config } of definition.examples) parts.push(`\n## Example: ${title}\n\n\`\`\`\n${config.trim()}\n\`\`\`\n`);
  const metrics = Object.entries(definition.metrics);
  if (metrics.length > 0) {
    parts.push('\n## Metrics\n\n| name | type | unit | meaning |\n| --- | --- | --- | --- |\n');
    for (const [name, { type, unit, help }] of metrics)
      parts.push(`| \`${name}\` | ${type} | ${cell(unit)} | ${cell(sentence(help))} |\n`);
  }
  return parts.join('');
}

/** What the engine reads of every source. */
function durability(fallback: Level): string {
  return `\nAn event is acknowledged when it is safe at the level that \`durability\` names: \`memory\`, \`os\` (handed to the system: outlives a crash of the process) or \`fsync\` (on the disk: outlives a loss of power). Default: \`${fallback}\`.\n`;
}

export function renderFields(all: readonly FieldInfo[], path = ''): string {
  const fields = foldNumbered(all);
  const rows = fields.map((field) => {
    const type =
      field.values.length > 0 ? field.values.map((value) => `\`${value}\``).join(', ') : `${field.kind}${range(field)}`;
    const fallback = field.required ? 'required' : field.fallback === undefined ? '' : `\`${cell(field.fallback)}\``;
    const examples =
      field.examples.length > 0 ? ` Example: ${field.examples.map((example) => `\`${example}\``).join(', ')}.` : '';
    const secret = field.secret ? ' Never shown in any output.' : '';
    return `| \`${field.name}\` | ${cell(type)} | ${fallback} | ${cell(`${sentence(field.description)}${examples}${secret}`)} |\n`;
  });
  const nested = fields.filter((field) => field.fields.length > 0);
  const sections = nested.map((field) => {
    const below = `${path}<${field.name}>`;
    return `\n### \`${below}\`\n${renderFields(field.fields, `${below} `)}`;
  });
  return `\n| name | type | default | meaning |\n| --- | --- | --- | --- |\n${rows.join('')}${sections.join('')}`;
}

/** `regexp1`, `regexp2` ... with one meaning stand in one row: `regexp1 … regexp20`. */
function foldNumbered(fields: readonly FieldInfo[]): FieldInfo[] {
  const folded: FieldInfo[] = [];
  for (const field of fields) {
    const stem = /^(.*\D)\d+$/.exec(field.name)?.[1];
    const last = folded.at(-1);
    if (stem !== undefined && last?.description === field.description && last.name.startsWith(`${stem}1`))
      folded[folded.length - 1] = { ...last, name: `${stem}1 … ${field.name}` };
    else folded.push(field);
  }
  return folded;
}

function sentence(text: string): string {
  const trimmed = text.trim();
  return trimmed === '' ? '' : `${trimmed[0]?.toUpperCase() ?? ''}${trimmed.slice(1)}${/[.!?]$/.test(trimmed) ? '' : '.'}`;
}

function range({ kind, min, max }: FieldInfo): string {
  const print = kind === 'duration' ? printDuration : kind === 'size' ? printSize : String;
  if (kind === 'port' || (min === undefined && max === undefined)) return '';
  if (max === undefined) return min === 0 ? '' : `, at least ${print(min ?? 0)}`;
  return min === undefined ? `, at most ${print(max)}` : `, ${print(min)} to ${print(max)}`;
}

function renderErrors(): string {
  const names = new Map<number, string>([
    [EXIT.ok, 'done, or everything in step'],
    [EXIT.no, 'the answer is no: a test failed, something was found'],
    [EXIT.differs, '`plan`, `drift`: target and configuration differ'],
    [EXIT.usage, 'wrong option or argument'],
    [EXIT.data, 'input data are wrong, or a server refused them for good'],
    [EXIT.noInput, 'an input file is missing or cannot be read'],
    [EXIT.unavailable, 'a server, target or port is not available'],
    [EXIT.software, 'a defect of millrace'],
    [EXIT.io, 'reading or writing failed'],
    [EXIT.permission, 'credentials were refused'],
    [EXIT.config, 'the configuration is wrong'],
  ]);
  const codes: [string, ErrorCode][] = Object.entries(ERROR_CODES);
  const rows = codes.map(
    ([code, { exit, meaning, remedy }]) => `| \`${code}\` | ${exit} | ${cell(meaning)} | ${cell(remedy)} |\n`,
  );
  const exits = Object.values(EXIT).map((exit) => `| ${exit} | ${names.get(exit) ?? ''} |\n`);
  return `<!-- ${HEAD} Source: engine/errors.ts -->
# Error codes

| code | exit | meaning | remedy |
| --- | --- | --- | --- |
${rows.join('')}
## Exit codes

Those above 63 are the ones of \`sysexits.h\`.

| exit | meaning |
| --- | --- |
${exits.join('')}`;
}

const cell = (text: string): string =>
  text
    .replaceAll('|', String.raw`\|`)
    .replaceAll(/\s*\n\s*/g, ' ')
    .trim();
