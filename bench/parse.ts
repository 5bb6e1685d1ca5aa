/**
 * `npm run bench -- parse [--smoke]`: nanoseconds of CPU for each line, for every parser beside the way it is usually
 * written in JavaScript: the line as a string, `split` or a regular expression, an object, MessagePack from it. Both ways
 * run in one process, in turn: compare the ratios of one run.
 */
import type { Definition, Parser } from '../engine/component.ts';
import type { Fields } from '../engine/events/batch.ts';
import { EntryWriter } from '../engine/events/entry-writer.ts';
import { create, testContext } from '../engine/testing/driver.ts';
import { apache2Parser } from '../plugins/parse/apache2.ts';
import { csvParser } from '../plugins/parse/csv.ts';
import { jsonParser } from '../plugins/parse/json.ts';
import { ltsvParser } from '../plugins/parse/ltsv.ts';
import { nginxParser } from '../plugins/parse/nginx.ts';
import { syslogParser } from '../plugins/parse/syslog.ts';
import { tsvParser } from '../plugins/parse/tsv.ts';

const isSmoke = process.argv.includes('--smoke');
const ROUNDS = isSmoke ? 1 : 5;
/** CPU time is told in ticks of up to 4 ms; a sample is long against them. */
const SAMPLE_MS = isSmoke ? 20 : 200;
const LINES = 2000;

type Way = (into: EntryWriter) => void;
interface Row {
  readonly title: string;
  readonly ours: Way;
  readonly usual: Way;
  readonly samples: { readonly ours: number[]; readonly usual: number[] };
}

const two = (n: number): string => String(n).padStart(2, '0');
const clock = (n: number): string => `${two(10 + (((n / 3600) % 10) | 0))}:${two(((n / 60) % 60) | 0)}:${two(n % 60)}`;
const agent = 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120.0 Safari/537.36';
const access = (n: number): string =>
  `36.16.${n % 250}.7 - - [14/Nov/2023:${clock(n)} +0800] "GET /pay/${n}?id=${n * 7} HTTP/1.1" 200 ${n} "https://shop.example/" "${agent}"`;
const legacy = (n: number): string => `<165>Nov 14 ${clock(n)} web${n % 9} nginx[${1000 + n}]: 订单 ${n} 已支付, amount=${n}.00`;
const modern = (n: number): string =>
  `<165>1 2023-11-14T${clock(n)}.${String(n % 1000).padStart(3, '0')}Z web${n % 9} pay ${1000 + n} ID7 [a@1 user="${n}"] 订单 ${n} 已支付, amount=${n}.00`;
const values = (n: number): string[] => [
  'web1',
  `10.0.0.${n % 250}`,
  `/pay/${n}`,
  '200',
  String(n),
  'GET',
  `用户${n}`,
  `0.0${n}`,
];
const KEYS = ['host', 'remote', 'path', 'code', 'size', 'method', 'user', 'seconds'];

const record = (names: readonly string[], parts: readonly (string | undefined)[]): Fields =>
  Object.fromEntries(names.map((name, n) => [name, parts[n]]));
const dateOf = (text: string): number => Date.parse(text) / 1000;
const ACCESS =
  /^(?<host>\S*) \S* (?<user>\S*) \[(?<time>[^\]]*)\] "(?<method>\S+)(?: +(?<path>[^"]*?)(?: +\S*)?)?" (?<code>\S*) (?<size>\S*)(?: "(?<referer>[^"]*)" "(?<agent>[^"]*)")?$/;
