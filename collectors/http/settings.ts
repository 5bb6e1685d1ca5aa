import * as z from 'zod';
import { transport } from '../../engine/net/transport.ts';
import { bool, duration, integer, list, port, rawSection, size, text } from '../../engine/units.ts';

export const config = z.object({
  bind: text().default('127.0.0.1').describe('Address to listen on'),
  port: port().default(9880).describe('Port to listen on; 0 takes any that is free'),
  body_size_limit: size({ min: 1 }).prefault('32m').describe('Size of the largest body; a larger one is answered 413'),
  decompression_size_limit: size({ min: 1 })
    .prefault('256m')
    .describe('Size that a compressed body may grow to; beyond it the answer is 413'),
  pending_body_limit: size({ min: 1 })
    .prefault('256m')
    .describe('Size of all bodies together that are being received; beyond it the answer is 503'),
  keepalive_timeout: duration({ min: 1 }).default(10_000).describe('Time after which a connection without requests is closed'),
  header_timeout: duration({ min: 1 }).default(10_000).describe('Time within which the headers of a request must be there'),
  request_timeout: duration({ min: 1 }).default(60_000).describe('Time within which the whole request must be there'),
  backlog: integer({ min: 1 }).optional().describe('Number of connections that wait to be accepted'),
  max_connections: integer({ min: 1 })
    .default(10_000)
    .describe('Number of connections at the same time; more are closed at once and counted'),
  blocking_timeout: duration().default(500).describe('Pause of a Ruby loop, accepted for compatibility'),
  add_http_headers: bool().default(false).describe('Whether the headers of the request become fields named HTTP_...'),
  add_remote_addr: bool()
    .default(false)
    .describe('Whether the address of the client, or the first one of X-Forwarded-For, becomes the field REMOTE_ADDR'),
  add_query_params: bool().default(false).describe('Whether the parameters of the address become fields named QUERY_...'),
  add_tag_prefix: text().optional().describe('Prefix for tags; a dot is put in between'),
  cors_allow_origins: list()
    .optional()
    .describe('Origins whose pages may send; * for any, https://*.example.com for a pattern. Others are answered 403')
    .meta({ examples: ['["https://shop.example.com"]'] }),
  cors_allow_credentials: bool()
    .default(false)
    .describe('Whether pages may send with credentials; not together with the origin *'),
  respond_with_empty_img: bool().default(false).describe('Whether the answer is a transparent GIF of one pixel'),
  use_204_response: bool().default(false).describe('Whether the answer is 204 in place of 200'),
  refuse_unreadable: bool()
    .default(false)
    .describe('Whether a body that cannot be parsed is answered 400; otherwise it is counted and answered 200, as Fluentd does'),
  dump_error_log: bool().default(true).describe('Whether requests that failed are logged'),
  parse: rawSection()
    .optional()
    .describe('Parser of the bodies; without it the Content-Type decides: JSON, NDJSON, MessagePack or a form with one of them'),
  transport: transport(['tcp', 'tls']).describe('Transport: tcp, or tls with its certificate'),
});
export type Config = z.output<typeof config>;

export const metrics = {
  requests: { type: 'counter', unit: '{request}', help: 'Requests answered' },
  refused_requests: {
    type: 'counter',
    unit: '{request}',
    help: 'Requests answered with 4xx: not readable, too large, not allowed',
  },
  busy_requests: {
    type: 'counter',
    unit: '{request}',
    help: 'Requests answered with 503: the log is full, or too many bodies at once',
  },
  refused_connections: { type: 'counter', unit: '{connection}', help: 'Connections closed because there were too many' },
  repaired: { type: 'counter', unit: '{body}', help: 'Bodies with bytes that were no UTF-8 and were replaced' },
} as const;
