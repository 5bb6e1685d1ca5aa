import * as z from 'zod';
import { defineSource, type Source, type SourceContext } from '../../engine/component.ts';
import { encodingLabel } from '../../engine/encoding.ts';
import { bool, duration, integer, list, oneOf, rawSection, size, text } from '../../engine/units.ts';
import { BRACES_MAX, GLOB_POLICIES, hasTooManyChoices } from './paths.ts';
import { Tail } from './watch.ts';

const MIB = 1 << 20;

/** A tail with `exit_at_eof` says when it has read everything. */
export interface TailSource extends Source {
  /** Resolves when all files were read to their end and acknowledged; never without `exit_at_eof`. */
  readonly finished: Promise<void>;
}

export const tailConfig = z.object({
  path: text()
    .describe('Paths of the files, separated by commas; * stands for any text, ** for any folders, %Y%m%d for the date')
    .meta({ examples: ['/var/log/nginx/access.log', '/var/log/app/*.log,/var/log/jobs/%Y%m%d.log'] }),
  path_delimiter: text().default(',').describe('Text between the paths'),
  path_timezone: text().optional().describe('Zone of the date in the paths; without it that of this machine'),
  exclude_path: list()
    .default([])
    .describe('Paths to leave out')
    .meta({ examples: ['["/var/log/app/*.gz"]'] }),
  glob_policy: oneOf(GLOB_POLICIES)
    .default('backward_compatible')
    .describe('Characters that make a path a pattern: * only, also ? and [], or also {}'),
  tag: text()
    .describe('Tag of the events; * in it stands for the path of the file')
    .meta({ examples: ['nginx.access', 'app.*'] }),
  pos_file: text()
    .optional()
    .describe("File that keeps how far each file was read, in Fluentd's format; without it the data directory keeps it"),
  pos_file_compaction_interval: duration({ min: 1000 })
    .optional()
    .describe('Interval at which lines of files that are gone are removed'),
  read_from_head: bool().default(false).describe('Whether files found at the start are read from their beginning'),
  exit_at_eof: bool()
    .default(false)
    .describe('Whether reading is over at the end of the files, which are read from their beginning'),
  spool: bool()
    .default(true)
    .describe(
      'Whether lines go through the entrance log on disk. Without, the file itself is what they are read from again: its position moves when every output has the lines. Where another source needs the log on disk, lines go through it all the same',
    ),
  refresh_interval: duration({ min: 100 }).default(60_000).describe('Interval at which the patterns are looked up again'),
  skip_refresh_on_startup: bool().default(false).describe('Whether the first look-up waits for refresh_interval'),
  limit_recently_modified: duration().optional().describe('Age of the last change beyond which a file is left out'),
  max_files: integer({ min: 1, max: 1_000_000 })
    .default(10_000)
    .describe('Number of files from which on the rest is not read; patterns that find more are nearly always a mistake'),
  rotate_wait: duration().default(5000).describe('Time for which a file that was rotated away is still read'),
  follow_inodes: bool().default(false).describe('Whether pos_file goes by inode, for patterns that also find rotated names'),
  enable_watch_timer: bool().default(true).describe('Whether the files are looked at each second'),
  enable_stat_watcher: bool().default(true).describe('Whether the system is asked to tell of changes at once'),
  open_on_every_update: bool().default(false).describe('Way of opening files on Windows, accepted for compatibility'),
  ignore_repeated_permission_error: bool().default(false).describe('Whether an unreadable file is reported only once'),
  read_block_size: size({ min: 1, max: 64 * MIB })
    .default(256 * 1024)
    .describe('Amount read from one file at a time'),
  read_lines_limit: integer({ min: 1 }).optional().describe('Lines of one batch; without it, those of one block'),
  read_bytes_limit_per_second: size({ min: -1 }).default(-1).describe('Amount read from one file per second; -1: no limit'),
  max_line_size: size({ min: 1, max: 64 * MIB })
    .default(8 * MIB)
    .describe('Length from which on a line is left out, and counted'),
  encoding: text().optional().describe('Encoding of the files when from_encoding is not given; events are always UTF-8'),
  from_encoding: text()
    .optional()
    .describe('Encoding of the files')
    .meta({ examples: ['GBK', 'Shift_JIS'] }),
  multiline_flush_interval: duration({ min: 1 })
    .optional()
    .describe(
      'Time after which an event of several lines is taken as whole when nothing more comes; without it, when the next one begins',
    ),
  path_key: text().optional().describe('Field that the path of the file is put into, if the record has none of that name'),
  emit_unmatched_lines: bool()
    .default(false)
    .describe('Whether lines that the parser refuses become events with the field unmatched_line'),
  parse: rawSection().optional().describe('Parser of the lines; without it each line is one field, message'),
});
export type TailConfig = z.output<typeof tailConfig>;

