import type { Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../../state/log/log.ts'
import type { RecordBatch } from '../../state/log/record-batch.ts'

/**
 * A log that compacts one topic when it is told to: of records below the point
 * that was cleaned, only the last of each key in that part is read, and no
 * tombstone where `compact` has passed twice.
 */
export class CompactingLog implements Log {
  readonly #log: Log
  readonly #topic: string
  /** Offsets that compaction took away. */
  readonly #gone = new Set<number>()
  #cleaned = 0

  constructor(log: Log, topic: string) {
    this.#log = log
    this.#topic = topic
  }

  /** Cleans the given share of the topic, from its beginning. */
  async compact(share: number): Promise<void> {
    const { end } = await this.#log.offsets(this.#topic, 0)
    const upTo = Math.floor(Number(end) * share)
    const last = new Map<string, { readonly offset: number; readonly isTombstone: boolean }>()
    for (let offset = 0n; offset < upTo; ) {
      const batch = await this.#log.read({ topic: this.#topic, partition: 0, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const at = Number(batch.baseOffset) + batch.offsetDeltas[index]!
        if (at >= upTo) break
        const key = batch.bytes.toString('latin1', batch.keyStart[index]!, batch.keyEnd[index]!)
        const older = last.get(key)
        if (older !== undefined) this.#gone.add(older.offset)
        last.set(key, { offset: at, isTombstone: batch.valueStart[index]! < 0 })
      }
      offset = batch.nextOffset
    }
    for (const { offset, isTombstone } of last.values()) {
      if (isTombstone && offset < this.#cleaned) this.#gone.add(offset)
    }
    this.#cleaned = Math.max(this.#cleaned, upTo)
  }

  async read(request: ReadRequest): Promise<RecordBatch> {
    const batch = await this.#log.read(request)
    if (request.topic !== this.#topic) return batch
    const kept = Array.from({ length: batch.count }, (_, index) => index).filter(
      (index) => !this.#gone.has(Number(batch.baseOffset) + batch.offsetDeltas[index]!),
    )
    const of = (column: Int32Array) => Int32Array.from(kept, (index) => column[index]!)
    return {
      topic: batch.topic,
      partition: batch.partition,
      count: kept.length,
      baseOffset: batch.baseOffset,
      offsetDeltas: of(batch.offsetDeltas),
      nextOffset: batch.nextOffset,
      bytes: batch.bytes,
      timestampsMs: Float64Array.from(kept, (index) => batch.timestampsMs[index]!),
      appendedAtMs: Float64Array.from(kept, (index) => batch.appendedAtMs[index]!),
      keyStart: of(batch.keyStart),
      keyEnd: of(batch.keyEnd),
      valueStart: of(batch.valueStart),
      valueEnd: of(batch.valueEnd),
      headers: (index) => batch.headers(kept[index]!),
    }
  }

  createTopic(spec: TopicSpec): Promise<void> {
    return this.#log.createTopic(spec)
  }

  deleteTopic(name: string): Promise<void> {
    return this.#log.deleteTopic(name)
  }

  topics(): Promise<readonly TopicSpec[]> {
    return this.#log.topics()
  }

  offsets(topic: string, partition: number): Promise<OffsetRange> {
    return this.#log.offsets(topic, partition)
  }

  offsetForTime(topic: string, partition: number, atMs: number): Promise<bigint> {
    return this.#log.offsetForTime(topic, partition, atMs)
  }

  appended(signal: AbortSignal): Promise<void> {
    return this.#log.appended(signal)
  }

  writer(id: string): Promise<LogWriter> {
    return this.#log.writer(id)
  }

  close(): Promise<void> {
    return this.#log.close()
  }
}
