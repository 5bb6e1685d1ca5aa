import { defineSource } from '../../engine/component.ts';
import { transportProblems } from '../../engine/net/transport.ts';
import { HttpServer } from './server.ts';
import { config, metrics } from './settings.ts';

export const httpSource = defineSource({
  name: 'http',
  summary: 'Takes events by HTTP: POST /TAG with JSON, NDJSON, MessagePack or a form. Answers when the events are safe.',
  config,
  metrics,
  durability: 'fsync',
  examples: [
    {
      title: 'curl -d \'{"a":1}\' -H content-type:application/json localhost:9880/app.web',
      config: '<source>\n  @type http\n</source>',
    },
    {
      title: 'From web pages of a shop, with the address of each visitor',
      config: [
        '<source>',
        '  @type http',
        '  bind 0.0.0.0',
        '  cors_allow_origins ["https://*.shop.example.com"]',
        '  add_remote_addr true',
        '  use_204_response true',
        '</source>',
      ].join('\n'),
    },
    {
      title: 'Lines of text with a parser of their own',
      config: '<source>\n  @type http\n  <parse>\n    @type ltsv\n  </parse>\n</source>',
    },
  ],
  check(options) {
    const problems = transportProblems(options.transport);
    if (options.cors_allow_credentials && options.cors_allow_origins === undefined)
      problems.push('cors_allow_credentials: needs cors_allow_origins');
    if (options.cors_allow_credentials && options.cors_allow_origins?.includes('*') === true)
      problems.push('cors_allow_credentials: not together with the origin *');
    return problems;
  },
  create: (options, ctx) => new HttpServer(options, ctx),
});
