import { EngineError } from '../../contracts/engine-error.ts'
import type { TimestampMs } from '../../contracts/units.ts'
import { AppendSignal } from '../append-signal.ts'
import type { Log, LogWriter, OffsetRange, ReadRequest, TopicSpec } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import { checkReadLimits } from '../section-read.ts'
import { SectionSink } from '../section-sink.ts'
import { checkedTopicSpec, type Topic, TopicCatalog, type TopicPartition } from '../topic-catalog.ts'
import { AppendWatch } from './append-watch.ts'
import { KafkaClient, type KafkaConnections } from './kafka-cluster.ts'
import { brokerCodeOf, deadlineAfter, kafkaCodes, persistently } from './kafka-failure.ts'
import { type CheckedKafkaOptions, checkedKafkaOptions, type KafkaLogOptions } from './kafka-options.ts'
import { KafkaWriter } from './kafka-writer.ts'
import { PartitionReader, PrefetchBudget } from './partition-reader.ts'
import { maxBatchBytesOf, TopicAdmin } from './topic-admin.ts'
import { TransactionalProducer } from './transactional-producer.ts'

/** The log port over an Apache Kafka cluster, and the positions that are committed to it. */
export interface KafkaLog extends Log {
  /**
   * The position that commits of this application have consumed up to; absent
   * before the first. Open the writer that commits it before asking: that
   * settles what an older writer of the same id left open.
   */
  consumed(topic: string, partition: number): Promise<bigint | undefined>
  /** A writer that ends no other of its id until it is taken, and cannot commit before. */
  standbyWriter(id: string): Promise<StandbyWriter>
}

/** A writer in waiting. */
export interface StandbyWriter extends LogWriter {
  /** Ends every older writer of the same id, and what it left open: from here on this is the one. */
  take(): Promise<void>
}

