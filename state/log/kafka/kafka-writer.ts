import { EngineError } from '../../contracts/engine-error.ts'
import type { CommitTicket, ConsumedPosition, LogWriter } from '../log.ts'
import type { RecordSink } from '../record-sink.ts'
import type { OpenSection, SectionSink } from '../section-sink.ts'
import type { TopicPartition } from '../topic-catalog.ts'
import { type EncodedBatch, encodeSection } from './batch-encoder.ts'
import type { PartitionBatches, TransactionalProducer } from './transactional-producer.ts'

interface HeldBatches extends PartitionBatches {
  readonly held: TopicPartition
  readonly batches: readonly EncodedBatch[]
}

interface Commit {
  readonly partitions: readonly HeldBatches[]
  readonly consumed: readonly ConsumedPosition[]
  resolve(ticket: CommitTicket): void
  reject(error: unknown): void
}

export interface WriterSettings {
  readonly path: string
  readonly topicPrefix: string
  /** Largest batch, which the topics must take. */
  readonly maxBatchBytes: number
  readonly now: () => number
  /** Called before the writer's id is taken. */
  readonly beforeTake: () => Promise<void>
  /** Told, before the commit resolves, that records of the partition are committed up to, not including, `end`. */
  readonly onCommitted: (held: TopicPartition, end: number) => void
  readonly onClosed: (writer: KafkaWriter) => Promise<void>
}

/**
 * A writer over one transactional producer. The sink is free again as soon as
 * `commit` returns its promise. Commits that come while one is under way go
 * together in the next transaction, so that many small ones are not each
 * charged the round trips of their own. The records of a commit that fails
 * are dropped: none of them is on the log.
 */
export class KafkaWriter implements LogWriter {
  readonly sink: RecordSink
  readonly #sink: SectionSink
  readonly #newSink: () => SectionSink
  readonly #producer: TransactionalProducer
  readonly #settings: WriterSettings
  #waiting: Commit[] = []
  #running: Promise<void> | undefined
  #isTaken = false
  #isClosed = false

  constructor(newSink: () => SectionSink, producer: TransactionalProducer, settings: WriterSettings) {
    this.#newSink = newSink
    this.#sink = newSink()
    this.sink = this.#sink
    this.#producer = producer
    this.#settings = settings
  }

  async take(): Promise<void> {
    await this.#settings.beforeTake()
    await this.#producer.start()
    this.#isTaken = true
  }

  commit(consumed: readonly ConsumedPosition[] = []): Promise<CommitTicket> {
    return this.#commit(this.#sink, consumed)
  }

  beside(): LogWriter {
    const sink = this.#newSink()
    return {
      sink,
      commit: (consumed = []) => this.#commit(sink, consumed),
      beside: () => this.beside(),
      close: async () => sink.clear(),
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#sink.clear()
    await this.#running
    await this.#producer.close()
    await this.#settings.onClosed(this)
  }

  async #commit(sink: SectionSink, consumed: readonly ConsumedPosition[]): Promise<CommitTicket> {
    if (this.#isClosed) throw new EngineError('log-closed', { path: this.#settings.path })
    if (!this.#isTaken) throw new TypeError('the writer is a standby: take its id before it commits')
    this.#producer.checkUsable()
    sink.checkTopics()
    const nowMs = this.#settings.now()
    const partitions = sink.sections.map((section) => this.#encode(section, nowMs))
    sink.clear()
    if (partitions.length === 0 && consumed.length === 0) {
      await this.#running
      return { firstOffsets: new Map(), durable: Promise.resolve() }
    }
    return await new Promise<CommitTicket>((resolve, reject) => {
      this.#waiting.push({ partitions, consumed, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const together = this.#waiting
      this.#waiting = []
      const isWritten = await this.#commitTogether(together, together.length === 1)
      // One of them is refused: each by itself, so that only that one fails.
      if (!isWritten) for (const one of together) await this.#commitTogether([one], true)
    }
    this.#running = undefined
  }

  /** False when they were refused and nobody was told yet. */
  async #commitTogether(commits: readonly Commit[], isFinal: boolean): Promise<boolean> {
    try {
      await this.#producer.commit(merged(commits), lastPositions(commits))
    } catch (error) {
      if (!isFinal && error instanceof EngineError && error.code === 'kafka-refused') return false
      for (const { reject } of commits) reject(error)
      return true
    }
    for (const { partitions, resolve } of commits) {
      const firstOffsets = new Map<string, bigint>()
      for (const { held, batches } of partitions) {
        firstOffsets.set(held.key, BigInt(batches[0]!.firstOffset))
        const last = batches.at(-1)!
        this.#settings.onCommitted(held, last.firstOffset + last.count)
      }
      resolve({ firstOffsets, durable: Promise.resolve() })
    }
    return true
  }

  #encode(section: OpenSection, nowMs: number): HeldBatches {
    const { held } = section
    const { topicPrefix, maxBatchBytes } = this.#settings
    return {
      held,
      key: `${held.topic.id} ${held.partition}`,
      name: topicPrefix + held.topic.spec.name,
      partition: held.partition,
      batches: encodeSection(section, maxBatchBytes, nowMs),
    }
  }
}

/** One entry a partition: the broker takes a partition once in a request. */
function merged(commits: readonly Commit[]): readonly PartitionBatches[] {
  if (commits.length === 1) return commits[0]!.partitions
  const byKey = new Map<string, HeldBatches>()
  for (const { partitions } of commits) {
    for (const each of partitions) {
      const known = byKey.get(each.key)
      const batches = known === undefined ? each.batches : [...known.batches, ...each.batches]
      byKey.set(each.key, { ...each, batches })
    }
  }
  return [...byKey.values()]
}

function lastPositions(commits: readonly Commit[]): readonly ConsumedPosition[] {
  const byPartition = new Map<string, ConsumedPosition>()
  for (const { consumed } of commits) {
    for (const position of consumed) byPartition.set(`${position.topic}\0${position.partition}`, position)
  }
  return [...byPartition.values()]
}
