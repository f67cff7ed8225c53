import { EngineError } from '../../contracts/engine-error.ts'
import type { ConsumedPosition } from '../log.ts'
import { type EncodedBatch, type ProducerIdentity, sealBatch } from './batch-encoder.ts'
import type { CoordinatorKind, KafkaApi, KafkaConnections } from './kafka-cluster.ts'
import {
  asEngineError,
  brokerCodeOf,
  checkCode,
  deadlineAfter,
  isPassing,
  KafkaFailure,
  kafkaCodes,
  messageOf,
  persistently,
} from './kafka-failure.ts'
import type { CheckedKafkaOptions } from './kafka-options.ts'
import { WireWriter } from './wire.ts'

const produceApi: KafkaApi = { key: 0, name: 'Produce', version: 7 }
// Versions 3 and up take the identity held so far, so that a writer cannot win back an id that it has lost.
const initProducerApi: KafkaApi = { key: 22, name: 'InitProducerId', version: 3 }
const addPartitionsApi: KafkaApi = { key: 24, name: 'AddPartitionsToTxn', version: 1, throttleAt: 0 }
const addOffsetsApi: KafkaApi = { key: 25, name: 'AddOffsetsToTxn', version: 1, throttleAt: 0 }
const endApi: KafkaApi = { key: 26, name: 'EndTxn', version: 1, throttleAt: 0 }
const commitOffsetsApi: KafkaApi = { key: 28, name: 'TxnOffsetCommit', version: 1, throttleAt: 0 }

const allReplicas = -1
const sequences = 2 ** 31
const attempts = 3
/** OPERATION_NOT_ATTEMPTED: of the partitions that were asked for together with one that failed. */
const notAttempted = 55

/** Batches for one partition, in order. */
export interface PartitionBatches {
  /** Tells a topic from one of the same name that was deleted: sequences begin anew. */
  readonly key: string
  readonly name: string
  readonly partition: number
  readonly batches: readonly EncodedBatch[]
}

const fencing: ReadonlySet<number> = new Set([kafkaCodes.invalidProducerEpoch, kafkaCodes.producerFenced])
/** The broker and this producer disagree about what was written: a new epoch, and the same again. */
const resetting: ReadonlySet<number> = new Set([
  kafkaCodes.outOfOrderSequence,
  kafkaCodes.duplicateSequence,
  kafkaCodes.unknownProducerId,
  kafkaCodes.invalidProducerIdMapping,
  kafkaCodes.invalidTransactionState,
])

/**
 * Commits through Kafka's transactions, one at a time.
 *
 *     1 opened     the coordinator knows the partitions and the group that take part
 *     2 written    all batches are on all replicas in sync, the positions with the group's coordinator
 *     3 ended      the coordinator has written that it is committed: now it is, whatever happens
 *
 * A failure before 3 rolls back, raises the epoch, so that nothing late can
 * come in, and begins again. At 3 no answer means "unknown", and the same
 * question may be asked again: the coordinator answers it for the transaction
 * that was ended last. kafkajs's own producer asks once and can never be used
 * again after that, hence this one.
 */
export class TransactionalProducer {
  readonly #id: string
  readonly #writer: string
  readonly #connections: KafkaConnections
  readonly #options: CheckedKafkaOptions
  #producer: ProducerIdentity = { producerId: -1, epoch: -1 }
  readonly #sequences = new Map<string, number>()
  #state: 'ready' | 'open' | 'fenced' | 'untrusted' = 'ready'
  #untrustedDetail = ''

  constructor(writer: string, connections: KafkaConnections, options: CheckedKafkaOptions) {
    // With the prefix: applications of one name that share a cluster by it must not end each other.
    this.#id = `${options.topicPrefix}${options.clientId}-${writer}`
    this.#writer = writer
    this.#connections = connections
    this.#options = options
  }

  /** Ends every older producer of the same id, and what it left open. */
  async start(): Promise<void> {
    await this.#renew(this.#deadline())
  }