/**
 * Opens a log over an Apache Kafka cluster, of version 2.5 or later.
 *
 * - Record times are event times (CreateTime). Kafka keeps no append time:
 *   `appendedAtMs` is the record's own time, and for records that this adapter
 *   wrote ahead of its clock, the clock's.
 * - Offsets have gaps: each commit leaves a marker in every partition it wrote,
 *   and what was rolled back stays as a gap. Only committed records are read.
 * - `retentionMs` counts from the brokers' clock, not from the newest record:
 *   leave it out where event times lie in the past.
 * - `appended` notices what other processes append to the partitions that
 *   were read before through this log.
 * - A writer knows the topics that existed when it was opened, and those that
 *   were created, read or asked about through this log since.
 * - One writer is one transactional producer, `<topicPrefix><clientId>-<id>`. A commit is
 *   one transaction; it is durable when it resolves. Its consumed positions go
 *   to the consumer group `<clientId>`.
 *
 * @throws TypeError, RangeError for a wrong option; EngineError `kafka-unavailable` when no broker answers,
 *   `kafka-refused` for wrong credentials
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<KafkaLog> {
  const client = new KafkaClient(checkedKafkaOptions(options))
  const connections = client.connections()
  try {
    await connections.connect()
    return new OpenKafkaLog(client, connections)
  } catch (error) {
    await connections.close().catch(() => {})
    throw error
  }
}

class OpenKafkaLog implements KafkaLog {
  readonly #client: KafkaClient
  readonly #options: CheckedKafkaOptions
  readonly #path: string
  readonly #connections: KafkaConnections
  readonly #watchConnections: KafkaConnections
  readonly #admin: TopicAdmin
  readonly #kafkaAdmin: ReturnType<KafkaClient['admin']>
  /** What is known of the cluster's topics; looked up when first used. */
  readonly #catalog = new TopicCatalog()
  readonly #readers = new Map<TopicPartition, PartitionReader>()
  readonly #budget: PrefetchBudget
  readonly #appended = new AppendSignal()
  readonly #watch: AppendWatch
  readonly #writers = new Map<KafkaWriter, KafkaConnections>()
  #isClosed = false

  constructor(client: KafkaClient, connections: KafkaConnections) {
    const { options } = client
    this.#client = client
    this.#options = options
    this.#path = `kafka://${options.brokers.join(',')}/${options.topicPrefix}`
    this.#connections = connections
    this.#watchConnections = client.connections()
    this.#kafkaAdmin = client.admin()
    this.#admin = new TopicAdmin(options, connections, this.#kafkaAdmin)
    this.#budget = new PrefetchBudget(options.prefetchBytes)
    const readers = () => this.#readers.values()
    this.#watch = new AppendWatch(this.#appended, this.#watchConnections, readers, options.fetchBytes)
  }

  async createTopic(spec: TopicSpec): Promise<void> {
    this.#checkOpen()
    const wanted = checkedTopicSpec(spec)
    let found = await this.#admin.find(wanted.name)
    if (found === undefined && !(await this.#admin.create(wanted))) {
      // Another process was faster; what it created is checked like any other.
      found = await this.#admin.find(wanted.name)
    }
    if (found !== undefined) {
      const difference = this.#admin.reconcile(found, wanted)
      await this.#admin.checkSettings(wanted.name)
      if (difference === 'retention-differs') await this.#admin.setRetention(wanted)
    }
    this.#learn(wanted)
  }

  async deleteTopic(name: string): Promise<void> {
    const topic = await this.#topic(name)
    this.#forget(topic)
    await this.#admin.remove(name)
  }

  async topics(): Promise<readonly TopicSpec[]> {
    this.#checkOpen()
    return await this.#admin.all()
  }

  async offsets(topic: string, partition: number): Promise<OffsetRange> {
    return await this.#onPartition(topic, partition, (reader) => reader.offsets())
  }

  async offsetForTime(topic: string, partition: number, atMs: TimestampMs): Promise<bigint> {
    return await this.#onPartition(topic, partition, (reader) => reader.offsetForTime(atMs))
  }

  async read(request: ReadRequest): Promise<RecordBatch> {
    this.#checkOpen()
    checkReadLimits(request)
    return await this.#onPartition(request.topic, request.partition, (reader) => reader.read(request))
  }

  async appended(signal: AbortSignal): Promise<void> {
    this.#checkOpen()
    const woken = this.#appended.wait(signal)
    this.#watch.start()
    await woken
  }

  async writer(id: string): Promise<LogWriter> {
    const writer = await this.standbyWriter(id)
    try {
      await writer.take()
      return writer
    } catch (error) {
      await writer.close().catch(() => {})
      throw error
    }
  }

  async standbyWriter(id: string): Promise<StandbyWriter> {
    this.#checkOpen()
    const connections = this.#client.connections()
    try {
      await connections.connect()
      const producer = new TransactionalProducer(id, connections, this.#options)
      const newSink = () => new SectionSink(this.#catalog, this.#options.maxRecordBytes)
      const writer = new KafkaWriter(newSink, producer, {
        path: this.#path,
        topicPrefix: this.#options.topicPrefix,
        maxBatchBytes: maxBatchBytesOf(this.#options),
        now: this.#options.now,
        beforeTake: () => this.#learnAll(),
        onCommitted: (held, end) => this.#onCommitted(held, end),
        onClosed: async (closed) => {
          this.#writers.delete(closed)
          await connections.close()
        },
      })
      this.#writers.set(writer, connections)
      return writer
    } catch (error) {
      await connections.close().catch(() => {})
      throw error
    }
  }

  async consumed(topic: string, partition: number): Promise<bigint | undefined> {
    await this.#topic(topic)
    this.#catalog.partition(topic, partition)
    const { clientId, patienceMs, topicPrefix } = this.#options
    const asked = { groupId: clientId, topics: [topicPrefix + topic] }
    const found = await persistently('reading positions', deadlineAfter(patienceMs), () =>
      this.#kafkaAdmin.fetchOffsets(asked),
    )
    const offset = found[0]?.partitions.find((each) => each.partition === partition)?.offset
    return offset === undefined || offset === '-1' ? undefined : BigInt(offset)
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#watch.close()
    for (const writer of [...this.#writers.keys()]) await writer.close()
    for (const reader of this.#readers.values()) reader.clear()
    await this.#admin.close()
    await this.#watchConnections.close()
    await this.#connections.close()
  }

  #onCommitted(held: TopicPartition, end: number): void {
    // The marker of the commit lies behind the records, so the committed part reaches past it.
    this.#readerOf(held).reach(end + 1)
    this.#appended.notify()
  }

  async #onPartition<Result>(
    name: string,
    partition: number,
    work: (reader: PartitionReader) => Promise<Result>,
  ): Promise<Result> {
    const topic = await this.#topic(name)
    try {
      return await work(this.#readerOf(this.#catalog.partition(name, partition)))
    } catch (error) {
      if (brokerCodeOf(error) !== kafkaCodes.unknownTopic) throw error
      // Another process has deleted it; looking it up again says so, or finds the one that took its name.
      if (this.#catalog.find(name) === topic) this.#forget(topic)
      await this.#topic(name)
      throw error
    }
  }

  #readerOf(held: TopicPartition): PartitionReader {
    const known = this.#readers.get(held)
    if (known !== undefined) return known
    const name = this.#options.topicPrefix + held.topic.spec.name
    const reader = new PartitionReader(held, name, this.#connections, this.#options, this.#budget)
    this.#readers.set(held, reader)
    return reader
  }

  async #topic(name: string): Promise<Topic> {
    this.#checkOpen()
    const known = this.#catalog.find(name)
    if (known !== undefined) return known
    const found = /^[A-Za-z0-9._-]{1,249}$/.test(name) ? await this.#admin.find(name) : undefined
    if (found === undefined) {
      throw new EngineError('topic-unknown', { topic: name, known: await this.#admin.names() })
    }
    return this.#learn(found)
  }

  /** A sink answers at once whether a topic exists, so those of other processes have to be known before. */
  async #learnAll(): Promise<void> {
    for (const spec of await this.#admin.partitioned()) {
      if (this.#catalog.find(spec.name) === undefined) this.#learn(spec)
    }
  }

  #learn(spec: TopicSpec): Topic {
    const known = this.#catalog.find(spec.name)
    if (known === undefined) return this.#catalog.add(this.#catalog.nextId, spec)
    this.#catalog.update(known, spec)
    return known
  }

  #forget(topic: Topic): void {
    this.#catalog.remove(topic)
    for (const held of topic.partitions) {
      this.#readers.get(held)?.clear()
      this.#readers.delete(held)
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new EngineError('log-closed', { path: this.#path })
  }
}
