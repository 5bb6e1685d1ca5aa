/** What others may ask of a running millrace: its books, whether it moves, metrics, dead letters. */
import type { Kind, Log, MetricSpecs } from '../engine/component.ts';
import { DeadLetterStore } from '../engine/delivery/dead-letters-store.ts';
import { messageOf } from '../engine/errors.ts';
import type { Supervisor } from '../engine/pipeline/supervisor.ts';
import type { ControlServer } from '../engine/server/control.ts';
import { DeadLetterService } from '../engine/server/dead-letters.ts';
import type { ComponentStatus } from '../engine/telemetry/accounts.ts';
import { systemClock } from '../engine/telemetry/clock.ts';
import { Observer } from '../engine/telemetry/observer.ts';
import { ProcessWatch } from '../engine/telemetry/process-figures.ts';
import { renderMetrics } from '../engine/telemetry/prometheus.ts';
import type { Stall } from '../engine/telemetry/stalls.ts';
import { REGISTRY } from './components.ts';
import type { DaemonStatus } from './daemon.ts';

export interface ControlParts {
  readonly supervisor: Supervisor;
  readonly workers: number;
  readonly log: Log;
  /** The whole status around the books. */
  readonly statusOf: (components: readonly ComponentStatus[]) => DaemonStatus;
}

export interface ServeOptions {
  readonly bind: string;
  readonly port: number;
  readonly token: string;
  readonly dataDir: string;
  /** Any free port when that one is taken. */
  readonly anyPort: boolean;
}

export class Control {
  readonly #o: ControlParts;
  readonly #observer: Observer;
  readonly #process = new ProcessWatch();
  readonly #specs = new Map<string, MetricSpecs>();
  #server: ControlServer | undefined;

  constructor(parts: ControlParts) {
    this.#o = parts;
    const { supervisor, workers, log } = parts;
    this.#observer = new Observer({ status: () => supervisor.status(), workers, clock: systemClock, log });
    this.#observer.start();
  }

  /** What does not move, as of the last look. */
  get stalls(): readonly Stall[] {
    return this.#observer.stalls;
  }

  /**
   * @returns the URL that it answers on
   * @throws MillraceError MR_PORT_TAKEN or MR_LISTEN
   */
  async serve({ bind, port, token, dataDir, anyPort }: ServeOptions): Promise<string> {
    const { supervisor } = this.#o;
    // Its libraries take a tenth of a second; by now the sources listen.
    const { ControlServer } = await import('../engine/server/control.ts');
    const store = new DeadLetterStore(dataDir);
    const send = supervisor.replay.bind(supervisor);
    const options = {
      bind,
      token,
      status: async () => this.#o.statusOf(await this.#observer.look()),
      metrics: () => this.#metrics(),
      ready: () => this.#observer.readiness(),
      deadLetters: new DeadLetterService({ store, clock: systemClock, send }),
    };
    // Letters that were replayed or dropped before; what is left over of them is no reason not to start.
    void this.#tidy(store);
    this.#server = new ControlServer({ ...options, port });
    try {
      return await this.#server.start();
    } catch (error) {
      if (!anyPort) throw error;
      this.#server = new ControlServer({ ...options, port: 0 });
      return await this.#server.start();
    }
  }

  async #tidy(store: DeadLetterStore): Promise<void> {
    try {
      for (const output of await store.outputs()) await store.tidy(output, false);
    } catch (error) {
      this.#o.log.warn({ reason: messageOf(error) }, 'dead letters that are dealt with could not be removed');
    }
  }

  async #metrics(): Promise<string> {
    const status = this.#o.statusOf(await this.#observer.look());
    for (const { kind, type } of status.components) await this.#load(kind, type);
    return renderMetrics({
      ...status,
      stalls: this.stalls,
      process: this.#process.read(),
      control: this.#server?.figures,
      specs: (kind, type) => this.#specs.get(`${kind} ${type}`) ?? {},
    });
  }

  /** The log and the router are in no registry. */
  async #load(kind: string, type: string): Promise<void> {
    const key = `${kind} ${type}`;
    if (this.#specs.has(key)) return;
    this.#specs.set(key, (await REGISTRY.find([kind as Kind], type)?.load())?.metrics ?? {});
  }

  async stop(): Promise<void> {
    this.#observer.stop();
    this.#process.stop();
    await this.#server?.stop();
  }
}
