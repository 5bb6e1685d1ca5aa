/**
 * `npm run bench events [-- --smoke]`: nanoseconds of CPU for each event from a forward request to a bulk body, beside the
 * way through plain objects and beside a loop that only copies and checksums the same bytes. All ways run in one process,
 * in turn, so that a busy machine slows all of them down: compare the ratios of one run.
 *
 * Left out, because all ways need them: sockets, the entrance log, HTTP.
 */
import { kernelState } from '../engine/events/kernel/kernel.ts';
import { makeCorpus } from './events/corpus.ts';
import {
  bytesPath,
  calibration,
  halfFilter,
  objectsPath,
  placeAndRemove,
  placeFilter,
  plainPath,
  removeFilter,
  type Path,
} from './events/paths.ts';

const isSmoke = process.argv.includes('--smoke');
const ROUNDS = isSmoke ? 1 : 5;
/** CPU time is told in ticks of up to 4 ms; a sample is long against them. */
const SAMPLE_MS = isSmoke ? 20 : 250;
const corpus = makeCorpus(isSmoke ? 4 : 20);

interface Entry {
  readonly title: string;
  readonly path: Path;
  readonly samples: number[];
}

const entry = (title: string, path: Path): Entry => ({ title, path, samples: [] });
const calibrated = entry('e  copy and checksum', calibration());
const plain = entry('a  request -> body', bytesPath([]));
const edited = entry('b  a + group of fields added, two deleted', bytesPath([placeFilter(), removeFilter()]));
const halved = entry('c  a + grep that drops half', bytesPath([halfFilter()]));
const plainObjects = entry('d  a through objects', objectsPath(undefined));
const editedObjects = entry('d  b through objects', objectsPath(placeAndRemove()));
const plainCode = entry('f  a without the kernel', plainPath([]));
const editedCode = entry('f  b without the kernel', plainPath([placeFilter(), removeFilter()]));
const entries = [calibrated, plain, edited, halved, plainCode, editedCode, plainObjects, editedObjects];

/** Nanoseconds of CPU of the whole process, garbage collection in other threads too, for each event. */
function sample(path: Path): number {
  const before = process.cpuUsage();
  let events = 0;
  for (;;) {
    for (const frame of corpus.frames) path(frame);
    events += corpus.events;
    const { user, system } = process.cpuUsage(before);
    if (user + system >= SAMPLE_MS * 1000) return ((user + system) * 1000) / events;
  }
}

const median = (of: readonly number[]): number => of.toSorted((a, b) => a - b)[of.length >> 1] as number;

/**
 * Bytes of objects and strings that one event leaves on the heap. Each frame begins on a clean heap, which one frame does
 * not fill; what the frame costs as a whole is in it too.
 */
function allocation(path: Path, gc: () => void): number {
  const perFrame = corpus.frames.slice(0, 8).map((frame) => {
    gc();
    const before = process.memoryUsage().heapUsed;
    path(frame);
    return (process.memoryUsage().heapUsed - before) / corpus.eventsEach;
  });
  return median(perFrame);
}

for (const { path } of entries) sample(path);
for (let round = 0; round < ROUNDS; round++) for (const { path, samples } of entries) samples.push(sample(path));

const each = (path: Path): number => corpus.frames.reduce((sum, frame) => sum + path(frame), 0) / corpus.events;
console.log(
  `node ${process.version}, ${corpus.events} events in frames of ${corpus.eventsEach}, ${(corpus.bytes / corpus.events).toFixed(0)} bytes each; kernel ${kernelState()}; CPU, median of ${ROUNDS}`,
);
console.log(`${''.padEnd(44)}  ns/event   range        to e   to objects   bytes out   heap bytes/event`);
for (const { title, path, samples } of entries) {
  const ns = median(samples);
  const rival = path === edited.path ? editedObjects : plainObjects;
  const range = `${Math.min(...samples).toFixed(0)}-${Math.max(...samples).toFixed(0)}`;
  console.log(
    [
      title.padEnd(44),
      ns.toFixed(0).padStart(8),
      range.padEnd(11),
      (ns / median(calibrated.samples)).toFixed(1).padStart(6),
      path === plain.path || path === edited.path ? `1/${(median(rival.samples) / ns).toFixed(1)}`.padStart(11) : ''.padStart(11),
      each(path).toFixed(0).padStart(10),
      globalThis.gc === undefined
        ? 'start with --expose-gc'
        : allocation(path, globalThis.gc as () => void)
            .toFixed(1)
            .padStart(17),
    ].join('  '),
  );
}
