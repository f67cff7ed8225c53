import { ColumnBatch } from './column-batch.ts'

/** Records looked at in one go; a search needs the times only, but decoding them all is quick. */
const anyRecord = { topic: '', partition: 0, maxBytes: Number.POSITIVE_INFINITY }

/**
 * Offset of the first record of a section with an event time at or after
 * `atMs` and an offset at or after `from`; undefined when there is none.
 */
export function firstRecordAt(bytes: Buffer, at: number, from: number, atMs: number): number | undefined {
  const count = bytes.readUInt32LE(at + 20)
  const batch = new ColumnBatch({ ...anyRecord, offset: BigInt(from) }, bytes, count)
  batch.addSection(at, from, 0, 0)
  batch.finish()
  for (let index = 0; index < batch.count; index++) {
    if (batch.timestampsMs[index]! >= atMs) return Number(batch.baseOffset) + batch.offsetDeltas[index]!
  }
  return undefined
}
