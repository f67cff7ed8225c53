import type { Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../state/log/log.ts'
import { openMemoryLog } from '../state/log/memory/memory-log.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'

/**
 * A log to read as a changed declaration will find it: topics that only the
 * changed declaration has are there and empty. Nothing is written to the log
 * below; what a task emits goes to memory and is thrown away.
 */
export class DeclaredLog implements Log {
  readonly #log: Log
  readonly #new: Log
  readonly #names = new Set<string>()

  constructor(log: Log) {
    this.#log = log
    this.#new = openMemoryLog({ now: () => 0 })
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    const isThere = (await this.#log.topics()).some(({ name }) => name === spec.name)
    if (isThere) return this.#log.createTopic(spec)
    this.#names.add(spec.name)
    return this.#new.createTopic(spec)
  }

  deleteTopic(name: string): Promise<void> {
    return this.#of(name).deleteTopic(name)
  }

  async topics(): Promise<readonly TopicSpec[]> {
    return [...(await this.#log.topics()), ...(await this.#new.topics())]
  }

  offsets(topic: string, partition: number): Promise<OffsetRange> {
    return this.#of(topic).offsets(topic, partition)
  }

  offsetForTime(topic: string, partition: number, atMs: number): Promise<bigint> {
    return this.#of(topic).offsetForTime(topic, partition, atMs)
  }

  read(request: ReadRequest): Promise<RecordBatch> {
    return this.#of(request.topic).read(request)
  }

  appended(signal: AbortSignal): Promise<void> {
    return this.#log.appended(signal)
  }

  writer(id: string): Promise<LogWriter> {
    return this.#new.writer(id)
  }

  /** The log below stays open: it is its opener's. */
  close(): Promise<void> {
    return this.#new.close()
  }

  #of(topic: string): Log {
    return this.#names.has(topic) ? this.#new : this.#log
  }
}
