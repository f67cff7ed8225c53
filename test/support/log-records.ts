import type { Log, LogWriter, ReadRequest } from '../../state/log/log.ts'
import type { RecordHeader } from '../../state/log/record-batch.ts'

/** A record as text, to be compared whole. */
export interface LoggedRecord {
  readonly offset: number
  readonly timestampMs: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly RecordHeader[]
}

export type NewRecord = Pick<LoggedRecord, 'timestampMs' | 'key' | 'value'> & {
  readonly headers?: readonly RecordHeader[]
}

/** Puts a record into the writer's sink. */
export function writeRecord(
  { sink }: LogWriter,
  topic: string,
  partition: number,
  { key, value, timestampMs, headers }: NewRecord,
): void {
  const out = sink.begin(topic, partition, timestampMs)
  if (key !== null) out.raw(Buffer.from(key))
  sink.beginValue()
  if (value !== null) out.raw(Buffer.from(value))
  sink.end(headers)
}

/** The records of one read. */
export async function readFrom(log: Log, request: ReadRequest): Promise<LoggedRecord[]> {
  const batch = await log.read(request)
  const text = (start: number, end: number) => (start < 0 ? null : batch.bytes.toString('utf8', start, end))
  return Array.from({ length: batch.count }, (_, index) => ({
    offset: Number(batch.baseOffset) + batch.offsetDeltas[index]!,
    timestampMs: batch.timestampsMs[index]!,
    key: text(batch.keyStart[index]!, batch.keyEnd[index]!),
    value: text(batch.valueStart[index]!, batch.valueEnd[index]!),
    headers: batch.headers(index).map(({ name, value }) => ({ name, value: Buffer.from(value) })),
  }))
}

/** Every record of a topic partition from `offset` on, read in steps of `maxBytes`. */
export async function readAll(
  log: Log,
  topic: string,
  partition: number,
  offset?: number,
  maxBytes = 1 << 20,
): Promise<LoggedRecord[]> {
  const { start, end } = await log.offsets(topic, partition)
  const records: LoggedRecord[] = []
  let next = offset === undefined ? start : BigInt(offset)
  while (next < end) {
    const request = { topic, partition, offset: next, maxBytes }
    const { nextOffset } = await log.read(request)
    if (nextOffset <= next) throw new Error(`a read at ${next} did not move`)
    records.push(...(await readFrom(log, request)))
    next = nextOffset
  }
  return records
}
