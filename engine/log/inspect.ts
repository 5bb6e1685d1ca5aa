/** Looking into a log from outside, while nobody or somebody else writes it; and mending one that nobody writes. */
import type { Log } from '../component.ts';
import { Damage } from './damage.ts';
import type { Disk } from './disk.ts';
import type { Frame, Position } from './entrance-log.ts';
import { FRAME_HEADER_BYTES, KIND, sealFrame, writeHead } from './frame.ts';
import { readSegments, recover, type Candidate } from './recovery.ts';
import { frameOf, SegmentScanner } from './scanner.ts';
import { firstPosition, seedOf } from './segment.ts';
import { writeAll } from './disk.ts';

export interface Range {
  /** Bytes in the file; `to` is behind the last. */
  readonly from: number;
  readonly to: number;
}

export interface SegmentReport {
  readonly path: string;
  readonly sizeBytes: number;
  readonly version: number;
  readonly incarnation: bigint;
  readonly createdMs: number;
  readonly configHash: string;
  /** Of the first frame, and behind the last one. */
  readonly first: Position;
  readonly end: Position;
  readonly frames: number;
  readonly events: number;
  /** When the first and the last frame entered; undefined without frames. */
  readonly enteredMs: readonly [number, number] | undefined;
  readonly damaged: readonly Range[];
  /** Bytes at the end that are no whole frame, where a writer was or is at work. */
  readonly tornBytes: number;
}

export interface LogReport {
  readonly segments: readonly SegmentReport[];
  /** Files without frames. */
  readonly empty: readonly string[];
  readonly headless: readonly { readonly path: string; readonly size: number }[];
}

/**
 * Checks every frame. Changes nothing.
 *
 * @param onFrame  is given every good frame of events once, in order
 * @throws MillraceError MR_LOG_FORMAT when a newer version wrote it; what the disk threw
 */
export async function inspectLog(disk: Disk, directory: string, onFrame?: (frame: Frame) => void): Promise<LogReport> {
  const { used, empty, headless } = await readSegments(disk, directory);
  const segments: SegmentReport[] = [];
  let seen = 0;
  for (const [n, candidate] of used.entries()) {
    const mayBeTorn = n >= used.length - 2;
    segments.push(
      inspectSegment(disk, candidate, used[n + 1], mayBeTorn, (frame) => {
        if (frame.position < seen) return;
        seen = frame.end;
        onFrame?.(frame);
      }),
    );
  }
  return { segments, empty, headless };
}

function inspectSegment(
  disk: Disk,
  candidate: Candidate,
  next: Candidate | undefined,
  mayBeTorn: boolean,
  onFrame: (frame: Frame) => void,
): SegmentReport {
  const { path, header, base, size } = candidate;
  const file = disk.open(path, 'read');
  const damaged: Range[] = [];
  let tornBytes = 0;
  const scanner = new SegmentScanner({
    file,
    header,
    base,
    onDamage: (from, to) => {
      // A file that goes on for this one begins there: nothing is missing.
      const isRepeated = next !== undefined && firstPosition(next) <= base + from;
      if (mayBeTorn && to === size) tornBytes = to - from;
      else if (!isRepeated) damaged.push({ from, to });
    },
  });
  const sums = { frames: 0, events: 0, end: firstPosition(candidate) };
  let enteredMs: [number, number] | undefined;
  try {
    while (scanner.next(size)) {
      sums.end = base + scanner.end;
      if (scanner.kind !== KIND.events) continue;
      sums.frames++;
      sums.events += scanner.count;
      enteredMs = [enteredMs?.[0] ?? scanner.enteredMs, scanner.enteredMs];
      onFrame(frameOf(scanner, candidate));
    }
  } finally {
    void file.close().catch(() => undefined);
  }
  const { version, incarnation, createdMs, configHash } = header;
  const first = firstPosition(candidate);
  return { path, sizeBytes: size, version, incarnation, createdMs, configHash, first, ...sums, enteredMs, damaged, tornBytes };
}

export interface Repaired {
  readonly tornBytes: number;
  /** Ranges set aside, with the bytes in them. */
  readonly ranges: number;
  readonly bytes: number;
  readonly headless: number;
}

/** One void frame fills at most so much, so that no reader has to hold more. */
const VOID_BYTES = 8 << 20;

/**
 * Mends a log that nobody writes: a torn end is cut off; damaged parts and segments with a damaged header are copied or
 * moved to `damaged/`, and a frame without events takes the place of the parts, so that all others stay where they are.
 */
export async function repairLog(disk: Disk, directory: string, log: Log): Promise<Repaired> {
  const { headless } = await readSegments(disk, directory);
  const damage = new Damage(disk, directory, log);
  const { truncatedBytes } = await recover({ disk, directory, log, damage, needed: undefined, checksum: undefined });
  await damage.settled();
  const { used } = await readSegments(disk, directory);
  const { segments } = await inspectLog(disk, directory);
  let ranges = 0;
  let bytes = 0;
  for (const { path, damaged } of segments) {
    const candidate = used.find((one) => one.path === path);
    if (candidate === undefined) continue;
    for (const range of damaged) {
      ranges++;
      bytes += range.to - range.from;
      await fill(disk, candidate, range);
    }
  }
  return { tornBytes: truncatedBytes, ranges, bytes, headless: headless.length };
}

async function fill(disk: Disk, { path, header, base }: Candidate, { from, to }: Range): Promise<void> {
  const none = Buffer.alloc(0);
  const file = disk.open(path, 'write');
  try {
    for (let at = from; at < to;) {
      const left = to - at;
      // What is left for the next one must hold its header.
      const length = left > VOID_BYTES + FRAME_HEADER_BYTES ? VOID_BYTES : left;
      if (length < FRAME_HEADER_BYTES) return;
      const frame = Buffer.alloc(length);
      const head = { kind: KIND.void, level: 'memory', count: 0, position: base + at, enteredMs: 0, intervalMs: 0 } as const;
      writeHead(frame, 0, head, { tag: none, label: none, consumer: none });
      sealFrame(frame, 0, length, 0, seedOf(header));
      await writeAll(file, frame, at);
      at += length;
    }
    await file.datasync();
  } finally {
    await file.close();
  }
}
