import type { TimestampMs } from '../../state/contracts/units.ts'
import type { RecordHeader } from '../../state/log/record-batch.ts'
import type { StreamRecord } from '../operator.ts'

/** Where a record came from: kept with what is held back, and given to what is made of it. */
export interface Origin {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** Of a record that has none. */
export const noHeaders: readonly RecordHeader[] = []

/** The origin of results that no record caused: stream time was moved from outside. */
export const noOrigin: Origin = { topic: '', partition: -1, offset: -1 }

/**
 * A record made of another: it keeps the origin, so that every result can be
 * traced to the record that caused it. Fields are read one by one, since a
 * record may compute them on demand.
 */
export function deriveRecord<Key, Value>(
  from: Origin,
  key: Key,
  value: Value,
  timestampMs: TimestampMs,
  headers: readonly RecordHeader[] = noHeaders,
): StreamRecord<Key, Value> {
  return {
    key,
    value,
    timestampMs,
    topic: from.topic,
    partition: from.partition,
    offset: from.offset,
    headers,
  }
}

export const originOf = (record: Origin): Origin => ({
  topic: record.topic,
  partition: record.partition,
  offset: record.offset,
})

/** A record as plain data, for stores: a record from the log may compute its fields on demand. */
export const plainRecord = <Key, Value>(record: StreamRecord<Key, Value>): StreamRecord<Key, Value> =>
  deriveRecord(record, record.key, record.value, record.timestampMs, record.headers)
