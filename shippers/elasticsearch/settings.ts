import * as z from 'zod';
import { httpUrl } from '../../engine/endpoint.ts';
import { bool, duration, integer, list, oneOf, port, secret, size, text } from '../../engine/units.ts';

export const config = z.strictObject({
  host: text().default('localhost').describe('Host name of the server, when hosts is not given.'),
  port: port().default(9200).describe('Port of the server, when hosts is not given.'),
  scheme: oneOf(['http', 'https']).default('http').describe('Scheme, when hosts is not given.'),
  path: text().default('').describe('Path before the API, as behind a proxy.'),
  hosts: list(httpUrl())
    .optional()
    .describe('URLs of several nodes, used in turn; one that does not answer is left alone for 1 to 60 seconds.'),
  user: text().optional().describe('Name of the user.'),
  password: secret().optional().describe('Password of the user.'),
  api_key: secret().optional().describe('API key in its encoded form, instead of user and password.'),
  ca_file: text().optional().describe('File with the certificate of the authority, PEM.'),
  ssl_verify: bool().default(true).describe('Whether the certificate of the server is checked.'),
  client_cert: text().optional().describe('File with the certificate that millrace shows to the server, PEM.'),
  client_key: text().optional().describe('File with the key of that certificate, PEM.'),
  client_key_pass: secret().optional().describe('Passphrase of that key.'),
  ssl_min_version: oneOf(['TLSv1_1', 'TLSv1_2', 'TLSv1_3']).optional().describe('Oldest version of TLS that is spoken.'),
  ssl_max_version: oneOf(['TLSv1_1', 'TLSv1_2', 'TLSv1_3']).optional().describe('Newest version of TLS that is spoken.'),
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
    .describe('Time from sending to the end of the answer; what timed out is sent again under the same ids.'),
  bulk_message_request_threshold: size()
    .prefault('8m')
    .describe('Size of one request at most; a larger chunk is sent in several, an overloaded server gets smaller ones.'),
  pipeline: text().optional().describe('Ingest pipeline of the server.'),
  connections: integer({ min: 1, max: 256 })
    .default(8)
    .describe('Requests in flight per node at most; begins with 2, rises while the server keeps up, halves when it does not.'),
});
export type Config = z.output<typeof config>;

export const metrics = {
  requests: { type: 'counter', unit: '{request}', help: 'Bulk requests sent.' },
  bytes_sent: { type: 'counter', unit: 'By', help: 'Bytes of request bodies.' },
  no_answer: { type: 'counter', unit: '{request}', help: 'Requests without an answer, or with one that did not fit.' },
  too_large: {
    type: 'counter',
    unit: '{request}',
    help: 'Requests that were halved because the server would not take them whole.',
  },
  duplicates: { type: 'counter', unit: '{event}', help: 'Events that were there already: an earlier try had stored them.' },
  possible_repeats: {
    type: 'counter',
    unit: '{event}',
    help: 'Events that may be there twice: sent again after a lost answer, and their data stream had rolled over in between.',
  },
  failure_store: { type: 'counter', unit: '{event}', help: 'Events that the server took into the failure store of the stream.' },
  retried: { type: 'counter', unit: '{event}', help: 'Events to be sent again, whatever the reason.' },
  retried_overload: { type: 'counter', unit: '{event}', help: 'Events to be sent again because the server was overloaded.' },
  retried_no_answer: { type: 'counter', unit: '{event}', help: 'Events to be sent again because no answer came.' },
  retried_waiting: { type: 'counter', unit: '{event}', help: 'Events that wait for credentials, a block, an index, a pipeline.' },
  refused: { type: 'counter', unit: '{event}', help: 'Events that the server will never take, whatever the reason.' },
  refused_mapping: { type: 'counter', unit: '{event}', help: 'Events that do not fit the mapping of the index.' },
  refused_size: { type: 'counter', unit: '{event}', help: 'Events that alone are larger than the server takes.' },
  refused_malformed: { type: 'counter', unit: '{event}', help: 'Events for which the server refused the whole request.' },
  in_flight_limit: { type: 'gauge', unit: '{request}', help: 'Requests in flight that are allowed now.' },
  request_bytes_limit: { type: 'gauge', unit: 'By', help: 'Size of a request that is allowed now.' },
  nodes_alive: { type: 'gauge', unit: '{node}', help: 'Nodes that answer.' },
} as const;
