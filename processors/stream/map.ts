import { map as each } from 'rxjs'
import type { Operator, StreamRecord } from '../operator.ts'
import { deriveRecord } from './derive-record.ts'

/** Gives each record a new value; key, event time, origin and headers stay. */
export function map<In extends StreamRecord, Value>(
  name: string,
  value: (record: In) => Value,
): Operator<In, StreamRecord<In['key'], Value>> {
  return {
    name,
    connect: () =>
      each((record) => deriveRecord(record, record.key, value(record), record.timestampMs, record.headers)),
  }
}
