import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'

/** Event times of the first and the last record of a partition, by offset; undefined if it holds none. */
export async function partitionTimes(
  log: Log,
  topic: string,
  partition: number,
): Promise<{ readonly firstMs: TimestampMs; readonly lastMs: TimestampMs } | undefined> {
  const { start, end } = await log.offsets(topic, partition)
  if (start === end) return undefined
  const { count, timestampsMs } = await log.read({ topic, partition, offset: start, maxBytes: 1 })
  if (count === 0) return undefined
  const firstMs = timestampsMs[0]!
  let lastMs: TimestampMs | undefined
  // The last offsets may hold no record: a log on Kafka has markers of its commits there.
  for (let back = 1n; lastMs === undefined; back *= 2n) {
    const from = end - start > back ? end - back : start
    lastMs = await lastTimeFrom(log, topic, partition, from, end)
    if (from === start) break
  }
  return { firstMs, lastMs: lastMs ?? firstMs }
}

async function lastTimeFrom(
  log: Log,
  topic: string,
  partition: number,
  from: bigint,
  end: bigint,
): Promise<TimestampMs | undefined> {
  let lastMs: TimestampMs | undefined
  for (let offset = from; offset < end; ) {
    const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 16 })
    if (batch.count > 0) lastMs = batch.timestampsMs[batch.count - 1]!
    if (batch.nextOffset === offset) break
    offset = batch.nextOffset
  }
  return lastMs
}
