import { parseArgs } from 'node:util';
import { startService, type ServiceOptions } from './start.ts';

const USAGE = `node service/main.ts [--port 0] [--host 127.0.0.1] [--data DIR] [--fluent HOST:PORT] [--statsd HOST:PORT]
  [--statsd-naming tags|dotted] [--trust-proxy loopback|none|NETWORKS] [--faults] [--no-fsync]

The same from the environment: PORT, HOST, DATA_DIR, FLUENT_HOST and FLUENT_PORT, STATSD_HOST and STATSD_PORT,
STATSD_NAMING, TRUST_PROXY, FAULTS=1. Without --fluent the log goes to stderr.
Prints {"listening":PORT} when it is ready; ends within 2 s at SIGTERM or SIGINT.`;

/** @throws Error with one sentence for a value that cannot be used */
export function readOptions(argv: readonly string[], env: Readonly<Record<string, string | undefined>>): ServiceOptions | 'help' {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      port: { type: 'string', default: env['PORT'] ?? '0' },
      host: { type: 'string', default: env['HOST'] ?? '127.0.0.1' },
      data: { type: 'string', default: env['DATA_DIR'] ?? '.core' },
      fluent: { type: 'string', default: hostAndPort(env['FLUENT_HOST'], env['FLUENT_PORT']) },
      statsd: { type: 'string', default: hostAndPort(env['STATSD_HOST'], env['STATSD_PORT']) },
      'statsd-naming': { type: 'string', default: env['STATSD_NAMING'] ?? 'tags' },
      'trust-proxy': { type: 'string', default: env['TRUST_PROXY'] ?? 'loopback' },
      faults: { type: 'boolean', default: env['FAULTS'] === '1' },
      'no-fsync': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const naming = values['statsd-naming'];
  if (naming !== 'tags' && naming !== 'dotted') throw new Error(`--statsd-naming is tags or dotted, not ${naming}`);
  return {
    host: values.host,
    port: readPort('--port', values.port, 0),
    directory: values.data,
    statsdNaming: naming,
    trustProxy: values['trust-proxy'],
    faults: values.faults,
    fsync: !values['no-fsync'],
    logFallback: 'stderr',
    ...(values.fluent === '' ? {} : { fluent: readEndpoint('--fluent', values.fluent) }),
    ...(values.statsd === '' ? {} : { statsd: readEndpoint('--statsd', values.statsd) }),
  };
}

function hostAndPort(host: string | undefined, port: string | undefined): string {
  return port === undefined ? '' : `${host ?? '127.0.0.1'}:${port}`;
}

function readEndpoint(name: string, value: string): { host: string; port: number } {
  const colon = value.lastIndexOf(':');
  if (colon < 1) throw new Error(`${name} is HOST:PORT, not ${value}`);
  return { host: value.slice(0, colon), port: readPort(name, value.slice(colon + 1), 1) };
}

function readPort(name: string, value: string, min: number): number {
  const port = /^\d{1,5}$/.test(value) ? Number(value) : -1;
  if (port < min || port > 65_535) throw new Error(`${name} needs a port from ${min} to 65535, not ${value}`);
  return port;
}

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options === 'help') {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const service = await startService(options);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      // Nothing is left to do afterwards, and the process ends by itself; a second signal ends it at once.
      service.stop().catch(fail);
    });
  }
  process.stdout.write(`${JSON.stringify({ listening: service.port })}\n`);
}

function fail(error: unknown): void {
  process.stderr.write(`core service: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

if (import.meta.main) main().catch(fail);
