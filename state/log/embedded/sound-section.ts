import { readSectionHeader, sectionHeaderBytes, sectionKinds, timestampLimitMs } from '../section.ts'

/** Bytes that the fields of the smallest record take: time, key and value. */
const smallestFieldBytes = 3
const mostPartitions = 65_536

/**
 * Whether the headers of sections can be true. A right checksum says that the
 * bytes are as they were written, not who wrote them: whoever allocates by
 * these numbers must not be led to allocate without bound.
 */
export function areSectionsSound(bytes: Buffer, sections: readonly number[]): boolean {
  return sections.every((at) => {
    const header = readSectionHeader(bytes, at)
    const { kind, count, span, fieldBytes, baseOffset, byteLength, partition, maxTimestampMs } = header
    if (kind === sectionKinds.catalog) return true
    return (
      (kind === sectionKinds.records || kind === sectionKinds.recordsWithGaps) &&
      partition < mostPartitions &&
      fieldBytes <= byteLength - sectionHeaderBytes &&
      count >= 1 &&
      count * smallestFieldBytes <= fieldBytes &&
      span >= count &&
      Number.isSafeInteger(baseOffset) &&
      baseOffset >= 0 &&
      Math.abs(maxTimestampMs) <= timestampLimitMs
    )
  })
}
