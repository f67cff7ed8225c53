import type { Operator, StreamRecord } from '../operator.ts'
import { eachRecord } from './each-record.ts'

/** Shows each record to `look` and passes it on unchanged. For counting and for tests: what `look` does is not replayed state. */
export function peek<In extends StreamRecord>(name: string, look: (record: In) => void): Operator<In, In> {
  return {
    name,
    connect: (context) =>
      eachRecord(context, (record, emit) => {
        look(record)
        emit(record)
      }),
  }
}
