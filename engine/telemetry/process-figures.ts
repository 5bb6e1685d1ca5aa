import { readdirSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapUsedBytes: number;
  /** undefined where the system does not tell. */
  readonly openFiles: number | undefined;
  /** Median, 99th percentile and maximum of the delay of this thread's loop since the last look, in seconds. */
  readonly loopDelaySeconds: Readonly<Record<string, number>>;
}

const RESOLUTION_MS = 20;

/** Looks at the process itself. */
export class ProcessWatch {
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#delay.enable();
  }

  read(): ProcessFigures {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const delay = this.#delay;
    // Without a sample yet the histogram answers with nonsense; what it measures is the whole time from look to look.
    const seconds = (nanoseconds: number): number =>
      delay.count === 0 ? 0 : Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
    const loopDelaySeconds = {
      p50: seconds(delay.percentile(50)),
      p99: seconds(delay.percentile(99)),
      max: seconds(delay.max),
    };
    delay.reset();
    return {
      cpuSeconds: (user + system) / 1e6,
      residentBytes: rss,
      heapUsedBytes: heapUsed,
      openFiles: openFiles(),
      loopDelaySeconds,
    };
  }

  stop(): void {
    this.#delay.disable();
  }
}

function openFiles(): number | undefined {
  try {
    // Without the one that the reading itself opens.
    return readdirSync('/proc/self/fd').length - 1;
  } catch {
    // No /proc: not Linux.
    return undefined;
  }
}
