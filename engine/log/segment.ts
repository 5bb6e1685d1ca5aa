/**
 * Header of a segment, little-endian; frames follow at byte 128:
 *
 *       0 8    "MILLRACE"
 *       8 u16  version of the format
 *      10 u16  bytes of this header
 *      12 u32  0
 *      16 u64  incarnation, 40 bits
 *      24 f64  creation, ms since the epoch; with the incarnation it names the segment in the places of events
 *      32 f64  what is added to a byte offset in the file to get the offset in places: 0, but for a segment that goes on
 *              where another one could not be written
 *      40 32   configuration hash
 *      72 32   geo-data hash
 *     104 20   0
 *     124 u32  crc32 of bytes 0 to 123
 */
import { crc32 } from 'node:zlib';
import { MillraceError } from '../errors.ts';
import type { Position } from './entrance-log.ts';

export const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 128;
const MAGIC = Buffer.from('MILLRACE');
const CRC_AT = 124;

export interface Hashes {
  /** Up to 32 bytes in hexadecimal each; empty when unknown. */
  readonly configHash: string;
  readonly geoHash: string;
}

export interface SegmentHeader extends Hashes {
  readonly version: number;
  readonly incarnation: bigint;
  readonly createdMs: number;
  readonly placeOffset: number;
}

/** A segment on the disk. */
export interface Segment {
  readonly path: string;
  readonly sequence: number;
  readonly header: SegmentHeader;
  /** Position of byte 0 of the file, known with its first frame. */
  base: Position;
  /** Behind what has been handed to the system, or was found. */
  end: Position;
  frames: number;
  events: number;
}

export function encodeHeader(header: Omit<SegmentHeader, 'version'>): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  MAGIC.copy(bytes);
  bytes.writeUInt16LE(FORMAT_VERSION, 8);
  bytes.writeUInt16LE(SEGMENT_HEADER_BYTES, 10);
  bytes.writeBigUInt64LE(header.incarnation, 16);
  bytes.writeDoubleLE(header.createdMs, 24);
  bytes.writeDoubleLE(header.placeOffset, 32);
  bytes.write(header.configHash.slice(0, 64), 40, 'hex');
  bytes.write(header.geoHash.slice(0, 64), 72, 'hex');
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

/**
 * @param bytes  the first bytes of the file
 * @param path  for the message
 * @returns undefined when it is no header, or a damaged one
 * @throws MillraceError MR_LOG_FORMAT when a newer version wrote it
 */
export function decodeHeader(bytes: Buffer, path: string): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || !bytes.subarray(0, 8).equals(MAGIC)) return undefined;
  const version = bytes.readUInt16LE(8);
  // Whatever its checksum says: a later format may have it elsewhere, and a damaged one is refused rather than set aside.
  if (version > FORMAT_VERSION) {
    throw new MillraceError(
      'MR_LOG_FORMAT',
      `${path} has format ${version} of the log, written by a newer millrace; this one reads up to format ${FORMAT_VERSION}`,
    );
  }
  if (version === 0 || crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32LE(CRC_AT)) return undefined;
  const hex = (at: number): string => bytes.toString('hex', at, at + 32);
  return {
    version,
    incarnation: bytes.readBigUInt64LE(16),
    createdMs: bytes.readDoubleLE(24),
    placeOffset: bytes.readDoubleLE(32),
    configHash: hex(40),
    geoHash: hex(72),
  };
}

/** What checksums of frames begin with: a frame that strayed in from another log or segment does not check. */
export function seedOf({ incarnation, createdMs }: Pick<SegmentHeader, 'incarnation' | 'createdMs'>): number {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(incarnation, 0);
  bytes.writeDoubleLE(createdMs, 8);
  return crc32(bytes);
}

export const firstPosition = (segment: Segment): Position => segment.base + SEGMENT_HEADER_BYTES;

const NAME = /^(\d{12})\.log$/;
export const segmentName = (sequence: number): string => `${String(sequence).padStart(12, '0')}.log`;

/** The number in a segment's file name; undefined for other files. */
export function sequenceOf(name: string): number | undefined {
  const found = NAME.exec(name);
  return found === null ? undefined : Number(found[1]);
}
