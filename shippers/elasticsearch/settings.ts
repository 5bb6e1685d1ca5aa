import * as z from 'zod';
import { httpUrl } from '../../engine/endpoint.ts';
import { bool, duration, integer, list, oneOf, port, secret, size, text } from '../../engine/units.ts';

export const config = z.strictObject({
  host: text().default('localhost').describe('Host name of the server, when hosts is not given.'),
  port: port().default(9200).describe('Port of the server, when hosts is not given.'),
  scheme: oneOf(['http', 'https']).default('http').describe('Scheme, when hosts is not given.'),
  path: text().default('').describe('Path before the API, as behind a proxy.'),
  hosts: list(httpUrl()).optional().describe('URLs of several nodes; the next one is used when one does not answer.'),
  user: text().optional().describe('Name of the user.'),
  password: secret().optional().describe('Password of the user.'),
  api_key: secret().optional().describe('API key in its encoded form, instead of user and password.'),
  ca_file: text().optional().describe('File with the certificate of the authority, PEM.'),
  ssl_verify: bool().default(true).describe('Whether the certificate of the server is checked.'),
  data_stream_name: text()
    .optional()
    .describe('Name of the data stream; logs-millrace-default when no index is named either. ${tag} stands for the tag.'),
  index_name: text().optional().describe('Name of a plain index; ${tag} stands for the tag, %Y.%m.%d for the day of the event.'),
  logstash_format: bool().default(false).describe('Whether events go to an index per day, logstash_prefix-%Y.%m.%d.'),
  logstash_prefix: text().default('logstash').describe('Prefix of the index per day; ${tag} stands for the tag.'),
  logstash_prefix_separator: text().default('-').describe('Text between prefix and date.'),
  logstash_dateformat: text().default('%Y.%m.%d').describe('Format of the date in the name of the index, in UTC.'),
  write_operation: oneOf(['create', 'index'])
    .default('create')
    .describe('Operation: create never overwrites, index does; a data stream takes only create.'),
  id_key: text().optional().describe("Field whose text becomes the document's id, in place of the one that millrace gives."),
  time_key: text().default('@timestamp').describe('Field for the time of events that do not have it.'),
  include_tag_key: bool().default(false).describe('Whether the tag is added to each event.'),
  tag_key: text().default('tag').describe('Field for the tag.'),
  request_timeout: duration()
    .prefault('60s')
    .describe('Time to wait for an answer; what timed out is sent again under the same ids.'),
  bulk_message_request_threshold: size().prefault('8m').describe('Size of one request; a larger chunk is sent in several.'),
  pipeline: text().optional().describe('Ingest pipeline of the server.'),
  connections: integer({ min: 1, max: 256 }).default(2).describe('Connections per node.'),
});
export type Config = z.output<typeof config>;

export const metrics = {
  requests: { type: 'counter', unit: '{request}', help: 'Bulk requests sent.' },
  duplicates: { type: 'counter', unit: '{event}', help: 'Events that were there already: an earlier try had stored them.' },
  retried: { type: 'counter', unit: '{event}', help: 'Events that the server asked to send again.' },
  refused: { type: 'counter', unit: '{event}', help: 'Events that the server will never take.' },
  too_large: { type: 'counter', unit: '{request}', help: 'Requests that were too large for the server and were halved.' },
  bytes_sent: { type: 'counter', unit: 'By', help: 'Bytes of request bodies.' },
} as const;
