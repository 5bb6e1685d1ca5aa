import { StatsD } from 'hot-shots';

export interface Metrics {
  /** `action` is the name of the route, one of a dozen. */
  request(action: string, status: number, ms: number): void;
  bank(answer: string, ms: number): void;
  gauge(name: string, value: number): void;
  count(name: string, by: number): void;
  close(): Promise<void>;
}

export interface MetricsOptions {
  /** Where StatsD listens on UDP; without it nothing is sent. */
  readonly statsd?: { readonly host: string; readonly port: number };
  /** `tags`: `core.http.requests:1|c|#action:login,status:200`; `dotted`: `core.http.requests.login.200:1|c` for a StatsD without tags. */
  readonly naming: 'tags' | 'dotted';
}

/** Counters, timers and gauges through hot-shots; buffered for half a second, never waiting, losses are silent as UDP is. */
export function makeMetrics({ statsd, naming }: MetricsOptions): Metrics {
  if (statsd === undefined) {
    return { request: nothing, bank: nothing, gauge: nothing, count: nothing, close: () => Promise.resolve() };
  }
  const client = new StatsD({
    ...statsd,
    prefix: 'core.',
    maxBufferSize: 1432,
    bufferFlushInterval: 500,
    cacheDns: true,
    includeDataDogTags: false,
    originDetection: false,
    // A port where nobody listens answers with ECONNREFUSED now and then; metrics must not disturb the service.
    errorHandler: nothing,
  });
  const named = (name: string, labels: Record<string, string>): [string, Record<string, string>] =>
    naming === 'tags' ? [name, labels] : [[name, ...Object.values(labels)].join('.'), {}];
  let closing: Promise<void> | undefined;
  return {
    request(action, status, ms) {
      client.increment(...counted(named('http.requests', { action, status: String(status) })));
      const [name, labels] = named('http.duration', { action });
      client.timing(name, ms, labels);
    },
    bank(answer, ms) {
      client.increment(...counted(named('bank.answers', { answer })));
      const [name, labels] = named('bank.duration', { answer });
      client.timing(name, ms, labels);
    },
    gauge: (name, value) => client.gauge(name, value),
    count: (name, by) => {
      if (by > 0) client.increment(name, by);
    },
    close: () => (closing ??= new Promise((resolve) => client.close(() => resolve()))),
  };
}

function counted([name, labels]: [string, Record<string, string>]): [string, number, Record<string, string>] {
  return [name, 1, labels];
}

function nothing(): void {
  // Nothing to do, on purpose: see the callers.
}
