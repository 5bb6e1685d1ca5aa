/** Looking up one frame by the place that gives its events their ids. */
import type { Disk } from './disk.ts';
import type { Frame } from './entrance-log.ts';
import { KIND } from './frame.ts';
import { readSegments } from './recovery.ts';
import { frameOf, SegmentScanner } from './scanner.ts';
import { SEGMENT_HEADER_BYTES } from './segment.ts';

export interface FramePlace {
  /** undefined: any. */
  readonly incarnation?: bigint | undefined;
  /** Creation time of the segment, milliseconds. */
  readonly segment: number;
  readonly offset: number;
}

export interface FoundFrame {
  readonly frame: Frame;
  /** Of the configuration that ran when the segment was begun. */
  readonly configHash: string;
}

/** Why there is no such frame: it is older than what is kept; it cannot be read; the log never had it. */
export type NoFrame = 'trimmed' | 'damaged' | 'unknown';

/** Changes nothing; a log that is being written may be looked at. */
export async function findFrame(disk: Disk, directory: string, place: FramePlace): Promise<FoundFrame | NoFrame> {
  const { used } = await readSegments(disk, directory);
  const ours = used.filter(({ header }) => place.incarnation === undefined || header.incarnation === place.incarnation);
  const segments = ours.filter(({ header }) => header.createdMs === place.segment);
  for (const segment of segments) {
    const { path, header, base, size } = segment;
    // A segment whose file was begun anew goes on with the offsets of the old one.
    const offset = place.offset - header.placeOffset;
    if (offset < SEGMENT_HEADER_BYTES || offset >= size) continue;
    const file = disk.open(path, 'read');
    try {
      const scanner = new SegmentScanner({ file, header, base, offset, onDamage: () => undefined });
      if (scanner.next(size) && scanner.at === offset && scanner.kind === KIND.events)
        return { frame: frameOf(scanner, segment), configHash: header.configHash };
    } finally {
      void file.close().catch(() => undefined);
    }
  }
  if (segments.length > 0) return 'damaged';
  const oldest = ours[0]?.header.createdMs;
  return oldest !== undefined && place.segment < oldest ? 'trimmed' : 'unknown';
}
