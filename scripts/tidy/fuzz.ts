/** Which sources read what others wrote, and must have a fuzz target therefore. */
import { dirname, join } from 'node:path/posix';
import { importsOf } from './imports.ts';

/** Readers of bytes and texts from the network, from files and from users that no rule below finds by itself. */
const FRAMERS: readonly string[] = [
  'alerts/rule.ts',
  'alerts/threshold.ts',
  'alerts/where.ts',
  'collectors/tail/lines.ts',
  'collectors/tail/positions.ts',
  'engine/config/embedded.ts',
  'engine/config/json-literal.ts',
  'engine/config/load.ts',
  'engine/config/ruby-regexp.ts',
  'engine/delivery/chunk-file.ts',
  'engine/delivery/dead-letters-format.ts',
  'engine/delivery/progress-file.ts',
  'engine/events/entries.ts',
  'engine/events/forward-json.ts',
  'engine/events/forward.ts',
  'engine/events/message-scanner.ts',
  'engine/events/msgpack.ts',
  'engine/events/record-accessor.ts',
  'engine/log/scanner.ts',
  'engine/log/segment.ts',
  'engine/pipeline/match-pattern.ts',
  'engine/placeholders.ts',
  'engine/ruby-values.ts',
  'engine/time/guess.ts',
  'engine/time/strftime.ts',
  'engine/time/strptime.ts',
  'engine/units.ts',
  'plugins/enrich/geo/address.ts',
  'plugins/enrich/geo/compact.ts',
  'plugins/enrich/geo/ip2region-db.ts',
  'plugins/enrich/geo/ip2region-xdb.ts',
  'plugins/enrich/geo/mmdb.ts',
  'plugins/enrich/geo/open.ts',
  'plugins/enrich/geo/zx-ipv6.ts',
];

/**
 * Every parser, every framer, and at least one source of every folder that has sockets, is imported by a `X.fuzz.ts`.
 *
 * @param read  gives the text of a file
 * @returns a sentence with the way out for each that is not
 */
export function checkFuzz(files: readonly string[], read: (file: string) => string, framers = FRAMERS): string[] {
  const sources = files.filter((file) => file.endsWith('.ts') && !/\.(?:test|cases|bench|fuzz|gen)\.ts$/.test(file));
  const fuzzed = new Set(
    files
      .filter((file) => file.endsWith('.fuzz.ts'))
      .flatMap((file) => importsOf(file, read(file)).map((specifier) => join(dirname(file), specifier))),
  );
  const remedy = (file: string): string =>
    `write ${file.replace(/\.ts$/, '.fuzz.ts')} with fuzzTargets: readonly FuzzTarget[] (engine/testing/fuzz.ts), or take it into one beside it`;
  const isParser = (file: string): boolean => file.startsWith('plugins/') && /\bdefineParser\(/.test(read(file));
  const wanted = sources.filter((file) => framers.includes(file) || isParser(file));
  const folders = new Set(
    sources
      .filter((file) => /^(?:collectors|shippers)\//.test(file))
      .filter((file) => importsOf(file, read(file)).some((specifier) => /^node:(?:net|tls|dgram|http)$|\/net\//.test(specifier)))
      .map(dirname),
  );
  return [
    ...wanted.filter((file) => !fuzzed.has(file)).map((file) => `${file}: reads what others wrote; ${remedy(file)}`),
    ...framers
      .filter((file) => !files.includes(file))
      .map((file) => `scripts/tidy/fuzz.ts: there is no ${file}; name what took its place`),
    ...[...folders]
      .filter((folder) => ![...fuzzed].some((file) => dirname(file) === folder))
      .map((folder) => `${folder}: reads from a socket; ${remedy(`${folder}/WHAT-READS-IT.ts`)}`),
  ];
}
