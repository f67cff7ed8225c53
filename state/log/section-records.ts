import { ByteWriter } from '../contracts/byte-writer.ts'
import {
  readSectionHeader,
  sealSection,
  sectionHeaderBytes,
  sectionKinds,
  writeRecordFields,
  writeSectionHeader,
} from './section.ts'

/** One record of a section. Lengths are -1 for a part that it does not have. */
export interface SectionRecord {
  readonly offset: number
  readonly timestampMs: number
  /** Where its key begins in the bytes; value and headers follow. */
  readonly at: number
  readonly keyBytes: number
  readonly valueBytes: number
  readonly headerBytes: number
}

/** The records of the section at `at`, whose checksum is right, in offset order. */
export function sectionRecords(bytes: Buffer, at: number): readonly SectionRecord[] {
  const header = readSectionHeader(bytes, at)
  const hasGaps = header.kind === sectionKinds.recordsWithGaps
  const fields = new FieldReader(bytes, at + sectionHeaderBytes)
  const records: SectionRecord[] = []
  let data = at + sectionHeaderBytes + header.fieldBytes
  let offset = header.baseOffset - 1
  let timestampMs = header.firstTimestampMs
  for (let index = 0; index < header.count; index++) {
    offset += hasGaps ? fields.count() : 1
    timestampMs += fields.difference()
    const keyField = fields.count()
    const keyBytes = Math.floor(keyField / 2) - 1
    const valueBytes = fields.count() - 1
    const headerBytes = keyField % 2 === 1 ? fields.count() : -1
    records.push({ offset, timestampMs, at: data, keyBytes, valueBytes, headerBytes })
    data += Math.max(0, keyBytes) + Math.max(0, valueBytes) + Math.max(0, headerBytes)
  }
  return records
}

/** The section at `at` without the records that `isDead` (by their place in it); undefined when none is left. */
export function withoutRecords(
  bytes: Buffer,
  at: number,
  isDead: (index: number) => boolean,
): Buffer | undefined {
  const header = readSectionHeader(bytes, at)
  const fields = new ByteWriter(256)
  const data = new ByteWriter(1024)
  let count = 0
  let lastOffset = header.baseOffset - 1
  let lastTimestampMs = header.firstTimestampMs
  let maxTimestampMs = Number.NEGATIVE_INFINITY
  for (const [index, record] of sectionRecords(bytes, at).entries()) {
    if (isDead(index)) continue
    const { offset, timestampMs, keyBytes, valueBytes, headerBytes } = record
    writeRecordFields(fields, offset - lastOffset, timestampMs - lastTimestampMs, record)
    const end = record.at + Math.max(0, keyBytes) + Math.max(0, valueBytes) + Math.max(0, headerBytes)
    data.raw(bytes.subarray(record.at, end))
    lastOffset = offset
    lastTimestampMs = timestampMs
    maxTimestampMs = Math.max(maxTimestampMs, timestampMs)
    count++
  }
  if (count === 0) return undefined
  const byteLength = sectionHeaderBytes + fields.length + data.length
  const section = Buffer.allocUnsafe(byteLength)
  fields.bytes.copy(section, sectionHeaderBytes, 0, fields.length)
  data.bytes.copy(section, sectionHeaderBytes + fields.length, 0, data.length)
  const kind = sectionKinds.recordsWithGaps
  const { length: fieldBytes } = fields
  writeSectionHeader(section, 0, { ...header, kind, byteLength, count, fieldBytes, maxTimestampMs })
  sealSection(section, 0, byteLength)
  return section
}

class FieldReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  /** Seven bits a byte, the lowest first. */
  count(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.#bytes[this.#at++]!
      value += (byte & 0x7f) * scale
      if (byte <= 0x7f) return value
    }
  }

  /** The same with the sign in the lowest bit. */
  difference(): number {
    // Twice a difference may be beyond the safe integers, so the sign is taken off the first byte.
    const first = this.#bytes[this.#at++]!
    let half = (first & 0x7f) >>> 1
    let byte = first
    for (let scale = 64; byte > 0x7f; scale *= 128) {
      byte = this.#bytes[this.#at++]!
      half += (byte & 0x7f) * scale
    }
    return (first & 1) === 1 ? -half - 1 : half
  }
}
