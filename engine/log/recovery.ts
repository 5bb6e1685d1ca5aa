import { join } from 'node:path';
import type { Log } from '../component.ts';
import type { Damage } from './damage.ts';
import type { Disk, DiskFile } from './disk.ts';
import type { Position } from './entrance-log.ts';
import { KIND, type Checksum } from './frame.ts';
import { SegmentScanner } from './scanner.ts';
import { decodeHeader, firstPosition, SEGMENT_HEADER_BYTES, sequenceOf, type Segment, type SegmentHeader } from './segment.ts';

/** What is read to find the first frame of a segment, before all of it is. */
const FIRST_BYTES = 64 << 10;

export interface RecoveryOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly log: Log;
  readonly damage: Damage;
  /** Nobody needs what lies before; undefined: all is needed. */
  readonly needed: Position | undefined;
  readonly checksum: Checksum | undefined;
}

/** What was found in the directory of a log. */
export interface Recovered {
  /** With frames, by position. */
  readonly segments: Segment[];
  /** Files that nobody needs: without frames, or with old ones only. To be removed once a new segment is there. */
  readonly obsolete: readonly string[];
  /** Of the newest segment; undefined: none is there, or it is not to be continued. */
  readonly incarnation: bigint | undefined;
  readonly lastMs: number;
  readonly nextSequence: number;
  /** No position at or behind it was ever given, but for what a loss of power took. */
  readonly head: Position;
  /** That were checked, from `needed` on. */
  readonly frames: number;
  readonly events: number;
  readonly bytes: number;
  readonly truncatedBytes: number;
  /** Newest interval by consumer. */
  readonly origins: Map<string, number>;
  /** Of the newest frame. */
  readonly enteredMs: number;
}

/** A segment as it was found, before its frames were looked at. */
export interface Candidate extends Segment {
  readonly size: number;
  /** It begins with what has to be known of those before it. */
  hasMarks: boolean;
}

export interface FoundFiles {
  /** With at least one good frame, by position. */
  readonly used: Candidate[];
  /** Made and never used. */
  readonly empty: string[];
  /** With a damaged header: what is in them cannot be checked, nor can its places be known. */
  readonly headless: { readonly path: string; readonly size: number }[];
  readonly incarnation: bigint | undefined;
  readonly lastMs: number;
  readonly lastSequence: number;
}

/**
 * Reads what a run left behind: the newest segments are checked, the torn end of them is cut off, and everything that is left is made safe, because it counts as such from now on.
 *
 * @throws MillraceError MR_LOG_FORMAT when a newer version wrote it; what the disk threw
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { disk, directory, log } = options;
  const files = await readSegments(disk, directory, options.checksum);
  for (const { path, size } of files.headless) await options.damage.moveFile(path, size);
  const { empty, lastMs, incarnation } = files;
  const state = { lastMs, head: 0, incarnation };
  const all = files.used;
  const segments = all.slice(firstNeeded(all, options.needed ?? 0));
  const found: Found = { frames: 0, events: 0, bytes: 0, end: options.needed ?? 0, origins: new Map(), enteredMs: 0 };
  let truncatedBytes = 0;
  const checkedFrom = lastKnown(segments);
  for (const [n, segment] of segments.entries()) {
    // The newest two may have been written to when the end came.
    const mayBeTorn = n >= segments.length - 2;
    if (n >= checkedFrom) scan(options, segment, segments[n + 1], mayBeTorn, found);
    else leave(segment);
    truncatedBytes += await settle(disk, segment, mayBeTorn);
    state.head = Math.max(state.head, segment.end);
  }
  if (truncatedBytes > 0) log.warn({ directory, bytes: truncatedBytes }, 'the log ended within a frame, which was cut off');
  const isUsed = ({ frames }: Candidate): boolean => frames > 0;
  return {
    ...state,
    segments: segments.filter(isUsed),
    obsolete: [...empty, ...all.filter((segment) => !segments.includes(segment) || !isUsed(segment)).map(({ path }) => path)],
    nextSequence: files.lastSequence + 1,
    frames: found.frames,
    events: found.events,
    bytes: found.bytes,
    truncatedBytes,
    origins: found.origins,
    enteredMs: found.enteredMs,
  };
}

/** Newer ones are checked at once: the newest two, and those up to one in which stands what has to be known of the others. */
function lastKnown(segments: readonly Candidate[]): number {
  let n = Math.max(0, segments.length - 2);
  while (n > 0 && !(segments[n] as Candidate).hasMarks) n--;
  return n;
}

/** Checked when it is read: a long log shall not keep a start waiting. */
function leave(segment: Candidate): void {
  segment.end = segment.base + segment.size;
  segment.frames = 1;
}

/** Those before it are not looked at: no frame of them is needed, and what has to be known of them stands in it. */
function firstNeeded(segments: readonly Candidate[], needed: Position): number {
  let n = Math.max(
    0,
    segments.findLastIndex((segment) => firstPosition(segment) <= needed),
  );
  while (n > 0 && !(segments[n] as Candidate).hasMarks) n--;
  return n;
}

/**
 * Reads the headers of all segments. Changes nothing.
 *
 * @throws MillraceError MR_LOG_FORMAT when a newer version wrote one; what the disk threw
 */