const METRICS = {
  files: { type: 'gauge', unit: 'files', help: 'files being read' },
  over_max_files: {
    type: 'gauge',
    unit: 'boolean',
    help: '1 while there are more files than max_files, and the rest is not read',
  },
  bytes: { type: 'counter', unit: 'bytes', help: 'bytes read' },
  rotations: { type: 'counter', unit: 'files', help: 'files that were renamed away or cut' },
  unreadable: { type: 'counter', unit: 'tries', help: 'files that could not be opened or read' },
  repaired: { type: 'counter', unit: 'blocks', help: 'blocks with bytes that were no UTF-8 and were replaced' },
} as const;
export type TailContext = SourceContext<typeof METRICS>;

export const tailSource = defineSource({
  name: 'tail',
  summary: 'Reads lines from files as they grow, across rotation and restarts.',
  workers: 'one',
  config: tailConfig,
  metrics: METRICS,
  examples: [
    {
      title: 'Access log of nginx, going on where Fluentd stopped',
      config: [
        '<source>',
        '  @type tail',
        '  path /var/log/nginx/access.log',
        '  pos_file /var/lib/fluentd/nginx.pos',
        '  tag nginx.access',
        '  <parse>',
        '    @type nginx',
        '  </parse>',
        '</source>',
      ].join('\n'),
    },
    {
      title: 'Java, with stack traces',
      config: [
        '<source>',
        '  @type tail',
        '  path /var/log/app/app.log',
        '  tag app.java',
        '  multiline_flush_interval 5s',
        '  <parse>',
        '    @type multiline',
        '    format_firstline /^\\d{4}-\\d\\d-\\d\\d/',
        '    format1 /^(?<time>\\S+ \\S+) (?<level>\\w+) (?<message>.*)/',
        '  </parse>',
        '</source>',
      ].join('\n'),
    },
    {
      title: 'All logs of a folder in GBK',
      config: [
        '<source>',
        '  @type tail',
        '  path /var/log/bank/*.log',
        '  tag bank.*',
        '  from_encoding GBK',
        '  read_from_head true',
        '</source>',
      ].join('\n'),
    },
  ],
  check(config) {
    const problems: string[] = [];
    for (const name of ['encoding', 'from_encoding'] as const) {
      const value = config[name];
      if (value !== undefined && encodingLabel(value) === false)
        problems.push(
          `${name}: ${value} cannot be read; known are UTF-8, GBK, GB18030, Big5, Shift_JIS, EUC-JP, EUC-KR, ISO-8859-1 and others`,
        );
    }
    if (config.from_encoding !== undefined && config.encoding !== undefined && encodingLabel(config.encoding) !== undefined)
      problems.push(`encoding: events are UTF-8; ${config.encoding} cannot be the target of from_encoding`);
    if (!config.enable_watch_timer && !config.enable_stat_watcher)
      problems.push('enable_watch_timer and enable_stat_watcher: at least one of them must be true');
    if (config.path.split(config.path_delimiter).every((path) => path.trim() === '')) problems.push('path: names no file');
    const patterns = config.glob_policy === 'always' ? config.path.split(config.path_delimiter) : [];
    for (const pattern of [...patterns, ...config.exclude_path])
      if (hasTooManyChoices(pattern)) problems.push(`path: ${pattern} stands for more than ${BRACES_MAX} patterns`);
    if (config.follow_inodes && config.pos_file === undefined) problems.push('follow_inodes: needs pos_file');
    return problems;
  },
  create: (config, ctx): TailSource => new Tail(config, ctx),
});
