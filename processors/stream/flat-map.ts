import { concatMap } from 'rxjs'
import type { Operator, StreamRecord } from '../operator.ts'
import { deriveRecord } from './derive-record.ts'

/** Gives each record any number of values, in order; key, event time, origin and headers are those of the record. */
export function flatMap<In extends StreamRecord, Value>(
  name: string,
  values: (record: In) => Iterable<Value>,
): Operator<In, StreamRecord<In['key'], Value>> {
  return {
    name,
    connect: () =>
      concatMap((record) =>
        Array.from(values(record), (value) =>
          deriveRecord(record, record.key, value, record.timestampMs, record.headers),
        ),
      ),
  }
}
