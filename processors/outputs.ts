import { ByteWriter } from '../state/contracts/byte-writer.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import { KeylessPartitioner, partitionOf } from '../state/log/partitioner.ts'
import type { RecordHeader } from '../state/log/record-batch.ts'
import type { RecordSink } from '../state/log/record-sink.ts'

/** Writes an event of one contract to its topic, at the partition of its key, which is given back. */
export type Emit = (event: object, atMs: TimestampMs) => number

/**
 * Encodes events into a commit's sink, each at the partition of its key.
 * While a replay re-makes what is on the log already it is `muted`: the
 * events are encoded and thrown away.
 */
export class Outputs {
  muted = false
  /** Events emitted since the start, muted ones included. */
  count = 0
  readonly #sink: RecordSink
  readonly #key = new ByteWriter(256)
  readonly #keyless = new KeylessPartitioner()

  constructor(sink: RecordSink) {
    this.#sink = sink
  }

  /** Events that the emitter writes carry these headers. */
  emitter(bound: BoundContract<object>, partitions: number, headers?: readonly RecordHeader[]): Emit {
    const { topic } = bound.contract
    const keyless = this.#keyless
    return this.#emit(
      bound,
      (key) =>
        key.length === 0
          ? keyless.partitionFor(topic, partitions)
          : partitionOf(key.bytes, 0, key.length, partitions),
      headers,
    )
  }

  /** Writes to this partition, whatever the key. */
  emitterTo(bound: BoundContract<object>, partition: number): Emit {
    return this.#emit(bound, () => partition)
  }

  #emit(
    bound: BoundContract<object>,
    partitionFor: (key: ByteWriter) => number,
    headers?: readonly RecordHeader[],
  ): Emit {
    const { topic } = bound.contract
    const sink = this.#sink
    const key = this.#key
    return (event, atMs) => {
      this.count++
      if (this.muted) return -1
      key.reset()
      bound.writeKey(event, key)
      const partition = partitionFor(key)
      const out = sink.begin(topic, partition, atMs)
      out.raw(key.bytes, 0, key.length)
      try {
        sink.beginValue()
        bound.writeValue(event, out)
        sink.end(headers)
      } catch (error) {
        // An event that does not fit its contract leaves nothing of itself in the commit.
        sink.cancel()
        throw error
      }
      return partition
    }
  }
}
