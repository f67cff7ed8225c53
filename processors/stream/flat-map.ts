import type { Operator, StreamRecord } from '../operator.ts'
import { deriveRecord } from './derive-record.ts'
import { eachRecord } from './each-record.ts'

/** Gives each record any number of values, in order; key, event time, origin and headers are those of the record. */
export function flatMap<In extends StreamRecord, Value>(
  name: string,
  values: (record: In) => Iterable<Value>,
): Operator<In, StreamRecord<In['key'], Value>> {
  return {
    name,
    connect: (context) =>
      eachRecord(context, (record, emit) => {
        // All values first: a record whose iterable fails half-way gives none.
        for (const value of Array.from(values(record))) {
          emit(deriveRecord(record, record.key, value, record.timestampMs, record.headers))
        }
      }),
  }
}
