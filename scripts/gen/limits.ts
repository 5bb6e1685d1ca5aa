/** The page of everything that has a bound. Values are read where they stand, so that the page cannot say another one. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type * as z from 'zod';
import { RULE_SCHEMA } from '../../alerts/rule.ts';
import { bufferConfig } from '../../engine/delivery/buffer-config.ts';
import { ROOT, type Found } from './definitions.ts';
import { fieldsOf, printDuration, printSize } from './fields.ts';
import { HEAD } from './registry.ts';
import { LIMITS, type Limit, type Unit } from './limits-table.ts';

/** @throws Error when a constant or parameter is not where the table says */
export function renderLimits(found: readonly Found[]): string {
  const schemas = new Map<string, z.ZodType>([
    ['<buffer>', bufferConfig],
    ['rule', RULE_SCHEMA],
  ]);
  // A name that input and output share (forward): limits of what comes in are those of the input.
  for (const { definition } of found)
    if (definition.kind === 'source' || !schemas.has(definition.name)) schemas.set(definition.name, definition.config);
  const parts = Object.entries(LIMITS).map(([title, limits]) => {
    const rows = limits.map((limit) => {
      const { what, parameter, answer, metric } = limit;
      const change = parameter === undefined ? 'fixed' : `\`${parameter.replace('.', ' ')}\``;
      return `| ${what} | ${valueOf(limit, schemas)} | ${change} | ${answer} | ${metric === undefined ? '' : `\`${metric}\``} |\n`;
    });
    return `\n## ${title}\n\n| what | bound | parameter | at the bound | metric |\n| --- | --- | --- | --- | --- |\n${rows.join('')}`;
  });
  return `<!-- ${HEAD} Source: scripts/gen/limits.ts -->
# Limits

Everything that can grow has a bound and a stated answer when it is reached. Defaults are shown; what is fixed is read from the code. Where no metric is named, the answer is an error message or changes nothing that could be lost. [Metrics](metrics.md) explains the names.
${parts.join('')}`;
}

function valueOf({ value, parameter }: Limit, schemas: ReadonlyMap<string, z.ZodType>): string {
  if (typeof value !== 'string') return constantOf(...value);
  if (value !== '' || parameter === undefined) return value;
  const [owner = '', name = ''] = parameter.split('.');
  const schema = schemas.get(owner);
  const known = schema === undefined ? undefined : fieldsOf(schema).find((one) => one.name === name);
  if (known === undefined) throw new Error(`limits: there is no parameter ${parameter}`);
  return known.fallback === undefined ? 'see there' : `\`${known.fallback}\``;
}

function constantOf(file: string, name: string, unit: Unit): string {
  const text = readFileSync(resolve(ROOT, file), 'utf8');
  const found = new RegExp(`\\b${name}(?: =|:) ([\\d_ *<]+?)(?:[;,]| \\})`).exec(text)?.[1];
  if (found === undefined) throw new Error(`limits: there is no constant ${name} in ${file}`);
  const value = evaluate(found);
  if (unit === 'bytes') return printSize(value);
  return unit === 'ms' ? printDuration(value) : String(value);
}

/** `64 << 20`, `16 * 1024 * 1024`, `2 ** 30`, `10_000`. */
function evaluate(expression: string): number {
  const [head = '', shift] = expression.split('<<');
  const product = head.replaceAll('**', '^').split('*');
  const value = product.reduce((sum, factor) => {
    const [base = '', power] = factor.split('^');
    return sum * plain(base) ** (power === undefined ? 1 : plain(power));
  }, 1);
  return shift === undefined ? value : value * 2 ** plain(shift);
}

const plain = (text: string): number => Number(text.replaceAll('_', ''));