export async function readSegments(disk: Disk, directory: string, checksum?: Checksum): Promise<FoundFiles> {
  const names = (await disk.list(directory)).filter((name) => sequenceOf(name) !== undefined).toSorted();
  const candidates: Candidate[] = [];
  const empty: string[] = [];
  const headless: FoundFiles['headless'] = [];
  let incarnation: bigint | undefined;
  let lastMs = 0;
  let lastSequence = 0;
  for (const name of names) {
    const path = join(directory, name);
    lastSequence = sequenceOf(name) ?? lastSequence;
    const { header, size } = readHeader(disk, path);
    if (header !== undefined) {
      incarnation = header.incarnation;
      lastMs = Math.max(lastMs, header.createdMs);
      const sequence = lastSequence;
      candidates.push({ path, sequence, header, size, base: 0, end: 0, frames: 0, events: 0, hasMarks: false });
    } else if (size <= SEGMENT_HEADER_BYTES || isZero(disk, path)) empty.push(path);
    else {
      // The places in it are not known: a new incarnation must begin.
      headless.push({ path, size });
      incarnation = undefined;
    }
  }
  const used = sortByPosition(disk, checksum, candidates, empty);
  return { used, empty, headless, incarnation, lastMs, lastSequence };
}

function readHeader(disk: Disk, path: string): { header: SegmentHeader | undefined; size: number } {
  const file = disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const read = file.readSync(bytes, 0, bytes.length, 0);
    return { header: decodeHeader(bytes.subarray(0, read), path), size: file.sizeSync() };
  } finally {
    closeQuietly(file);
  }
}

/** Read only; nothing can be lost by it. */
const closeQuietly = (file: DiskFile): void => void file.close().catch(() => undefined);

function isZero(disk: Disk, path: string): boolean {
  const file = disk.open(path, 'read');
  try {
    const bytes = Buffer.alloc(64 << 10);
    for (let at = 0; ;) {
      const read = file.readSync(bytes, 0, bytes.length, at);
      if (read === 0) return true;
      if (bytes.subarray(0, read).some((byte) => byte !== 0)) return false;
      at += read;
    }
  } finally {
    closeQuietly(file);
  }
}

/** The first good frame of each tells where it stands; files without one hold nothing. */
function sortByPosition(
  disk: Disk,
  checksum: Checksum | undefined,
  candidates: readonly Candidate[],
  empty: string[],
): Candidate[] {
  const used: Candidate[] = [];
  for (const candidate of candidates) {
    const file = disk.open(candidate.path, 'read');
    try {
      const scannerOf = (): SegmentScanner =>
        new SegmentScanner({ file, header: candidate.header, checksum, onDamage: () => undefined });
      let scanner = scannerOf();
      // Mostly the first frame is a small one.
      if (!scanner.next(Math.min(candidate.size, FIRST_BYTES))) {
        scanner = scannerOf();
        scanner.next(candidate.size);
      }
      if (scanner.base !== undefined) {
        candidate.base = scanner.base;
        candidate.end = firstPosition(candidate);
        candidate.hasMarks = scanner.kind === KIND.marks && scanner.at === SEGMENT_HEADER_BYTES;
        used.push(candidate);
      } else empty.push(candidate.path);
    } finally {
      closeQuietly(file);
    }
  }
  return used.toSorted((a, b) => a.base - b.base || a.sequence - b.sequence);
}

interface Found {
  frames: number;
  events: number;
  bytes: number;
  /** Frames before it were counted, or are not needed. */
  end: Position;
  enteredMs: number;
  readonly origins: Map<string, number>;
}

/** Counts the frames that are needed and finds where they end. */
function scan(options: RecoveryOptions, segment: Candidate, next: Candidate | undefined, mayBeTorn: boolean, found: Found): void {
  const { disk, checksum, damage } = options;
  const file = disk.open(segment.path, 'read');
  try {
    const { header, base, size } = segment;
    const scanner = new SegmentScanner({
      file,
      header,
      base,
      checksum,
      onDamage: (from, to) => {
        const isRepeated = next !== undefined && firstPosition(next) <= base + from;
        if (!isRepeated && !(mayBeTorn && to === size)) damage.report(segment, from, to);
      },
    });
    while (scanner.next(size)) {
      segment.end = base + scanner.end;
      found.enteredMs = Math.max(found.enteredMs, scanner.enteredMs);
      if (scanner.kind === KIND.marks) readMarks(scanner, found.origins);
      if (scanner.origin !== undefined) raise(found.origins, scanner.origin.consumer, scanner.origin.intervalMs);
      if (scanner.kind !== KIND.events) continue;
      segment.frames++;
      segment.events += scanner.count;
      if (base + scanner.at < found.end) continue;
      found.end = segment.end;
      found.frames++;
      found.events += scanner.count;
      found.bytes += scanner.stop - scanner.start;
    }
  } finally {
    closeQuietly(file);
  }
}

/** Cuts off a torn end; makes the rest safe, which may have been in the system's memory only. @returns bytes cut off */
async function settle(disk: Disk, segment: Candidate, mayBeTorn: boolean): Promise<number> {
  const torn = mayBeTorn ? segment.base + segment.size - segment.end : 0;
  const file = disk.open(segment.path, 'write');
  try {
    if (torn > 0) await file.truncate(segment.end - segment.base);
    await file.datasync();
  } finally {
    await file.close();
  }
  return torn;
}

function raise(origins: Map<string, number>, consumer: string, intervalMs: number): void {
  if (intervalMs > (origins.get(consumer) ?? -Infinity)) origins.set(consumer, intervalMs);
}

/** The first frame of each segment: what has to be known of those before it. JSON, `{"origins":{"consumer":interval}}`. */
export function encodeMarks(origins: ReadonlyMap<string, number>): Buffer {
  return Buffer.from(JSON.stringify({ origins: Object.fromEntries(origins) }), 'utf8');
}

function readMarks({ bytes, start, stop }: SegmentScanner, origins: Map<string, number>): void {
  const marks = JSON.parse(bytes.toString('utf8', start, stop)) as { origins?: Record<string, number> };
  for (const [consumer, intervalMs] of Object.entries(marks.origins ?? {})) raise(origins, consumer, intervalMs);
}
