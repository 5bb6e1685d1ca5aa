/** What the main thread and its workers say to each other. Everything is structured-cloneable. */
import type { ComponentStatus } from '../telemetry/accounts.ts';

export interface WireBatch {
  readonly tag: string;
  readonly bytes: Uint8Array;
  readonly count: number;
}

export type ToWorker =
  | { readonly type: 'start' }
  | { readonly type: 'status'; readonly request: number }
  | { readonly type: 'inject'; readonly batch: WireBatch }
  | { readonly type: 'quiesce' }
  | { readonly type: 'finish'; readonly deadlineMs: number }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'built' }
  | { readonly type: 'started' }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }
  | { readonly type: 'status'; readonly request: number; readonly components: readonly ComponentStatus[] }
  | { readonly type: 'partial'; readonly consumer: string; readonly intervalMs: number; readonly data: unknown }
  | { readonly type: 'quiesced' }
  | { readonly type: 'finished' }
  | { readonly type: 'stopped'; readonly components: readonly ComponentStatus[] }
  /** Every source has come to its end by itself. */
  | { readonly type: 'ended' };

/** What a worker needs to build the same pipeline as its siblings. */
export interface WorkerSetup {
  /** Path of the configuration, or its text under that name. */
  readonly configPath: string;
  readonly configText: string | undefined;
  readonly configType: 'yaml' | 'v1' | undefined;
  readonly worker: { readonly id: number; readonly count: number };
  readonly dataDir: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error';
  readonly logLimitBytes: number;
  /** Whether summaries of what passes are published for a screen. */
  readonly watch: boolean;
}
