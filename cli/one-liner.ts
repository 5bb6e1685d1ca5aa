/** `run --from ... --to ...`: a small configuration from words on the command line. */
import { MillraceError } from '../engine/errors.ts';

export interface OneLiner {
  readonly from: string;
  readonly format?: string;
  readonly filter?: readonly string[];
  readonly to?: string;
  /** Ends when the files have been read once. */
  readonly once?: boolean;
}

/** Single quotes know two escapes. */
const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;

const NETWORK_SOURCES = ['forward', 'statsd'];

/**
 * @returns a configuration in Fluentd's syntax
 * @throws MillraceError MR_USAGE that says what is allowed
 */
export function renderOneLiner({ from, format, filter = [], to = 'stdout', once = false }: OneLiner): string {
  const lines = ['<source>', ...source(from, format, once), '</source>'];
  for (const type of filter) lines.push('<filter **>', `  @type ${word(type, '--filter')}`, '</filter>');
  lines.push('<match **>', ...target(to), '</match>');
  return `${lines.join('\n')}\n`;
}

function source(from: string, format: string | undefined, once: boolean): string[] {
  const [type, rest] = split(from);
  if (type === 'tail') {
    if (rest === '') throw new MillraceError('MR_USAGE', '--from tail needs a path: --from tail:/var/log/nginx/access.log');
    const parse = format === undefined ? 'none' : word(format, '--format');
    return [
      '  @type tail',
      `  path ${quote(rest)}`,
      '  tag tail',
      '  read_from_head true',
      ...(once ? ['  exit_at_eof true'] : []),
      '  <parse>',
      `    @type ${parse}`,
      '  </parse>',
    ];
  }
  if (format !== undefined)
    throw new MillraceError('MR_USAGE', `--format belongs to --from tail:PATH; ${type} brings events that are parsed already`);
  if (NETWORK_SOURCES.includes(type)) return [`  @type ${type}`, ...address(rest, '--from', 'bind')];
  if (type === 'sample') return ['  @type sample', '  tag sample', ...(rest === '' ? [] : [`  sample ${quote(rest)}`])];
  throw new MillraceError(
    'MR_USAGE',
    `--from ${from}: expected tail:PATH, forward[:HOST:PORT], statsd[:HOST:PORT] or sample[:JSON]`,
  );
}

function target(to: string): string[] {
  const [type, rest] = split(to);
  switch (type) {
    case 'stdout':
    case 'null':
      return [`  @type ${type}`];
    case 'file':
      if (rest === '') throw new MillraceError('MR_USAGE', '--to file needs a path: --to file:events.ndjson');
      return ['  @type file', `  path ${quote(rest)}`];
    case 'elasticsearch':
    case 'opensearch':
      return ['  @type elasticsearch', ...(rest === '' ? [] : [`  hosts ${quote(rest)}`])];
    case 'graphite':
      return ['  @type graphite', ...address(rest, '--to', 'host')];
    case 'forward':
      return [
        '  @type forward',
        '  <server>',
        ...address(rest === '' ? '127.0.0.1' : rest, '--to', 'host').map((line) => `  ${line}`),
        '  </server>',
      ];
    default:
      throw new MillraceError(
        'MR_USAGE',
        `--to ${to}: expected stdout, null, file:PATH, elasticsearch[:URL], graphite[:HOST:PORT] or forward[:HOST:PORT]`,
      );
  }
}

function split(text: string): [string, string] {
  const colon = text.indexOf(':');
  return colon < 0 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** `HOST:PORT`, `:PORT`, `HOST` or nothing. */
function address(text: string, option: string, hostKey: 'bind' | 'host'): string[] {
  if (text === '') return [];
  const match = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(text);
  if (match === null) throw new MillraceError('MR_USAGE', `${option}: expected HOST:PORT, found "${text}"`);
  const host = (match[1] ?? '').replace(/^\[|\]$/g, '');
  return [...(host === '' ? [] : [`  ${hostKey} ${quote(host)}`]), ...(match[2] === undefined ? [] : [`  port ${match[2]}`])];
}

function word(text: string, option: string): string {
  if (/^[a-z0-9_]+$/i.test(text)) return text;
  throw new MillraceError('MR_USAGE', `${option}: expected the name of a plugin, found "${text}"`);
}
