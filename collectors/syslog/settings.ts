import * as z from 'zod';
import { transport } from '../../engine/net/transport.ts';
import { bool, duration, integer, oneOf, port, rawSection, size, text } from '../../engine/units.ts';

export const config = z.object({
  tag: text().describe('First part of the tag; facility and severity follow: system.auth.err'),
  bind: text().default('127.0.0.1').describe('Address to listen on'),
  port: port().default(5140).describe('Port to listen on; 0 takes any that is free'),
  protocol_type: oneOf(['udp', 'tcp']).optional().describe('Protocol; older way to say <transport tcp>'),
  transport: transport(['udp', 'tcp', 'tls']).describe('Transport: udp, tcp, or tls with its certificate'),
  frame_type: oneOf(['auto', 'traditional', 'octet_count'])
    .default('auto')
    .describe(
      'Way in which messages follow one another over TCP: lines, or each with its length in front; auto sees it by the first byte',
    ),
  delimiter: text().default('\n').describe('Text between the messages of a TCP connection'),
  message_length_limit: size({ min: 1, max: 64 * 1024 * 1024 })
    .prefault('64k')
    .describe('Size of the longest message: a datagram is cut there, a longer message over TCP is left out; both are counted'),
  receive_buffer_size: size({ min: 1 })
    .prefault('4m')
    .describe('Size of the buffer that the kernel shall keep for bursts of datagrams'),
  max_connections: integer({ min: 1 })
    .default(1000)
    .describe('Number of connections at the same time; more are closed at once and counted'),
  idle_timeout: duration({ min: 1 }).optional().describe('Time after which a silent connection is closed; without it never'),
  send_keepalive_packet: bool().default(false).describe('Whether TCP keep-alive probes are sent'),
  blocking_timeout: duration().default(500).describe('Pause of a Ruby loop, accepted for compatibility'),
  emit_unmatched_lines: bool()
    .default(false)
    .describe('Whether messages that cannot be parsed become events tagged TAG.unmatched with the field unmatched_line'),
  severity_key: text().optional().describe('Field that receives the severity, err say'),
  priority_key: text().optional().describe('Older name of severity_key'),
  facility_key: text().optional().describe('Field that receives the facility, auth say'),
  source_address_key: text().optional().describe('Field that receives the address of the sender'),
  source_hostname_key: text()
    .optional()
    .describe('Field that receives the host name of the sender; the address until it is known'),
  resolve_hostname: bool().optional().describe('Whether host names are looked up; on when source_hostname_key is set'),
  include_source_host: bool().default(false).describe('Whether source_host_key is set; older way to give source_hostname_key'),
  source_host_key: text().default('source_host').describe('Field for include_source_host'),
  from_encoding: text()
    .optional()
    .describe('Encoding of the messages; events are always UTF-8')
    .meta({ examples: ['GBK'] }),
  parse: rawSection()
    .optional()
    .describe('Parser of the messages; without it syslog with RFC 3164. Other parsers get what stands behind the priority'),
});
export type Config = z.output<typeof config>;

export const metrics = {
  messages: { type: 'counter', unit: '{message}', help: 'Messages received' },
  unmatched: { type: 'counter', unit: '{message}', help: 'Messages without a priority, or that the parser refused' },
  truncated: { type: 'counter', unit: '{message}', help: 'Datagrams longer than message_length_limit, which were cut' },
  repaired: { type: 'counter', unit: '{message}', help: 'Messages with bytes that were no UTF-8 and were replaced' },
  connections: { type: 'gauge', unit: '{connection}', help: 'Connections that are open' },
  refused_connections: { type: 'counter', unit: '{connection}', help: 'Connections closed because there were too many' },
  bad_frames: { type: 'counter', unit: '{connection}', help: 'Connections closed because of a length that is none' },
  receive_buffer_bytes: { type: 'gauge', unit: 'bytes', help: 'Buffer that the kernel keeps for datagrams' },
  kernel_drops: { type: 'gauge', unit: '{datagram}', help: 'Datagrams that the kernel threw away because its buffer was full' },
} as const;