  /** Throws if this producer was fenced, or does not know whether its last commit took place. */
  checkUsable(): void {
    if (this.#state === 'fenced') throw new EngineError('writer-fenced', { writer: this.#writer })
    if (this.#state === 'untrusted') {
      throw new EngineError('writer-untrusted', { writer: this.#writer, detail: this.#untrustedDetail })
    }
  }

  /** Ends what a failed commit left open, so that readers do not wait for it to time out. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return
    await this.#rollBack(performance.now()).catch(() => {})
  }

  /** Resolves when all is committed, the batches knowing their offsets. */
  async commit(
    partitions: readonly PartitionBatches[],
    consumed: readonly ConsumedPosition[],
  ): Promise<void> {
    this.checkUsable()
    const deadline = this.#deadline()
    for (let attempt = 1; ; attempt++) {
      try {
        if (this.#state === 'open') await this.#rollBack(deadline)
        await this.#write(partitions, consumed, deadline)
        await this.#end(deadline)
        return
      } catch (error) {
        this.#noteFencing(error)
        this.checkUsable()
        const code = brokerCodeOf(error)
        if (code === undefined || !resetting.has(code) || attempt === attempts)
          throw await this.#giveUp(error)
      }
    }
  }

  /**
   * Writes the batches and rolls them back. Their offsets, and one more in
   * each partition for the marker, stay empty for ever; a partition without
   * batches gets the marker alone.
   */
  async rolledBack(partitions: readonly PartitionBatches[]): Promise<void> {
    this.checkUsable()
    const deadline = this.#deadline()
    if (this.#state === 'open') await this.#rollBack(deadline)
    await this.#write(partitions, [], deadline)
    await this.#rollBack(deadline)
  }

  async #write(
    partitions: readonly PartitionBatches[],
    consumed: readonly ConsumedPosition[],
    deadline: number,
  ): Promise<void> {
    this.#state = 'open'
    const opening = [this.#addPartitions(partitions, deadline)]
    if (consumed.length > 0) opening.push(this.#addGroup(deadline))
    await allSettled(opening)
    const writing = [this.#produceAll(partitions, deadline)]
    if (consumed.length > 0) writing.push(this.#commitOffsets(consumed, deadline))
    await allSettled(writing)
  }

  async #end(deadline: number): Promise<void> {
    try {
      await this.#endTransaction(true, deadline)
      this.#state = 'ready'
    } catch (error) {
      this.#noteFencing(error)
      if (this.#state === 'open') {
        this.#state = 'untrusted'
        this.#untrustedDetail = messageOf(error)
      }
      throw error
    }
  }

  /** Rolls back what is open, and takes a new epoch: nothing that is still on its way can come in after it. */
  async #rollBack(deadline: number): Promise<void> {
    try {
      await this.#endTransaction(false, deadline)
    } catch (error) {
      // Nothing was open at the coordinator.
      if (brokerCodeOf(error) !== kafkaCodes.invalidTransactionState) {
        this.#noteFencing(error)
        throw error
      }
    }
    await this.#renew(deadline)
  }

  /** Rolls back without insisting, and gives the error to throw. The next commit rolls back in any case. */
  async #giveUp(error: unknown): Promise<unknown> {
    const isRefused = brokerCodeOf(error) !== undefined
    if (isRefused) await this.#rollBack(this.#deadline()).catch(() => {})
    return asEngineError('a commit', error)
  }

  async #renew(deadline: number): Promise<void> {
    const { producerId, epoch } = this.#producer
    try {
      const answer = await this.#ask(
        'transaction',
        this.#id,
        deadline,
        'taking a writer id',
        async (node) => {
          const request = new WireWriter().int8(0).compactString(this.#id)
          request.int32(this.#options.transactionTimeoutMs).int64(producerId).int16(epoch).int8(0)
          const reader = await this.#connections.call(node, initProducerApi, request)
          // Flexible versions have tagged fields, here none, behind the header.
          reader.int8()
          reader.int32()
          checkCode(reader.int16())
          return { producerId: reader.int64(), epoch: reader.int16() }
        },
      )
      this.#producer = answer
      this.#sequences.clear()
      this.#state = 'ready'
    } catch (error) {
      this.#noteFencing(error)
      this.checkUsable()
      throw error
    }
  }

  async #addPartitions(partitions: readonly PartitionBatches[], deadline: number): Promise<void> {
    if (partitions.length === 0) return
    await this.#ask('transaction', this.#id, deadline, 'opening a transaction', async (node) => {
      const request = this.#begun()
      request.array(byName(partitions), ([name, each]) => {
        request.string(name).array(each, ({ partition }) => request.int32(partition))
      })
      const answer = await this.#connections.call(node, addPartitionsApi, request)
      answer.int32()
      const codes = answer.array(() => {
        const name = answer.string()
        return answer.array(() => [`${name}[${answer.int32()}]`, answer.int16()] as const)
      })
      for (const [name, code] of codes.flat()) if (code !== notAttempted) checkCode(code, name)
    })
  }

  async #addGroup(deadline: number): Promise<void> {
    await this.#ask('transaction', this.#id, deadline, 'opening a transaction', async (node) => {
      const request = this.#begun().string(this.#options.clientId)
      const answer = await this.#connections.call(node, addOffsetsApi, request)
      answer.int32()
      checkCode(answer.int16())
    })
  }

  async #commitOffsets(consumed: readonly ConsumedPosition[], deadline: number): Promise<void> {
    const group = this.#options.clientId
    await this.#ask('group', group, deadline, 'committing positions', async (node) => {
      const { producerId, epoch } = this.#producer
      const request = new WireWriter().string(this.#id).string(group).int64(producerId).int16(epoch)
      const named = consumed.map((each) => ({ ...each, name: this.#options.topicPrefix + each.topic }))
      request.array(byName(named), ([name, each]) => {
        request.string(name).array(each, ({ partition, offset }) => {
          request.int32(partition).int64(Number(offset)).string(null)
        })
      })
      const answer = await this.#connections.call(node, commitOffsetsApi, request)
      answer.int32()
      answer.array(() => {
        answer.string()
        answer.array(() => {
          answer.int32()
          checkCode(answer.int16())
        })
      })
    })
  }

  /** The first batch of every partition, then the second of those that have one, and so on. */
  async #produceAll(partitions: readonly PartitionBatches[], deadline: number): Promise<void> {
    const rounds = partitions.reduce((most, { batches }) => Math.max(most, batches.length), 0)
    for (let round = 0; round < rounds; round++) {
      const waiting = new Map<number, EncodedBatch>()
      for (const [index, { key, batches }] of partitions.entries()) {
        const batch = batches[round]
        if (batch === undefined) continue
        const sequence = this.#sequences.get(key) ?? 0
        sealBatch(batch, this.#producer, sequence)
        this.#sequences.set(key, (sequence + batch.count) % sequences)
        waiting.set(index, batch)
      }
      await this.#persistently('writing', deadline, () => this.#produce(partitions, waiting))
    }
  }

  /** Sends the batches that wait, to their leaders; those that are written wait no longer. */
  async #produce(partitions: readonly PartitionBatches[], waiting: Map<number, EncodedBatch>): Promise<void> {
    const byNode = new Map<number, number[]>()
    for (const index of waiting.keys()) {
      const { name, partition } = partitions[index]!
      const node = await this.#connections.leader(name, partition)
      const known = byNode.get(node)
      if (known === undefined) byNode.set(node, [index])
      else known.push(index)
    }
    const sending = [...byNode].map(async ([node, indexes]) => {
      const request = new WireWriter(1024).string(this.#id).int16(allReplicas)
      request.int32(this.#options.requestTimeoutMs)
      request.array(byName(indexes.map((index) => ({ ...partitions[index]!, index }))), ([name, each]) => {
        request.string(name).array(each, ({ partition, index }) => {
          const { bytes } = waiting.get(index)!
          request.int32(partition).int32(bytes.length).out.raw(bytes)
        })
      })
      const answer = await this.#connections.call(node, produceApi, request)
      const failures: KafkaFailure[] = []
      answer.array(() => {
        const name = answer.string()
        answer.array(() => {
          const partition = answer.int32()
          const code = answer.int16()
          const first = answer.int64()
          answer.int64()
          answer.int64()
          const index = indexes.find(
            (each) => partitions[each]!.name === name && partitions[each]!.partition === partition,
          )
          if (index === undefined) return
          if (code !== 0) {
            failures.push(new KafkaFailure(code, `${name}[${partition}]`))
            return
          }
          waiting.get(index)!.firstOffset = first
          waiting.delete(index)
        })
      })
      const failure = failures.find((each) => !isPassing(each)) ?? failures[0]
      if (failure !== undefined) throw failure
    })
    await allSettled(sending)
  }

  async #endTransaction(isCommitted: boolean, deadline: number): Promise<void> {
    const operation = isCommitted ? 'committing' : 'rolling back'
    await this.#ask('transaction', this.#id, deadline, operation, async (node) => {
      const request = this.#begun().int8(isCommitted ? 1 : 0)
      const answer = await this.#connections.call(node, endApi, request)
      answer.int32()
      checkCode(answer.int16())
    })
  }

  #begun(): WireWriter {
    const { producerId, epoch } = this.#producer
    return new WireWriter().string(this.#id).int64(producerId).int16(epoch)
  }

  async #ask<Answer>(
    kind: CoordinatorKind,
    key: string,
    deadline: number,
    operation: string,
    question: (node: number) => Promise<Answer>,
  ): Promise<Answer> {
    return await this.#persistently(operation, deadline, async () =>
      question(await this.#connections.coordinator(kind, key)),
    )
  }

  async #persistently<Result>(
    operation: string,
    deadline: number,
    work: () => Promise<Result>,
  ): Promise<Result> {
    return await persistently(`${operation} of writer "${this.#writer}"`, deadline, async () => {
      try {
        return await work()
      } catch (error) {
        // The markers of the transaction before are being written: nobody else is to be asked.
        const isBusy = error instanceof KafkaFailure && error.code === kafkaCodes.concurrentTransactions
        if (!isBusy && isPassing(error)) this.#connections.forget()
        throw error
      }
    })
  }

  #noteFencing(error: unknown): void {
    const code = brokerCodeOf(error)
    if (code !== undefined && fencing.has(code)) this.#state = 'fenced'
  }

  #deadline(): number {
    return deadlineAfter(this.#options.patienceMs)
  }
}

/** All of them to their ends, then the first failure: what is still on its way must not meet the roll-back. */
async function allSettled(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find(({ status }) => status === 'rejected')
  if (failed?.status === 'rejected') throw failed.reason
}

function byName<Item extends { readonly name: string }>(items: readonly Item[]): [string, Item[]][] {
  const grouped = new Map<string, Item[]>()
  for (const item of items) {
    const known = grouped.get(item.name)
    if (known === undefined) grouped.set(item.name, [item])
    else known.push(item)
  }
  return [...grouped]
}
