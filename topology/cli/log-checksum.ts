import { createHash } from 'node:crypto'
import { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { Log } from '../../state/log/log.ts'

export interface PartitionChecksum {
  readonly records: number
  /** SHA-256 over offset, times, key, value and headers of every record. */
  readonly checksum: string
}

const readBytes = 1 << 20

/**
 * Of the records from `from` up to, not including, `to`. Where an append time
 * is not before the event time it does not count: a cluster keeps one time.
 */
export async function checksumOf(
  log: Log,
  topic: string,
  partition: number,
  { from, to }: { readonly from: bigint; readonly to: bigint },
  onRecords: (count: number) => void,
): Promise<PartitionChecksum> {
  const hash = createHash('sha256')
  const out = new ByteWriter(readBytes)
  let records = 0
  for (let offset = from; offset < to; ) {
    const batch = await log.read({ topic, partition, offset, maxBytes: readBytes })
    const first = Number(batch.baseOffset)
    const seen = records
    out.reset()
    for (let index = 0; index < batch.count; index++) {
      const at = first + batch.offsetDeltas[index]!
      if (at >= to) break
      const { bytes, keyStart, keyEnd, valueStart, valueEnd } = batch
      const timestampMs = batch.timestampsMs[index]!
      out.double(at)
      out.double(timestampMs)
      out.double(Math.min(timestampMs, batch.appendedAtMs[index]!))
      part(out, bytes, keyStart[index]!, keyEnd[index]!)
      part(out, bytes, valueStart[index]!, valueEnd[index]!)
      for (const { name, value } of batch.headers(index)) {
        out.string(name)
        out.varint(value.length)
        out.raw(value)
      }
      records++
    }
    hash.update(out.view())
    onRecords(records - seen)
    if (batch.nextOffset <= offset) break
    offset = batch.nextOffset
  }
  return { records, checksum: hash.digest('hex') }
}

function part(out: ByteWriter, bytes: Buffer, start: number, end: number): void {
  out.varint(start < 0 ? -1 : end - start)
  if (start >= 0) out.raw(bytes, start, end)
}
