import type { ByteWriter } from '../contracts/byte-writer.ts'
import { crc32c } from './crc32c.ts'

/**
 * A section: the records of one commit for one topic partition, as they lie
 * in memory and on the disk. Little-endian.
 *
 *      0  u32  CRC-32C of everything after it
 *      4  u32  bytes of the section, this header included
 *      8  u16  kind: 1 records, 2 records with gaps, 3 catalog
 *     10  u16  0
 *     12  u32  topic number
 *     16  u32  partition
 *     20  u32  count of records
 *     24  u32  offsets spanned: the next offset is base + span
 *     28  u32  bytes of the fields
 *     32  f64  offset of the first record (a whole number)
 *     40  f64  event time that the first record's delta counts from, ms
 *     48  f64  greatest event time, ms
 *     56  f64  when it was appended, ms
 *     64       fields of every record, then the bytes of every record
 *
 * Fields of a record, varints: offset minus the previous record's (kind 2
 * only); event time minus the previous record's, zig-zag; 2 × (key bytes + 1),
 * or 0 for no key, plus 1 if there are headers; value bytes + 1, or 0 for a
 * tombstone; header bytes, if there are headers. Bytes of a record: key,
 * value, headers. Fields apart from bytes let the writer append both without
 * going back, and the reader run over the fields alone.
 */
export const sectionHeaderBytes = 64

export const sectionKinds = { records: 1, recordsWithGaps: 2, catalog: 3 } as const

export type SectionKind = (typeof sectionKinds)[keyof typeof sectionKinds]

export interface SectionHeader {
  readonly kind: number
  readonly byteLength: number
  readonly topicId: number
  readonly partition: number
  readonly count: number
  readonly span: number
  readonly fieldBytes: number
  readonly baseOffset: number
  readonly firstTimestampMs: number
  readonly maxTimestampMs: number
  readonly appendedAtMs: number
}

/** Event times reach this far from 1970 on both sides, so that the difference of two is exact. */
export const timestampLimitMs = 2 ** 52

/** Writes the header of a section, all but its checksum. */
export function writeSectionHeader(bytes: Buffer, at: number, header: SectionHeader): void {
  bytes.writeUInt32LE(header.byteLength, at + 4)
  bytes.writeUInt32LE(header.kind, at + 8)
  bytes.writeUInt32LE(header.topicId, at + 12)
  bytes.writeUInt32LE(header.partition, at + 16)
  bytes.writeUInt32LE(header.count, at + 20)
  bytes.writeUInt32LE(header.span, at + 24)
  bytes.writeUInt32LE(header.fieldBytes, at + 28)
  bytes.writeDoubleLE(header.baseOffset, at + 32)
  bytes.writeDoubleLE(header.firstTimestampMs, at + 40)
  bytes.writeDoubleLE(header.maxTimestampMs, at + 48)
  bytes.writeDoubleLE(header.appendedAtMs, at + 56)
}

/** Writes the checksum of a section that is in place, header and all. */
export function sealSection(bytes: Buffer, at: number, byteLength: number): void {
  bytes.writeUInt32LE(crc32c(bytes, at + 4, at + byteLength), at)
}

export function readSectionHeader(bytes: Buffer, at: number): SectionHeader {
  return {
    byteLength: bytes.readUInt32LE(at + 4),
    kind: bytes.readUInt16LE(at + 8),
    topicId: bytes.readUInt32LE(at + 12),
    partition: bytes.readUInt32LE(at + 16),
    count: bytes.readUInt32LE(at + 20),
    span: bytes.readUInt32LE(at + 24),
    fieldBytes: bytes.readUInt32LE(at + 28),
    baseOffset: bytes.readDoubleLE(at + 32),
    firstTimestampMs: bytes.readDoubleLE(at + 40),
    maxTimestampMs: bytes.readDoubleLE(at + 48),
    appendedAtMs: bytes.readDoubleLE(at + 56),
  }
}

/** Whether the section at `at`, said to have `byteLength` bytes, is whole. */
export function isSectionWhole(bytes: Buffer, at: number, byteLength: number): boolean {
  return (
    byteLength >= sectionHeaderBytes &&
    at + byteLength <= bytes.length &&
    bytes.readUInt32LE(at + 4) === byteLength &&
    bytes.readUInt32LE(at) === crc32c(bytes, at + 4, at + byteLength)
  )
}

/** Lengths of one record's parts; -1 is "none" for key, value and headers. */
export interface RecordParts {
  readonly keyBytes: number
  readonly valueBytes: number
  readonly headerBytes: number
}

/** Appends one record's fields. `offsetGap` is 0 in a section without gaps, which writes none. */
export function writeRecordFields(
  fields: ByteWriter,
  offsetGap: number,
  timestampDeltaMs: number,
  { keyBytes, valueBytes, headerBytes }: RecordParts,
): void {
  fields.reserve(40)
  if (offsetGap > 0) writeCount(fields, offsetGap)
  if (timestampDeltaMs >= 0 && timestampDeltaMs < 64) fields.bytes[fields.length++] = timestampDeltaMs * 2
  else fields.varint(timestampDeltaMs)
  writeCount(fields, (keyBytes + 1) * 2 + (headerBytes >= 0 ? 1 : 0))
  writeCount(fields, valueBytes + 1)
  if (headerBytes >= 0) writeCount(fields, headerBytes)
}

/** A whole number from 0 to 2^32 - 1, seven bits a byte. Room for it must be reserved. */
function writeCount(fields: ByteWriter, count: number): void {
  const { bytes } = fields
  let at = fields.length
  let rest = count
  while (rest > 0x7f) {
    bytes[at++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  bytes[at++] = rest
  fields.length = at
}
