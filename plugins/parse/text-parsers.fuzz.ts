import { parserTarget, type FuzzTarget } from '../../engine/testing/fuzz.ts';
import { apacheErrorParser } from './apache-error.ts';
import { csvParser } from './csv.ts';
import { ltsvParser } from './ltsv.ts';
import { msgpackParser } from './msgpack.ts';
import { multilineParser } from './multiline.ts';
import { syslogParser } from './syslog.ts';
import { tsvParser } from './tsv.ts';

const SYSLOG = [
  '<34>Oct 11 22:14:15 host su[230]: message 中文',
  '<34>1 2003-10-11T22:14:15.003Z host su 230 ID47 [a@1 x="1"][b@2 y="\\"]"] message',
  '<165>1 2003-10-11T22:14:15+08:00 h a - - - ',
];
const SYSLOG_WORDS = ['<', '>', '<192>', '1 ', ' - ', '[', ']', '\\]', ': ', 'Feb 29 ', '.123', '  '];
const legacy = { with_priority: true };

export const fuzzTargets: readonly FuzzTarget[] = [
  parserTarget(syslogParser, legacy, SYSLOG, SYSLOG_WORDS),
  parserTarget(syslogParser, { ...legacy, message_format: 'auto' }, SYSLOG, SYSLOG_WORDS, 'syslog-auto'),
  parserTarget(
    syslogParser,
    { ...legacy, message_format: 'auto', parser_engine: 'string', keep_time_key: true, types: 'pid:integer' },
    SYSLOG,
    SYSLOG_WORDS,
    'syslog-string',
  ),
  parserTarget(csvParser, { keys: 'a,b,c', types: 'a:integer' }, ['1,"b ""c""",', '"x\ny",,z\r\n'], ['"', '""', ',', '\r\n']),
  parserTarget(csvParser, { keys: 'a,b,c', parser_engine: 'fast' }, ['1,"b ""c""",', '"x,y",,z'], ['"', '""', ','], 'csv-fast'),
  parserTarget(tsvParser, { keys: 'time,b,c', time_key: 'time', time_type: 'float' }, ['1.5\tb\tc\td', '\t\t'], ['\t', '1e9']),
  parserTarget(ltsvParser, {}, ['a:1\tb:2\ttime:2023-11-14T22:13:20Z', 'a:1\ta:2'], ['\t', ':', 'time:', 'a:']),
  parserTarget(
    msgpackParser,
    {},
    [Buffer.from('9281a1610182a16201a163c0', 'hex')],
    [Buffer.from('df', 'hex'), Buffer.from('93', 'hex'), Buffer.from('c1', 'hex')],
  ),
  parserTarget(
    multilineParser,
    { format1: '/^(?<a>\\w+) /', format2: '/(?<b>.*)/', unmatched_lines: true },
    ['a b\n c'],
    ['\n', ' '],
  ),
  parserTarget(
    apacheErrorParser,
    {},
    ['[Wed Oct 11 14:32:52 2000] [error] [pid 1] [client 1.1.1.1] text'],
    ['[', ']', ' [client '],
  ),
];
