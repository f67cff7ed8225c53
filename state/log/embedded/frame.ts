import { crc32c } from '../crc32c.ts'
import { isSectionWhole } from '../section.ts'

/**
 * A frame: one commit, all of it or nothing. Little-endian.
 *
 *      0  u32  mark "HWF1"
 *      4  u32  CRC-32C of bytes 8 to 40, begun from the segment's salt
 *      8  u32  bytes of the frame, this header included
 *     12  u32  number of sections
 *     16  f64  sequence: 1 for the first frame of the log, one more each frame
 *     24  f64  when it was appended, ms
 *     32  f64  sequence up to which all was known to be on the disk by then
 *     40       sections, each with its own checksum
 *
 * The header's checksum and the sections' cover every byte of the frame;
 * having them apart lets a reader check the one section it wants. The salt
 * differs from segment to segment, so bytes that merely look like a frame (a
 * copy of a log inside a record) are not taken for one. What was on the disk
 * already tells damage from the end of a power cut: the disk may have got the
 * frames after its last sync in any order, and none of them was acknowledged.
 */
export const frameHeaderBytes = 40

const mark = 0x31465748
export const markBytes: Buffer = Buffer.from('HWF1', 'latin1')

export interface FrameHeader {
  readonly byteLength: number
  readonly sectionCount: number
  readonly sequence: number
  readonly appendedAtMs: number
  readonly durableSequence: number
}

export function writeFrameHeader(bytes: Buffer, at: number, header: FrameHeader, salt: number): void {
  bytes.writeUInt32LE(mark, at)
  bytes.writeUInt32LE(header.byteLength, at + 8)
  bytes.writeUInt32LE(header.sectionCount, at + 12)
  bytes.writeDoubleLE(header.sequence, at + 16)
  bytes.writeDoubleLE(header.appendedAtMs, at + 24)
  bytes.writeDoubleLE(header.durableSequence, at + 32)
  bytes.writeUInt32LE(crc32c(bytes, at + 8, at + frameHeaderBytes, salt), at + 4)
}

/** The header at `at`, or undefined when there is no valid one. */
export function readFrameHeader(bytes: Buffer, at: number, salt: number): FrameHeader | undefined {
  if (at + frameHeaderBytes > bytes.length || bytes.readUInt32LE(at) !== mark) return undefined
  if (bytes.readUInt32LE(at + 4) !== crc32c(bytes, at + 8, at + frameHeaderBytes, salt)) return undefined
  return {
    byteLength: bytes.readUInt32LE(at + 8),
    sectionCount: bytes.readUInt32LE(at + 12),
    sequence: bytes.readDoubleLE(at + 16),
    appendedAtMs: bytes.readDoubleLE(at + 24),
    durableSequence: bytes.readDoubleLE(at + 32),
  }
}

/** Where the sections of a frame begin; or the place of the first that is damaged. */
export type FrameBody = { readonly sections: readonly number[] } | { readonly damagedAt: number }

/** Checks every section of the frame at `at`, whose header is valid and whose bytes are all there. */
export function readFrameBody(bytes: Buffer, at: number, header: FrameHeader): FrameBody {
  const end = at + header.byteLength
  const sections: number[] = []
  let section = at + frameHeaderBytes
  for (let index = 0; index < header.sectionCount; index++) {
    if (section + 8 > end) return { damagedAt: section }
    const byteLength = bytes.readUInt32LE(section + 4)
    if (section + byteLength > end || !isSectionWhole(bytes, section, byteLength))
      return { damagedAt: section }
    sections.push(section)
    section += byteLength
  }
  return section === end ? { sections } : { damagedAt: section }
}
