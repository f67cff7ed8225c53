import type { Operator, StreamRecord } from '../operator.ts'
import { deriveRecord } from './derive-record.ts'
import { eachRecord } from './each-record.ts'

export interface RekeyOptions {
  /**
   * Records of one new key have one old key in common, as those of a pair of
   * customer and shop have the customer: they are on one partition already,
   * and what is behind the step can be worked on partition by partition.
   */
  readonly samePartition?: boolean
}

/**
 * Gives each record another key. The record may then belong to another
 * partition: see `Repartition` for what the topology makes of it. A null key
 * is kept, and matches nothing further on.
 */
export function rekey<In extends StreamRecord, Key>(
  name: string,
  key: (record: In) => Key,
  { samePartition = false }: RekeyOptions = {},
): Operator<In, StreamRecord<Key, In['value']>> {
  return {
    name,
    ...(samePartition ? {} : { repartition: { topic: `${name}-repartition` } }),
    connect: (context) =>
      eachRecord(context, (record, emit) =>
        emit(
          deriveRecord(record, key(record), record.value as In['value'], record.timestampMs, record.headers),
        ),
      ),
  }
}
