import * as z from 'zod';
import { bool, integer, port, size, text } from '../../engine/units.ts';

export const config = z.strictObject({
  bind: text().default('127.0.0.1').describe('Address to listen on.'),
  port: port().default(24224).describe('Port for TCP, and for UDP heartbeats; 0 takes any that is free.'),
  tag: text().optional().describe('Tag for all events in place of the one that the client sends.'),
  add_tag_prefix: text().optional().describe('Prefix for tags; a dot is put in between.'),
  chunk_size_limit: size()
    .prefault('64m')
    .describe('Size of the largest message; a larger one is read past, counted and not acknowledged.'),
  chunk_size_warn_limit: size().optional().describe('Size from which a message is kept, but warned of.'),
  decompression_size_limit: size()
    .prefault('256m')
    .describe('Size that a compressed body may grow to; beyond it the connection is closed.'),
  skip_invalid_event: bool()
    .default(true)
    .describe('Whether entries that are no event are skipped and counted; false closes the connection.'),
  source_address_key: text().optional().describe('Field that receives the address of the client.'),
  source_hostname_key: text()
    .optional()
    .describe('Field that receives the host name of the client; the address until it is known.'),
  resolve_hostname: bool().optional().describe('Whether host names are looked up; on when source_hostname_key is set.'),
  deny_keepalive: bool().default(false).describe('Whether the connection is closed after its first message.'),
  send_keepalive_packet: bool().default(false).describe('Whether TCP keep-alive probes are sent.'),
  backlog: integer({ min: 1 }).optional().describe('Number of connections that wait to be accepted.'),
  max_connections: integer({ min: 1 })
    .default(10_000)
    .describe('Number of connections at the same time; more are closed at once and counted.'),
  incomplete_limit_size: size()
    .prefault('256m')
    .describe(
      'Size of all messages that have begun and not ended, over all connections; beyond it the connection with the largest is closed and counted, and its client sends again.',
    ),
});
export type Config = z.output<typeof config>;

export const metrics = {
  connections: { type: 'gauge', unit: '{connection}', help: 'Connections that are open.' },
  refused_connections: { type: 'counter', unit: '{connection}', help: 'Connections closed at once because of max_connections.' },
  incomplete_closed: { type: 'counter', unit: '{connection}', help: 'Connections closed because of incomplete_limit_size.' },
  unread_closed: {
    type: 'counter',
    unit: '{connection}',
    help: 'Connections closed because the client did not read its acknowledgements: more than 1 MiB waited.',
  },
  acks: { type: 'counter', unit: '{ack}', help: 'Chunks acknowledged.' },
  bad_messages: {
    type: 'counter',
    unit: '{message}',
    help: 'Messages that are no request, or could not be read; the connection was closed for the latter.',
  },
  truncated_bodies: {
    type: 'counter',
    unit: '{message}',
    help: 'Packed bodies that ended inside an entry; the whole entries were kept.',
  },
  oversize_messages: { type: 'counter', unit: '{message}', help: 'Messages larger than chunk_size_limit.' },
} as const;
