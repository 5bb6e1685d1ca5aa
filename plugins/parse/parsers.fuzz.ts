import { parserTarget, type FuzzTarget } from '../../engine/testing/fuzz.ts';
import { apacheParser } from './apache.ts';
import { apache2Parser } from './apache2.ts';
import { jsonParser } from './json.ts';
import { nginxParser } from './nginx.ts';
import { noneParser } from './none.ts';
import { regexpParser } from './regexp.ts';

const COMBINED =
  '83.149.9.216 - bob [17/May/2015:10:05:03 +0000] "GET /a?b=c HTTP/1.1" 200 203023 "http://example.com/" "Mozilla/5.0 (X11; \\"x\\")"';
const ACCESS = [
  COMBINED,
  '::1 - - [01/Jan/2024:00:00:00 -0930] "-" 408 - "-" "-"',
  '中文 - - [17/May/2015:10:05:03 +0000] "POST /" 500 -',
];
const WORDS = [' ', '"', '\\"', '\\', '[', ']', ' - ', '17/May/2015:10:05:03 +0000', 'HTTP/1.1', '200', '"-"', '\\x', '\\xff'];
const JSON_LINES = [
  '{"time":1700000000.5,"a":"\\u4e2d\\n","b":[1,-2.5e3,true,null],"c":{"d":{}}}',
  '[{"a":1},{"b":"x"},3]',
  '{"time":"2015-05-17T10:05:03.123Z","__proto__":{"x":1},"a":12345678901234567890}',
];
const JSON_WORDS = ['{"', '":', '[', ']', '}', ',', '\\u', '\\ud800', '"time":', '1e400', 'NaN', 'true', 'null', '-0'];

export const fuzzTargets: readonly FuzzTarget[] = [
  parserTarget(apache2Parser, {}, ACCESS, WORDS),
  parserTarget(apacheParser, {}, ACCESS, WORDS),
  parserTarget(nginxParser, {}, [...ACCESS, `${COMBINED} "1.2.3.4"`], WORDS),
  parserTarget(noneParser, {}, ['a line', '']),
  parserTarget(jsonParser, {}, JSON_LINES, JSON_WORDS),
  parserTarget(
    jsonParser,
    {
      time_type: 'mixed',
      time_format: '%Y-%m-%dT%H:%M:%S.%N%z',
      time_format_fallbacks: 'float',
      types: 'a:integer,b:array,c:bool,d:time',
    },
    JSON_LINES,
    JSON_WORDS,
    'json-typed',
  ),
  parserTarget(
    regexpParser,
    {
      expression: '/^(?<time>\\S+) \\[(?<level>\\w+)\\] (?<code>\\d*) (?<list>\\S*) (?<message>.*)$/',
      time_format: '%Y-%m-%dT%H:%M:%S',
      types: 'code:integer,list:array:|,level:bool',
      null_empty_string: 'true',
    },
    ['2015-05-17T10:05:03 [info] 200 a|b 中文 message', '2015-05-17T10:05:03 []  '],
    [' ', '[', ']', '|', '2015-05-17T10:05:03', '999999999999999999999'],
  ),
];
