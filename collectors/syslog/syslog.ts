import { defineSource } from '../../engine/component.ts';
import { encodingLabel } from '../../engine/encoding.ts';
import { transportProblems } from '../../engine/net/transport.ts';
import { SyslogServer } from './server.ts';
import { config, metrics } from './settings.ts';

export const syslogSource = defineSource({
  name: 'syslog',
  summary: 'Takes syslog over UDP, TCP or TLS: RFC 3164 and RFC 5424, lines or messages with their length in front.',
  config,
  metrics,
  examples: [
    { title: 'What logger and rsyslog send', config: '<source>\n  @type syslog\n  tag system\n</source>' },
    {
      title: 'Both forms over TCP, with severity and sender as fields',
      config: [
        '<source>',
        '  @type syslog',
        '  bind 0.0.0.0',
        '  tag system',
        '  severity_key severity',
        '  source_address_key source',
        '  <transport tcp>',
        '  </transport>',
        '  <parse>',
        '    message_format auto',
        '  </parse>',
        '</source>',
      ].join('\n'),
    },
  ],
  check(options) {
    const problems = transportProblems(options.transport);
    if (options.from_encoding !== undefined && encodingLabel(options.from_encoding) === false)
      problems.push(`from_encoding: ${options.from_encoding} cannot be read; known are UTF-8, GBK, GB18030, Big5 and others`);
    if (options.delimiter === '') problems.push('delimiter: must not be empty');
    return problems;
  },
  create: (options, ctx) => new SyslogServer(options, ctx),
});
