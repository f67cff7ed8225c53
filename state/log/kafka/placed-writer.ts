import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../contracts/engine-error.ts'
import type { TopicSpec } from '../log.ts'
import type { RecordBatch, RecordHeader } from '../record-batch.ts'
import { SectionSink } from '../section-sink.ts'
import { TopicCatalog } from '../topic-catalog.ts'
import { type EncodedBatch, encodeSection, type ProducerIdentity, sealBatch } from './batch-encoder.ts'
import { appendedHeader, batchAt } from './batch-format.ts'
import { latest, listOffset } from './fetch.ts'
import { fillerBatch } from './filler-batch.ts'
import { type KafkaApi, KafkaClient, type KafkaConnections } from './kafka-cluster.ts'
import { checkCode, deadlineAfter, isPassing, persistently } from './kafka-failure.ts'
import { type CheckedKafkaOptions, checkedKafkaOptions, type KafkaLogOptions } from './kafka-options.ts'
import { maxBatchBytesOf } from './topic-admin.ts'
import { TransactionalProducer } from './transactional-producer.ts'
import { WireWriter } from './wire.ts'

const produceApi: KafkaApi = { key: 0, name: 'Produce', version: 7 }
const deleteRecordsApi: KafkaApi = { key: 21, name: 'DeleteRecords', version: 1, throttleAt: 0 }
const initProducerApi: KafkaApi = { key: 22, name: 'InitProducerId', version: 3 }
const allReplicas = -1
/** Of a run of offsets without records, written at once. Compressed, they are a few hundred KB. */
const fillersAtOnce = 65_536

/**
 * Puts records at the offsets that they had in another log. Transactions are
 * of no use for that, since each leaves a marker that takes an offset: what
 * keeps a record from being written twice is the producer's sequence, within
 * this writer, and the end of the partition, from one writer to the next. An
 * offset that had no record is made one that no committed reader sees: it
 * belongs to a transaction that was rolled back.
 *
 * One writer at a time, and nobody else writes to the topics meanwhile; where
 * somebody does, it stops at once.
 */
export class PlacedWriter {
  readonly #options: CheckedKafkaOptions
  readonly #connections: KafkaConnections
  readonly #filler: TransactionalProducer
  #producer: ProducerIdentity = { producerId: -1, epoch: -1 }
  readonly #sequences = new Map<string, number>()
  #filling: Promise<void> = Promise.resolve()

  private constructor(options: CheckedKafkaOptions, connections: KafkaConnections) {
    this.#options = options
    this.#connections = connections
    this.#filler = new TransactionalProducer('migration', connections, options)
  }

  /** Opening it rolls back what an earlier one left open. */
  static async open(options: KafkaLogOptions): Promise<PlacedWriter> {
    const checked = checkedKafkaOptions(options)
    const connections = new KafkaClient(checked).connections()
    const writer = new PlacedWriter(checked, connections)
    try {
      await connections.connect()
      await writer.#filler.start()
      await writer.#begin()
      return writer
    } catch (error) {
      await connections.close().catch(() => {})
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#filler.close()
    await this.#connections.close()
  }

  /**
   * Appends the records, whose offsets follow each other from `end` on.
   *
   * @throws EngineError `migration-refused` if the partition does not end there, `record-too-large`
   */
  async write(spec: TopicSpec, partition: number, records: RecordBatch): Promise<void> {
    const catalog = new TopicCatalog()
    catalog.add(1, spec)
    const sink = new SectionSink(catalog, this.#options.maxRecordBytes)
    for (let index = 0; index < records.count; index++) {
      const { bytes, keyStart, keyEnd, valueStart, valueEnd } = records
      const out = sink.begin(spec.name, partition, records.timestampsMs[index]!)
      if (keyStart[index]! >= 0) out.raw(bytes, keyStart[index], keyEnd[index])
      sink.beginValue()
      if (valueStart[index]! >= 0) out.raw(bytes, valueStart[index], valueEnd[index])
      sink.end(headersOf(records, index))
    }
    let expected = Number(records.baseOffset)
    const [section] = sink.sections
    if (section === undefined) return
    for (const batch of encodeSection(section, maxBatchBytesOf(this.#options), Number.POSITIVE_INFINITY)) {
      await this.#produce(spec.name, partition, batch, expected)
      expected += batch.count
    }
  }

  /** Moves the end of the partition from `from` to `to`, with no records between. */
  async skip({ name }: TopicSpec, partition: number, from: number, to: number): Promise<void> {
    for (let at = from; at < to; ) {
      const next = Math.min(to, at + fillersAtOnce + 1)
      // The last of them is the marker of the roll-back.
      const count = next - at - 1
      const batches = count === 0 ? [] : [fillerBatch(count)]
      await this.#alone(() =>
        this.#filler.rolledBack([
          { key: `${name} ${partition}`, name: this.#options.topicPrefix + name, partition, batches },
        ]),
      )
      await this.#untilEnd(name, partition, next)
      at = next
    }
  }

  /** Takes everything before `start` away, so that readers find the oldest record there. */
  async truncate({ name }: TopicSpec, partition: number, start: number): Promise<void> {
    const topic = this.#options.topicPrefix + name
    await this.#persistently(`cutting ${topic}[${partition}]`, async () => {
      const node = await this.#connections.leader(topic, partition)
      const request = new WireWriter().int32(1).string(topic).int32(1).int32(partition).int64(start)
      const answer = await this.#connections.call(
        node,
        deleteRecordsApi,
        request.int32(this.#options.requestTimeoutMs),
      )
      answer.int32()
      answer.array(() => {
        answer.string()
        answer.array(() => {
          answer.int32()
          answer.int64()
          checkCode(answer.int16(), `${topic}[${partition}]`)
        })
      })
    })
  }

