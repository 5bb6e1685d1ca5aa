/** The way from a forward request to a bulk body makes no object and no string for each event. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { makeCorpus } from '../bench/events/corpus.ts';
import { bytesPath, objectsPath, placeFilter, removeFilter, type Path } from '../bench/events/paths.ts';

// Files in this folder have a process of their own, so the flag stays in it.
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

const corpus = makeCorpus(4);
/** One number that is no small integer takes 12 to 16 bytes, one object or string 24 and more. */
const MAX_BYTES_PER_EVENT = 12;
/** Rounds over the frames until the code is compiled: before that, numbers between functions are objects. */
const WARM_UP = 10;

/** Median over frames; each begins on a clean heap, which one frame does not fill. What a frame costs is in it too. */
function heapBytesPerEvent(path: Path, warmUp = WARM_UP): number {
  for (let round = 0; round < warmUp; round++) for (const frame of corpus.frames) path(frame);
  const samples = Array.from({ length: 15 }, (_, n) => {
    gc();
    const before = process.memoryUsage().heapUsed;
    path(corpus.frames[n % corpus.frames.length] as Buffer);
    return (process.memoryUsage().heapUsed - before) / corpus.eventsEach;
  });
  return samples.toSorted((a, b) => a - b)[7] as number;
}

describe('heap bytes left by an event', () => {
  for (const [name, path] of [
    ['without filters', bytesPath([])],
    ['with a group of fields added and two deleted', bytesPath([placeFilter(), removeFilter()])],
  ] as const) {
    test(name, () => {
      const bytes = heapBytesPerEvent(path);
      assert.ok(bytes < MAX_BYTES_PER_EVENT, `${bytes.toFixed(1)} bytes`);
    });
  }

  test('the way of measuring sees objects', () => assert.ok(heapBytesPerEvent(objectsPath(undefined), 1) > 500));
});
