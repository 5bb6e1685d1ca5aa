/** The worker's side of the conversation: builds a pipeline and does what the main thread says. */
import { dirname, resolve } from 'node:path';
import type { MessagePort } from 'node:worker_threads';
import { loadConfig, loadConfigText, type LoadedConfig } from '../config/load.ts';
import { codeOf, messageOf } from '../errors.ts';
import { kernelState, useKernel } from '../events/kernel/kernel.ts';
import type { Registry } from '../registry.ts';
import { systemClock } from '../telemetry/clock.ts';
import { createLog } from '../telemetry/log.ts';
import type { FromWorker, ToWorker, WorkerSetup } from './messages.ts';
import { openLog } from './open-log.ts';
import { Pipeline, type TapSpec } from './pipeline.ts';

/** What the composition root knows and the engine must not: the components, and the rules of a configuration. */
export interface WorkerParts {
  readonly registry: Registry;
  taps(config: LoadedConfig, setup: WorkerSetup): readonly TapSpec[];
}

/** Loads the configuration, builds, reports, and then follows the messages until `stop`. */
export async function runWorker(port: MessagePort, setup: WorkerSetup, parts: WorkerParts): Promise<void> {
  const abort = new AbortController();
  const say = (message: FromWorker): void => port.postMessage(message);
  let pipeline: Pipeline;
  try {
    pipeline = await build(setup, parts, abort.signal, say);
  } catch (error) {
    say({ type: 'failed', code: codeOf(error), message: messageOf(error) });
    port.close();
    return;
  }
  port.on('message', (message: ToWorker) => {
    // #follow reports its own failures.
    void follow(message, { pipeline, isOrphan: setup.isOrphan, abort, say, port });
  });
  say({ type: 'built' });
}

async function build(
  setup: WorkerSetup,
  parts: WorkerParts,
  signal: AbortSignal,
  say: (message: FromWorker) => void,
): Promise<Pipeline> {
  const { configPath, configText, configType, worker, isOrphan } = setup;
  const options = { workerId: worker.id, ...(configType === undefined ? {} : { type: configType }) };
  const config = configText === undefined ? loadConfig(configPath, options) : loadConfigText(configPath, configText, options);
  const log = createLog(setup.logLevel, worker.count > 1 ? { worker: worker.id } : {});
  if (setup.kernel === 'off') useKernel(false);
  const kernel = kernelState();
  // Once, not for each worker.
  if ((kernel === 'missing' || kernel === 'failed') && worker.id === 0)
    log.warn({ kernel }, 'no WebAssembly kernel: plain code does its work, more slowly');
  const { entranceLog, stateDir } = await openLog({ setup, config, registry: parts.registry, log });
  return Pipeline.build({
    root: config.root,
    isFluentd: config.isFluentd,
    registry: parts.registry,
    worker,
    baseDir: dirname(resolve(configPath)),
    dataDir: setup.dataDir,
    clock: systemClock,
    log,
    random: Math.random,
    signal,
    entranceLog,
    stateDir,
    isOrphan,
    publish: (consumer, intervalMs, data, again) => say({ type: 'partial', consumer, intervalMs, data, again }),
    onClosed: (untilMs) => say({ type: 'closed', untilMs }),
    taps: parts.taps(config, setup),
  });
}

interface Life {
  readonly pipeline: Pipeline;
  readonly isOrphan: boolean;
  readonly abort: AbortController;
  readonly say: (message: FromWorker) => void;
  readonly port: MessagePort;
}

async function follow(message: ToWorker, { pipeline, isOrphan, abort, say, port }: Life): Promise<void> {
  switch (message.type) {
    case 'start':
      try {
        await pipeline.start();
      } catch (error) {
        say({ type: 'failed', code: codeOf(error), message: messageOf(error) });
        port.close();
        return;
      }
      say({ type: 'started' });
      await (isOrphan ? pipeline.emptied() : pipeline.finished())?.then(() => say({ type: 'ended' }));
      return;
    case 'status':
      return say({ type: 'status', request: message.request, components: pipeline.status() });
    case 'replay': {
      const outcomes = await pipeline.replay(message.output, message.letters);
      return say({ type: 'replayed', request: message.request, outcomes });
    }
    case 'inject': {
      const { bytes, tag, count } = message.batch;
      const { origin } = message;
      // One that fails is not answered: its parts stay where they are and come again.
      return pipeline.inject({ tag, bytes, start: 0, end: bytes.length, count }, origin, (failure) => {
        if (failure === undefined) say({ type: 'injected', origin });
      });
    }
    case 'confirm':
      return pipeline.confirm(message.consumer, message.intervalMs);
    case 'quiesce':
      await pipeline.quiesce(message.isEnd);
      return say({ type: 'quiesced' });
    case 'finish': {
      const deadline = AbortSignal.timeout(message.deadlineMs);
      deadline.addEventListener('abort', () => abort.abort());
      await pipeline.finish(deadline);
      return say({ type: 'finished' });
    }
    case 'stop':
      abort.abort();
      await pipeline.stop();
      say({ type: 'stopped', components: pipeline.status() });
      return port.close();
  }
}
