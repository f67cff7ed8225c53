import { EngineError } from '../../state/contracts/engine-error.ts'
import type { Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../../state/log/log.ts'
import type { RecordBatch } from '../../state/log/record-batch.ts'

/**
 * A cluster's log for somebody who only reads beside its engine: no topic is
 * made or changed, and no writer opened, which would end that of the engine.
 */
export class ClusterReader implements Log {
  readonly #log: Log
  readonly #path: string
  #known: readonly TopicSpec[] | undefined

  /** `path` names the cluster in errors. */
  constructor(log: Log, path: string) {
    this.#log = log
    this.#path = path
  }

  /** Checks that the topic is there with the same partitions. @throws EngineError `log-read-only`, `topic-mismatch` */
  async createTopic({ name, partitions }: TopicSpec): Promise<void> {
    this.#known ??= await this.#log.topics()
    const found = this.#known.find((topic) => topic.name === name)
    if (found === undefined) throw this.#refused(`create topic "${name}"; does an engine run there?`)
    if (found.partitions === partitions) return
    throw new EngineError('topic-mismatch', {
      topic: name,
      what: 'partitions',
      found: String(found.partitions),
      expected: String(partitions),
    })
  }

  deleteTopic(name: string): Promise<void> {
    return Promise.reject(this.#refused(`delete topic "${name}"`))
  }

  writer(): Promise<LogWriter> {
    return Promise.reject(this.#refused('write'))
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

  read(request: ReadRequest): Promise<RecordBatch> {
    return this.#log.read(request)
  }

  appended(signal: AbortSignal): Promise<void> {
    return this.#log.appended(signal)
  }

  close(): Promise<void> {
    return this.#log.close()
  }

  #refused(operation: string): EngineError<'log-read-only'> {
    return new EngineError('log-read-only', { path: this.#path, operation })
  }
}
