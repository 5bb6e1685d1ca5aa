/** What the main thread and its workers say to each other. Everything is structured-cloneable. */
import type { Letter } from '../delivery/dead-letters-format.ts';
import type { Outcome } from '../delivery/dead-letters-replay.ts';
import type { Origin } from '../log/entrance-log.ts';
import type { ComponentStatus } from '../telemetry/accounts.ts';

export interface WireBatch {
  readonly tag: string;
  readonly bytes: Uint8Array;
  readonly count: number;
}

export type ToWorker =
  | { readonly type: 'start' }
  | { readonly type: 'status'; readonly request: number }
  | { readonly type: 'inject'; readonly batch: WireBatch; readonly origin: Origin }
  /** Dead letters go to the output that has this id, if it runs there. */
  | { readonly type: 'replay'; readonly request: number; readonly output: string; readonly letters: readonly Letter[] }
  /** What was made of that interval's parts is safe: they may be forgotten. */
  | { readonly type: 'confirm'; readonly consumer: string; readonly intervalMs: number }
  /** `isEnd`: nothing will go on from here, so that intervals are published although they have not ended. */
  | { readonly type: 'quiesce'; readonly isEnd: boolean }
  | { readonly type: 'finish'; readonly deadlineMs: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'built' }
  | { readonly type: 'started' }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | { readonly type: 'status'; readonly request: number; readonly components: readonly ComponentStatus[] }
  | { readonly type: 'replayed'; readonly request: number; readonly outcomes: readonly Outcome[] | undefined }
  | {
      readonly type: 'partial';
      readonly consumer: string;
      readonly intervalMs: number;
      readonly data: unknown;
      /** It was published before a restart already. */
      readonly again: boolean;
    }
  /** Every interval that ended by then has been published. */
  | { readonly type: 'closed'; readonly untilMs: number }
  /** What was injected is as safe as the log makes anything. */
  | { readonly type: 'injected'; readonly origin: Origin }
  | { readonly type: 'quiesced' }
  | { readonly type: 'finished' }
  | { readonly type: 'stopped'; readonly components: readonly ComponentStatus[] }
  /** Every source has come to its end by itself; of an orphan's log: everything in it has been delivered. */
  | { readonly type: 'ended' };

/** What a worker needs to build the same pipeline as its siblings. */
export interface WorkerSetup {
  /** Path of the configuration, or its text under that name. */
  readonly configPath: string;
  readonly configText: string | undefined;
  readonly configType: 'yaml' | 'v1' | undefined;
  readonly worker: { readonly id: number; readonly count: number };
  /** The log of a worker that is not there any more (`workers 4 -> 2`): it is drained, then removed. */
  readonly isOrphan: boolean;
  readonly dataDir: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  /** `<system> kernel`. */
  readonly kernel?: 'on' | 'off';
  /** Of this worker's log; undefined: what its disk or the memory allows. */
  readonly logLimitBytes: number | undefined;
  /** Whether summaries of what passes are published for a screen. */
  readonly watch: boolean;
}
