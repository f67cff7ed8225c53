import type { Prediction } from '../models/serving/model-part.ts'
import { ByteWriter } from '../state/contracts/byte-writer.ts'
import { type BoundContract, schemaIdOf } from '../state/contracts/codec.ts'
import type { Log } from '../state/log/log.ts'
import { partitionOf } from '../state/log/partitioner.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'

interface Cursor {
  offset: bigint
  readonly end: bigint
  batch: RecordBatch | undefined
  index: number
  head: Prediction | undefined
}

/** The logged predictions of one model, each partition in its order: the order in which a fold makes them again. */
export class ServedPredictions {
  readonly #log: Log
  readonly #bound: BoundContract<Prediction>
  readonly #model: string
  readonly #cursors: readonly Cursor[]
  readonly #key = new ByteWriter(256)

  private constructor(log: Log, bound: BoundContract<Prediction>, model: string, cursors: readonly Cursor[]) {
    this.#log = log
    this.#bound = bound
    this.#model = model
    this.#cursors = cursors
  }

  static async open(
    log: Log,
    bound: BoundContract<object>,
    model: string,
    partitions: number,
  ): Promise<ServedPredictions> {
    const cursors: Cursor[] = []
    for (let partition = 0; partition < partitions; partition++) {
      const { start, end } = await log.offsets(bound.contract.topic, partition)
      cursors.push({ offset: start, end, batch: undefined, index: 0, head: undefined })
    }
    return new ServedPredictions(log, bound as BoundContract<Prediction>, model, cursors)
  }

  /** The logged prediction of the same trigger; undefined where it was never served. */
  async match(made: Prediction): Promise<Prediction | undefined> {
    const key = this.#key
    key.reset()
    this.#bound.writeKey(made, key)
    const partition = partitionOf(key.bytes, 0, key.length, this.#cursors.length)
    const cursor = this.#cursors[partition]!
    cursor.head ??= await this.#next(partition)
    const { head } = cursor
    const isSame =
      head !== undefined &&
      head.triggerOffset === made.triggerOffset &&
      head.triggerPartition === made.triggerPartition &&
      head.triggerTopic === made.triggerTopic
    if (!isSame) return undefined
    cursor.head = undefined
    return head
  }

  /** All that were not matched yet, partition by partition. */
  async *rest(): AsyncGenerator<Prediction> {
    for (const [partition, cursor] of this.#cursors.entries()) {
      for (;;) {
        const prediction = cursor.head ?? (await this.#next(partition))
        cursor.head = undefined
        if (prediction === undefined) break
        yield prediction
      }
    }
  }

  async #next(partition: number): Promise<Prediction | undefined> {
    const cursor = this.#cursors[partition]!
    const { topic } = this.#bound.contract
    for (;;) {
      while (cursor.batch === undefined || cursor.index >= cursor.batch.count) {
        if (cursor.offset >= cursor.end) return undefined
        cursor.batch = await this.#log.read({ topic, partition, offset: cursor.offset, maxBytes: 1 << 20 })
        if (cursor.batch.nextOffset === cursor.offset) return undefined
        cursor.offset = cursor.batch.nextOffset
        cursor.index = 0
      }
      const { bytes, valueStart, valueEnd } = cursor.batch
      const index = cursor.index++
      const [start, end] = [valueStart[index]!, valueEnd[index]!]
      if (start < 0) continue
      if (!this.#bound.isKnown(bytes, start, end)) await this.#bound.learn(schemaIdOf(bytes, start, end))
      const event = this.#bound.readValue(bytes, start, end)
      if (event.model === this.#model) return event
    }
  }
}
