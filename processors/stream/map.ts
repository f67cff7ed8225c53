import type { Operator, StreamRecord } from '../operator.ts'
import { deriveRecord } from './derive-record.ts'
import { eachRecord } from './each-record.ts'

/** Gives each record a new value; key, event time, origin and headers stay. */
export function map<In extends StreamRecord, Value>(
  name: string,
  value: (record: In) => Value,
): Operator<In, StreamRecord<In['key'], Value>> {
  return {
    name,
    connect: (context) =>
      eachRecord(context, (record, emit) =>
        emit(deriveRecord(record, record.key, value(record), record.timestampMs, record.headers)),
      ),
  }
}
