import * as z from 'zod';
import type { Definition, Kind, Registered } from '../../engine/component.ts';
import { ERROR_CODES, EXIT, MillraceError, type Code } from '../../engine/errors.ts';
import { REGISTRY } from '../components.ts';
import { table, type Streams } from '../output.ts';

/** Words that people use for the kinds, beside the kinds themselves. */
const KIND_WORDS: Readonly<Record<string, readonly Kind[]>> = {
  source: ['source'],
  collector: ['source'],
  filter: ['filter', 'consumer'],
  output: ['output'],
  match: ['output', 'consumer'],
  shipper: ['output'],
  parser: ['parser'],
  formatter: ['formatter'],
};

/** Lists the components, or explains one of them, or an error code. */
export async function describe(
  words: readonly string[],
  options: { readonly json?: boolean },
  { out }: Streams,
): Promise<number> {
  const [first, second] = words;
  if (first === undefined) {
    out(
      options.json === true
        ? `${JSON.stringify(REGISTRY.all.map(summaryOf), undefined, 2)}\n`
        : table(
            ['KIND', 'TYPE', 'SUMMARY'],
            REGISTRY.all.map(({ kind, name, summary }) => [kind, name, summary]),
          ),
    );
    return EXIT.ok;
  }
  if (Object.hasOwn(ERROR_CODES, first)) {
    const { exit, meaning, remedy } = ERROR_CODES[first as Code];
    out(`${first} (exit code ${exit})\n${meaning}\n${remedy}\n`);
    return EXIT.ok;
  }
  const kinds = second === undefined ? undefined : KIND_WORDS[first];
  const name = second ?? first;
  const found = REGISTRY.all.filter(
    (entry) => (kinds === undefined || kinds.includes(entry.kind)) && (entry.name === name || entry.aliases.includes(name)),
  );
  if (found.length === 0)
    throw new MillraceError('MR_USAGE', `nothing is named "${words.join(' ')}"; \`millrace describe\` lists what there is`);
  for (const entry of found) {
    const definition = await entry.load();
    out(
      options.json === true
        ? `${JSON.stringify({ ...summaryOf(entry), config: schemaOf(definition), metrics: definition.metrics, examples: definition.examples }, undefined, 2)}\n`
        : pageOf(definition),
    );
  }
  return EXIT.ok;
}

const summaryOf = ({ kind, name, aliases, summary }: Registered): Record<string, unknown> => ({ kind, name, aliases, summary });

interface Property {
  readonly description?: string;
  readonly default?: unknown;
  readonly unit?: string;
}

function schemaOf(definition: Definition): {
  readonly properties?: Readonly<Record<string, Property>>;
  readonly required?: readonly string[];
} {
  return z.toJSONSchema(definition.config, { io: 'input', unrepresentable: 'any' }) as ReturnType<typeof schemaOf>;
}

function pageOf(definition: Definition): string {
  const { properties = {}, required = [] } = schemaOf(definition);
  let text = `${definition.kind} ${definition.name}${definition.aliases.length === 0 ? '' : ` (also ${definition.aliases.join(', ')})`}\n${definition.summary}\n`;
  for (const { title, config } of definition.examples) text += `\n${title}:\n\n${config.replaceAll(/^/gm, '    ')}\n`;
  const rows = Object.entries(properties).map(([name, property]) => {
    const fallback = required.includes(name)
      ? 'required'
      : property.default === undefined
        ? '-'
        : JSON.stringify(property.default);
    return [name, fallback, property.description ?? ''];
  });
  if (rows.length > 0) text += `\n${table(['PARAMETER', 'DEFAULT', 'MEANING'], rows)}`;
  const metrics = Object.entries(definition.metrics).map(([name, { type, help }]) => [name, type, help]);
  if (metrics.length > 0) text += `\n${table(['METRIC', 'TYPE', 'MEANING'], metrics)}`;
  return `${text}\n`;
}
