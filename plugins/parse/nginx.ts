import * as z from 'zod';
import { defineParser } from '../../engine/component.ts';
import { encodeKey } from '../../engine/events/entry-writer.ts';
import { regexp, text } from '../../engine/units.ts';
import { AccessTime, GROUP, makeGroups, scanAccessLine } from './access-line.ts';
import { checkGroups, parseByRegexp } from './by-regexp.ts';
import { checkRules, makeRules, ruleFields } from './rules.ts';

const TIME_FORMAT = '%d/%b/%Y:%H:%M:%S %z';

/** Fluentd's expression; `\n` and the end of the text are where lines end in Ruby. */
export const NGINX =
  /(?<![^\n])(?<remote>[^ ]*) (?<host>[^ ]*) (?<user>[^ ]*) \[(?<time>[^\]]*)\] "(?<method>[^ \t\r\n\f\v]+)(?: +(?<path>[^"]*?)(?: +[^ \t\r\n\f\v]*)?)?" (?<code>[^ ]*) (?<size>[^ ]*)(?: "(?<referer>[^"]*)" "(?<agent>[^"]*)"(?:[ \t\r\n\f\v]+"?(?<http_x_forwarded_for>[^"]*)"?)?)?(?![^\n])/;

/** In the order of the groups of `scanAccessLine`. */
const FIELDS = ['remote', 'host', 'user', 'time', 'method', 'path', 'code', 'size', 'referer', 'agent', 'http_x_forwarded_for'];
const KEYS = FIELDS.map(encodeKey);

export const nginxParser = defineParser({
  name: 'nginx',
  summary: "Reads the access log of nginx in its 'combined' format, with or without X-Forwarded-For behind it.",
  config: z.object({
    ...ruleFields,
    time_key: text().default('time').describe('Group that holds the time; it is taken out of the record'),
    time_format: text().default(TIME_FORMAT).describe('Format of the time, as in strptime'),
    expression: regexp().optional().describe('Regular expression with named groups, when the log has another form'),
  }),
  examples: [{ title: 'Numbers as numbers', config: '<parse>\n  @type nginx\n  types code:integer,size:integer\n</parse>' }],
  check: (config) => [...checkRules(config), ...(config.expression === undefined ? [] : checkGroups(config.expression))],
  create(config) {
    const rules = makeRules(config);
    const byRegexp = parseByRegexp(config.expression ?? NGINX, rules);
    const isUsual = config.expression === undefined && config.time_key === 'time' && config.time_format === TIME_FORMAT;
    if (!isUsual || config.time_type !== 'string') return byRegexp;
    const clock = new AccessTime();
    const groups = makeGroups();
    return {
      parse(bytes, start, end, into) {
        if (!scanAccessLine(bytes, start, end, groups, false)) return byRegexp.parse(bytes, start, end, into);
        const seconds = clock.read(bytes, groups[GROUP.time * 2] as number, groups[GROUP.time * 2 + 1] as number);
        if (Number.isNaN(seconds)) return byRegexp.parse(bytes, start, end, into);
        into.begin();
        into.time(seconds, 0);
        for (let n = 0; n < FIELDS.length; n++) {
          const from = groups[n * 2] as number;
          if (from < 0 || (n === GROUP.time && !config.keep_time_key)) continue;
          const to = groups[n * 2 + 1] as number;
          if (rules.hasConversions) {
            const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8', from, to);
            rules.write(into, FIELDS[n] as string, value);
          } else {
            into.key(KEYS[n] as Uint8Array);
            into.utf8(bytes, from, to);
          }
        }
        into.commit();
        return undefined;
      },
    };
  },
});