const LEGACY =
  /^<(?<pri>\d+)>(?<time>\S+ +\S+ \S+) (?<host>\S*) (?<ident>[^ :[]*)(?:\[(?<pid>\d+)\])?(?:[^:]*:)? *(?<message>.*)$/;
const MODERN =
  /^<(?<pri>\d+)>\d+ (?<time>\S+) (?<host>\S+) (?<ident>\S+) (?<pid>\S+) (?<msgid>\S+) (?<extradata>-|(?:\[.*?\])+)(?: (?<message>.*))?$/;

const byRegexp =
  (expression: RegExp, time: (text: string) => number) =>
  (line: string): [number, Fields] => {
    const { time: at = '', ...fields } = expression.exec(line)?.groups ?? {};
    return [time(at), { ...fields }];
  };
const accessDate = (text: string): number => dateOf(text.replace(/^(\d+)\/(\w+)\/(\d+):/, '$1 $2 $3 '));

const ROWS: readonly Row[] = [
  row('apache2', apache2Parser, {}, access, byRegexp(ACCESS, accessDate)),
  row('nginx', nginxParser, {}, access, byRegexp(ACCESS, accessDate)),
  row(
    'syslog, RFC 3164',
    syslogParser,
    { with_priority: true },
    legacy,
    byRegexp(LEGACY, (text) => dateOf(`${text} 2023`)),
  ),
  row('syslog, RFC 5424', syslogParser, { with_priority: true, message_format: 'rfc5424' }, modern, byRegexp(MODERN, dateOf)),
  row(
    'csv',
    csvParser,
    { keys: KEYS.join(',') },
    (n) =>
      values(n)
        .map((value) => `"${value}"`)
        .join(','),
    (line) => [
      0,
      record(
        KEYS,
        [...line.matchAll(/"((?:[^"]|"")*)"|([^,]+)/g)].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain),
      ),
    ],
  ),
  row(
    'tsv',
    tsvParser,
    { keys: KEYS.join(',') },
    (n) => values(n).join('\t'),
    (line) => [0, record(KEYS, line.split('\t'))],
  ),
  row(
    'ltsv',
    ltsvParser,
    {},
    (n) =>
      values(n)
        .map((value, k) => `${KEYS[k]}:${value}`)
        .join('\t'),
    (line) => [
      0,
      Object.fromEntries(line.split('\t').map((pair) => [pair.slice(0, pair.indexOf(':')), pair.slice(pair.indexOf(':') + 1)])),
    ],
  ),
  row(
    'json',
    jsonParser,
    {},
    (n) => JSON.stringify(record(KEYS, values(n))),
    (line) => [0, JSON.parse(line) as Fields],
  ),
];

function row(
  title: string,
  definition: unknown,
  config: Fields,
  line: (n: number) => string,
  usual: (line: string) => [number, Fields],
): Row {
  const parser = create<Parser>(definition as Definition, config, testContext(definition as Definition));
  const lines = Array.from({ length: LINES }, (_, n) => line(n));
  // As a file or a socket gives them: one block, and where each line stands.
  const block = Buffer.from(lines.join('\n'));
  const ends: number[] = [];
  for (let at = 0; at < block.length; at = (ends.at(-1) as number) + 1)
    ends.push(block.indexOf(10, at) < 0 ? block.length : block.indexOf(10, at));
  return {
    title,
    samples: { ours: [], usual: [] },
    ours(into) {
      let at = 0;
      for (const end of ends) {
        const failure = parser.parse(block, at, end, into);
        if (failure !== undefined) throw new Error(`${title}: ${failure}: ${block.toString('utf8', at, end)}`);
        at = end + 1;
      }
    },
    usual(into) {
      let at = 0;
      for (const end of ends) {
        const [seconds, fields] = usual(block.toString('utf8', at, end));
        into.begin();
        into.time(seconds, 0);
        into.record(fields);
        into.commit();
        at = end + 1;
      }
    },
  };
}

/** Nanoseconds of CPU of the whole process for each line. */
function sample(way: Way): number {
  const into = new EntryWriter(1 << 20);
  const before = process.cpuUsage();
  let lines = 0;
  for (;;) {
    way(into);
    into.reset();
    lines += LINES;
    const { user, system } = process.cpuUsage(before);
    if (user + system >= SAMPLE_MS * 1000) return ((user + system) * 1000) / lines;
  }
}

const median = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] as number;

for (const { ours, usual } of ROWS) {
  sample(ours);
  sample(usual);
}
for (let round = 0; round < ROUNDS; round++)
  for (const { ours, usual, samples } of ROWS) {
    samples.ours.push(sample(ours));
    samples.usual.push(sample(usual));
  }
console.log(`node ${process.version}, ${LINES} lines of each kind; CPU, median of ${ROUNDS}`);
console.log(`${''.padEnd(20)}  ns/line   usual way   to the usual way`);
for (const { title, samples } of ROWS) {
  const [ours, usual] = [median(samples.ours), median(samples.usual)];
  console.log(
    `${title.padEnd(20)}  ${ours.toFixed(0).padStart(7)}   ${usual.toFixed(0).padStart(9)}   ${(ours / usual).toFixed(2).padStart(16)}`,
  );
}
