/** Spellings of Fluentd 0.12 that still stand in configurations, turned into those of version 1. */
import type { Param, Problem, Section } from './model.ts';

export interface Renewed {
  readonly root: Section;
  /** A warning for each old spelling, at its place. */
  readonly problems: readonly Problem[];
}

/** Renames parameters and gathers the flat ones into `<parse>`, `<format>` and `<buffer>`; new spellings win. */
export function renewNames(root: Section): Renewed {
  const problems: Problem[] = [];
  return { root: renewSection(root, problems), problems };
}

const COMPONENTS = new Set(['source', 'filter', 'match', 'store', 'secondary']);
const NEW_NAMES = new Map([
  ['type', '@type'],
  ['id', '@id'],
  ['log_level', '@log_level'],
]);

/** Flat parameters of a parser, with their name inside of `<parse>`. */
const PARSE = new Map(
  [
    'time_format',
    'time_key',
    'keep_time_key',
    'time_type',
    'timezone',
    'utc',
    'localtime',
    'types',
    'keys',
    'expression',
    'delimiter',
    'label_delimiter',
    'null_value_pattern',
    'message_key',
    'format_firstline',
    ...Array.from({ length: 20 }, (_, index) => `format${index + 1}`),
  ].map((name) => [name, name]),
);

const BUFFER = new Map([
  ['buffer_type', '@type'],
  ['buffer_path', 'path'],
  ['flush_interval', 'flush_interval'],
  ['flush_at_shutdown', 'flush_at_shutdown'],
  ['num_threads', 'flush_thread_count'],
  ['buffer_chunk_limit', 'chunk_limit_size'],
  ['buffer_queue_limit', 'queue_limit_length'],
  ['buffer_queue_full_action', 'overflow_action'],
  ['disable_retry_limit', 'retry_forever'],
  ['retry_limit', 'retry_max_times'],
  ['retry_wait', 'retry_wait'],
  ['max_retry_wait', 'retry_max_interval'],
  ['try_flush_interval', 'flush_thread_interval'],
  ['queued_chunk_flush_interval', 'flush_thread_burst_interval'],
]);

/** Sources and outputs that were configured with a flat `format`. */
const WITH_PARSE = new Set(['tail', 'tcp', 'udp', 'unix', 'http', 'syslog', 'exec', 'parser']);
const WITH_FORMAT = new Set(['file', 'stdout', 'single_value']);

function renewSection(section: Section, problems: Problem[]): Section {
  const sections = section.sections.map((child) => renewSection(child, problems));
  if (!COMPONENTS.has(section.name)) return { ...section, sections };
  const params = renamed(section, problems);
  const type = textOf(params.get('@type'));
  const isOutput = section.name === 'match' || section.name === 'store';
  const added: Section[] = [];
  const has = (name: string): boolean => sections.some((child) => child.name === name);
  if (!isOutput && WITH_PARSE.has(type) && params.has('format') && !has('parse'))
    added.push(partOf('parse', params, PARSE, problems));
  if (isOutput && WITH_FORMAT.has(type) && params.has('format') && !has('format'))
    added.push(partOf('format', params, new Map(), problems));
  if (isOutput && !has('buffer') && [...BUFFER.keys()].some((name) => params.has(name)))
    added.push(gathered('buffer', params, BUFFER, problems));
  return { ...section, params, sections: [...sections, ...added] };
}

function renamed({ params }: Section, problems: Problem[]): Map<string, Param> {
  const result = new Map<string, Param>();
  for (const param of params.values()) {
    const name = NEW_NAMES.get(param.name);
    if (name === undefined) result.set(param.name, param);
    else if (!params.has(name)) {
      result.set(name, { ...param, name });
      warn(problems, param, `${param.name} is an old name`, `write ${name}`);
    }
  }
  return result;
}

/** `format json` becomes `@type json`, `format /re/` the parser regexp; the parameters beside it move along. */
function partOf(name: string, params: Map<string, Param>, names: ReadonlyMap<string, string>, problems: Problem[]): Section {
  const format = params.get('format') as Param;
  params.delete('format');
  const part = gathered(name, params, names, problems, format);
  const isRegexp = name === 'parse' && textOf(format).startsWith('/');
  const first: Param[] = isRegexp
    ? [
        { ...format, name: '@type', value: 'regexp' },
        { ...format, name: 'expression' },
      ]
    : [{ ...format, name: '@type' }];
  return { ...part, params: new Map([...first, ...part.params.values()].map((param) => [param.name, param])) };
}

function gathered(
  name: string,
  params: Map<string, Param>,
  names: ReadonlyMap<string, string>,
  problems: Problem[],
  head?: Param,
): Section {
  const inner = new Map<string, Param>();
  for (const [old, renewed] of names) {
    const param = params.get(old);
    if (param === undefined) continue;
    params.delete(old);
    inner.set(renewed, { ...param, name: renewed });
  }
  const first = head ?? ([...inner.values()][0] as Param);
  warn(
    problems,
    first,
    `${head === undefined ? 'parameters of the buffer outside of <buffer> are' : `a flat ${head.name} is`} an old spelling`,
    `put a <${name}> section around`,
  );
  return { name, arg: '', params: inner, sections: [], place: first.place };
}

function warn(problems: Problem[], { place }: Param, message: string, hint: string): void {
  problems.push({ severity: 'warning', place, message, hint });
}

const textOf = (param: Param | undefined): string => (typeof param?.value === 'string' ? param.value : '');
