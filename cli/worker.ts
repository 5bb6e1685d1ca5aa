/** What a pipeline thread runs. */
import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerSetup } from '../engine/pipeline/messages.ts';
import { runWorker } from '../engine/pipeline/worker-port.ts';
import { REGISTRY } from './components.ts';
import { ruleTaps, watchTap } from './taps.ts';

if (parentPort !== null)
  await runWorker(parentPort, workerData as WorkerSetup, {
    registry: REGISTRY,
    taps: (config, setup) => [...ruleTaps(config), ...(setup.watch ? [watchTap] : [])],
  });
