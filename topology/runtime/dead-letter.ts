import type { Assembly } from '../../replay/assembly.ts'
import type { DeadLetterEvent } from '../../state/contracts/engine-contracts.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Log } from '../../state/log/log.ts'

/**
 * The dead letter at this offset of the dead-letter topic.
 *
 * @throws EngineError `dead-letter-unknown`
 */
export async function readDeadLetter(log: Log, assembly: Assembly, number: number): Promise<DeadLetterEvent> {
  const bound = assembly.engine.deadLetter
  const { topic } = bound.contract
  const { start, end } = await log.offsets(topic, 0)
  if (number < start || number >= end) {
    throw new EngineError('dead-letter-unknown', { number, count: Number(end) })
  }
  const batch = await log.read({ topic, partition: 0, offset: BigInt(number), maxBytes: 1, maxRecords: 1 })
  return bound.readValue(batch.bytes, batch.valueStart[0]!, batch.valueEnd[0]!) as DeadLetterEvent
}

/** Key and value of the record that a dead letter is about: its own copy, or what the log still has at its offset. */
export async function originalBytes(
  log: Log,
  { topic, partition, offset, key, value, reason }: DeadLetterEvent,
): Promise<{ readonly key: Uint8Array | null; readonly value: Uint8Array | null }> {
  if (value !== null || reason === 'tombstone') return { key, value }
  const batch = await log.read({ topic, partition, offset: BigInt(offset), maxBytes: 1, maxRecords: 1 })
  if (batch.count === 0) return { key, value }
  const slice = (start: number, end: number) => (start < 0 ? null : batch.bytes.subarray(start, end))
  return {
    key: slice(batch.keyStart[0]!, batch.keyEnd[0]!),
    value: slice(batch.valueStart[0]!, batch.valueEnd[0]!),
  }
}