  async #begin(): Promise<void> {
    await this.#persistently('taking a producer id', async () => {
      // No transactional id; flexible from version 2 on, so with tagged fields, of which there are none.
      const request = new WireWriter().int8(0).int8(0).int32(this.#options.transactionTimeoutMs)
      const answer = await this.#connections.call('any', initProducerApi, request.int64(-1).int16(-1).int8(0))
      answer.int8()
      answer.int32()
      checkCode(answer.int16())
      this.#producer = { producerId: answer.int64(), epoch: answer.int16() }
    })
  }

  async #produce(name: string, partition: number, batch: EncodedBatch, expected: number): Promise<void> {
    const key = `${name} ${partition}`
    const topic = this.#options.topicPrefix + name
    const sequence = this.#sequences.get(key) ?? 0
    batch.bytes.writeInt16BE(0, batchAt.attributes)
    sealBatch(batch, this.#producer, sequence)
    await this.#persistently(`writing to ${topic}[${partition}]`, async () => {
      const node = await this.#connections.leader(topic, partition)
      const request = new WireWriter(batch.bytes.length + 256).string(null).int16(allReplicas)
      request.int32(this.#options.requestTimeoutMs).int32(1).string(topic).int32(1).int32(partition)
      request.int32(batch.bytes.length).out.raw(batch.bytes)
      const answer = await this.#connections.call(node, produceApi, request)
      answer.array(() => {
        answer.string()
        answer.array(() => {
          answer.int32()
          checkCode(answer.int16(), `${topic}[${partition}]`)
          batch.firstOffset = answer.int64()
          answer.int64()
          answer.int64()
        })
      })
    })
    if (batch.firstOffset !== expected) throw misplaced(topic, partition, batch.firstOffset, expected)
    this.#sequences.set(key, (sequence + batch.count) % 2 ** 31)
  }

  /** The marker of a roll-back comes a little after its answer; what is written before it would take its place. */
  async #untilEnd(name: string, partition: number, expected: number): Promise<void> {
    const topic = this.#options.topicPrefix + name
    const deadline = deadlineAfter(this.#options.patienceMs)
    for (;;) {
      const end = await this.#persistently('reading offsets', () =>
        listOffset(this.#connections, topic, partition, latest),
      )
      if (end === expected) return
      if (end > expected || performance.now() > deadline) throw misplaced(topic, partition, end, expected)
      await sleep(3)
    }
  }

  /** One transaction at a time, though partitions are written side by side. */
  async #alone(work: () => Promise<void>): Promise<void> {
    const mine = this.#filling.then(work)
    this.#filling = mine.catch(() => {})
    await mine
  }

  async #persistently<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    return await persistently(operation, deadlineAfter(this.#options.patienceMs), async () => {
      try {
        return await work()
      } catch (error) {
        if (isPassing(error)) this.#connections.forget()
        throw error
      }
    })
  }
}

/** Those of the record, and when it was appended where that was before its event time: Kafka keeps one time. */
function headersOf(records: RecordBatch, index: number): readonly RecordHeader[] {
  const headers = records.headers(index)
  const appendedAtMs = records.appendedAtMs[index]!
  if (appendedAtMs >= records.timestampsMs[index]!) return headers
  const value = Buffer.alloc(8)
  value.writeDoubleLE(appendedAtMs)
  return [...headers, { name: appendedHeader, value }]
}

const misplaced = (topic: string, partition: number, found: number, expected: number): EngineError =>
  new EngineError('migration-refused', {
    target: `${topic}[${partition}]`,
    detail: `it went on at offset ${found}, expected ${expected}: somebody else writes to it`,
  })
