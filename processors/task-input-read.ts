import { isEngineError } from '../state/contracts/engine-error.ts'
import type { Log } from '../state/log/log.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'

const fetchBytes = 1 << 20

/**
 * Reads a batch from an offset on. What retention has dropped cannot be read
 * again: reading goes on where the topic begins now, which `from` tells.
 */
export async function readBatch(
  log: Log,
  topic: string,
  partition: number,
  offset: number,
  maxRecords: number,
): Promise<{ readonly batch: RecordBatch; readonly from: number }> {
  let from = offset
  for (;;) {
    try {
      const place = { topic, partition, offset: BigInt(from) }
      return { batch: await log.read({ ...place, maxBytes: fetchBytes, maxRecords }), from }
    } catch (error) {
      if (!isEngineError(error, 'offset-out-of-range')) throw error
      const { offset: asked, start } = error.context
      if (asked >= start) throw error
      from = Number(start)
    }
  }
}
