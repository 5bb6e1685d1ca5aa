import * as z from 'zod';
import { address, bool, duration, float, integer, oneOf, port, rawSections, secret, sections, text } from '../../engine/units.ts';

/** Longer waits than a timer can hold would fire at once. */
const MAX_MS = 2 ** 31 - 1;

const server = z.strictObject({
  host: address().describe('Host name or address of the server.'),
  port: port().default(24224).describe('Port of the server.'),
  name: text().optional().describe('Name of the server in messages.'),
  weight: integer({ min: 0, max: 1_000_000 }).default(60).describe('Share of the chunks among the servers; 0 takes it out.'),
  standby: bool().default(false).describe('Whether it is a spare, used only while another one does not work.'),
  shared_key: secret().optional().describe('Secret of the handshake; not supported yet.'),
  username: text().default('').describe('User of the handshake; not supported yet.'),
  password: secret().default('').describe('Password of the handshake; not supported yet.'),
});

/** Fluentd's names and defaults. Those that tune what works differently here are taken and change nothing. */
export const config = z.strictObject({
  server: sections(server, { min: 1 }).describe('Servers that share the chunks.'),
  require_ack_response: bool()
    .default(false)
    .describe(
      'Whether a chunk is delivered only when the server has acknowledged it; without, a crash of the server loses some.',
    ),
  ack_response_timeout: duration({ min: 1, max: MAX_MS })
    .prefault('190s')
    .describe('Longest wait for an acknowledgement; the chunk is then sent again.'),
  connect_timeout: duration({ min: 1, max: MAX_MS })
    .optional()
    .describe('Longest wait for a connection; hard_timeout if not given.'),
  hard_timeout: duration({ min: 1, max: MAX_MS })
    .prefault('60s')
    .describe('Longest wait for a connection, without connect_timeout.'),
  send_timeout: duration({ min: 1, max: MAX_MS }).prefault('60s').describe('Longest time in which the server reads nothing.'),
  compress: oneOf(['text', 'gzip']).default('text').describe('Compression of the events on the way.'),
  keepalive: bool().default(false).describe('Whether a connection is used for more than one chunk.'),
  keepalive_timeout: duration({ min: 1, max: MAX_MS }).optional().describe('Time after which an idle connection is closed.'),
  heartbeat_type: oneOf(['transport', 'tcp', 'udp', 'none'])
    .default('transport')
    .describe('Way to find out that a failed server is back: a connection (tcp and udp mean the same), or the next chunk.'),
  heartbeat_interval: duration({ min: 10, max: MAX_MS })
    .prefault('1s')
    .describe('Time between two connections to a failed server.'),
  recover_wait: duration({ max: MAX_MS }).prefault('10s').describe('Time that a failed server is passed over.'),
  transport: oneOf(['tcp', 'tls']).default('tcp').describe('Transport; only tcp so far.'),
  security: rawSections().describe('Handshake with shared keys; not supported yet.'),
  service_discovery: rawSections().describe('Servers from elsewhere; not supported yet.'),
  phi_failure_detector: bool().optional().describe('Without effect: a server has failed when a delivery to it has.'),
  phi_threshold: float().optional().describe('Without effect, as phi_failure_detector.'),
  verify_connection_at_startup: bool().optional().describe('Without effect: every server is tried at the start and reported.'),
  ignore_network_errors_at_startup: bool().optional().describe('Without effect: they never keep the pipeline from starting.'),
  expire_dns_cache: duration().optional().describe('Without effect: names are looked up for every connection.'),
  dns_round_robin: bool().optional().describe('Without effect: the addresses of a name are tried in turn.'),
  read_interval_msec: integer().optional().describe('Without effect: answers are read when they come.'),
  read_length: text().optional().describe('Without effect, as read_interval_msec.'),
});
export type Config = z.output<typeof config>;

export const metrics = {
  requests: { type: 'counter', unit: '{request}', help: 'Requests sent and, with require_ack_response, acknowledged.' },
  failures: { type: 'counter', unit: '{failure}', help: 'Deliveries to a server that failed, in part or whole.' },
  connections: { type: 'counter', unit: '{connection}', help: 'Connections made.' },
  servers_down: { type: 'gauge', unit: '{server}', help: 'Servers that are passed over while others work.' },
} as const;

/** What no single field can say. */
export function check(options: Config): string[] {
  const problems: string[] = [];
  if (options.transport === 'tls')
    problems.push('transport tls: TLS is not supported yet; leave transport out to send in the clear');
  if (options.security.length > 0 || options.server.some((one) => one.shared_key !== undefined || one.username !== ''))
    problems.push('<security>, shared_key and username: the handshake with shared keys is not supported yet');
  if (options.service_discovery.length > 0)
    problems.push('<service_discovery> is not supported yet; name each server in a <server> section');
  if (options.server.every(({ weight }) => weight === 0)) problems.push('every <server> has weight 0, so none would be used');
  return problems;
}
