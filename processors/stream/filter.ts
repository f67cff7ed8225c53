import type { Operator, StreamRecord } from '../operator.ts'
import { eachRecord } from './each-record.ts'

/** Lets through the records for which `when` holds. What it leaves out is a decision, not a loss: it is not counted as dropped. */
export function filter<In extends StreamRecord>(
  name: string,
  when: (record: In) => boolean,
): Operator<In, In> {
  return {
    name,
    connect: (context) =>
      eachRecord(context, (record, emit) => {
        if (when(record)) emit(record)
      }),
  }
}
