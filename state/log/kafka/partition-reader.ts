import { setTimeout as sleep } from 'node:timers/promises'
import { EngineError } from '../../contracts/engine-error.ts'
import type { OffsetRange, ReadRequest } from '../log.ts'
import type { RecordBatch } from '../record-batch.ts'
import type { TopicPartition } from '../topic-catalog.ts'
import { earliest, type Fetched, fetchPartitions, latest, listOffset } from './fetch.ts'
import { UnreadableBatch } from './fetched-batches.ts'
import { type BatchPlace, KafkaBatch } from './kafka-batch.ts'
import type { KafkaConnections } from './kafka-cluster.ts'
import {
  brokerCodeOf,
  deadlineAfter,
  isPassing,
  KafkaFailure,
  kafkaCodes,
  persistently,
} from './kafka-failure.ts'
import type { CheckedKafkaOptions } from './kafka-options.ts'

/** How many bytes all partitions of a log hold that nobody has read yet. */
export class PrefetchBudget {
  usedBytes = 0
  readonly limitBytes: number

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }
}

/** How long a reader waits for a commit of this process whose markers the broker has not written yet. */
const visibleWithinMs = 2_000

interface KnownFetched extends Fetched {
  /** It comes from the broker just now. */
  readonly isFresh: boolean
}

/** Reads one partition at explicit offsets, without a consumer group, one fetch ahead of its caller. */
export class PartitionReader {
  readonly held: TopicPartition
  /** The topic as the cluster names it. */
  readonly name: string
  readonly #connections: KafkaConnections
  readonly #options: CheckedKafkaOptions
  readonly #budget: PrefetchBudget
  /** What was fetched and not yet read to its end. */
  #current: Fetched | undefined
  #ahead: { readonly offset: number; readonly fetched: Promise<Fetched | undefined> } | undefined
  #aheadBytes = 0
  #place: BatchPlace | undefined
  /** Committed records of this process end here at least. */
  #reach = 0
  /** The reach that did not become visible in time. */
  #givenUpAt = 0
  /** Where the next record is expected that nobody has seen; absent until the first read. */
  watchedFrom: number | undefined

  constructor(
    held: TopicPartition,
    name: string,
    connections: KafkaConnections,
    options: CheckedKafkaOptions,
    budget: PrefetchBudget,
  ) {
    this.held = held
    this.name = name
    this.#connections = connections
    this.#options = options
    this.#budget = budget
  }

  /** A commit of this process has written up to, not including, `offset`: readers wait until they see it. */
  reach(offset: number): void {
    if (offset > this.#reach) this.#reach = offset
  }

  async read(request: ReadRequest): Promise<RecordBatch> {
    if (request.offset < 0n) throw await this.#outOfRange(request.offset)
    let offset = Number(request.offset)
    for (;;) {
      const fetched = (await this.#fromMemory(offset)) ?? (await this.#fetchAll(offset, request.offset))
      const batch = this.#batchOf(fetched, offset, request)
      offset = Number(batch.nextOffset)
      // What lies in memory may be old: only the broker knows whether there is nothing more.
      if (batch.count > 0 || (offset >= fetched.stableEnd && fetched.isFresh)) {
        this.watchedFrom = Math.max(offset, fetched.stableEnd)
        this.#readOn(fetched, offset)
        return batch
      }
    }
  }

  async offsets(): Promise<OffsetRange> {
    const giveUpAt = this.#visibleBy()
    for (;;) {
      const [start, end] = await this.#persistently('reading offsets', () =>
        Promise.all([
          listOffset(this.#connections, this.name, this.held.partition, earliest),
          listOffset(this.#connections, this.name, this.held.partition, latest),
        ]),
      )
      if (this.#isVisible(end, giveUpAt)) return { start: BigInt(start), end: BigInt(end) }
      await sleep(2)
    }
  }

  /**
   * The first record at or after the time. The broker finds the place, but
   * counts markers and aborted records, whose times mean nothing here; from
   * there on the batches are looked through, most by their headers only.
   */
  async offsetForTime(atMs: number): Promise<bigint> {
    const { start, end } = await this.offsets()
    // The broker takes -1 and -2 for the ends.
    const found =
      atMs <= 0
        ? Number(start)
        : await this.#persistently('looking for a time', () =>
            listOffset(this.#connections, this.name, this.held.partition, Math.ceil(atMs)),
          )
    if (found < 0) return end
    const { partition } = this.held
    const topic = this.held.topic.spec.name
    for (let offset = found; offset < end; ) {
      const fetched = await this.#fetchAll(offset, BigInt(offset))
      for (const visible of fetched.batches) {
        if (!(visible.maxTimestampMs >= atMs) || visible.nextOffset <= offset) continue
        const request = { topic, partition, offset: BigInt(offset), maxBytes: Number.POSITIVE_INFINITY }
        const batch = new KafkaBatch(request, visible.bytes, visible.count)
        batch.add(visible, offset)
        batch.finish()
        const index = batch.timestampsMs.findIndex((timestampMs) => timestampMs >= atMs)
        if (index >= 0) return batch.baseOffset + BigInt(batch.offsetDeltas[index]!)
      }
      if (fetched.nextOffset <= offset) break
      offset = fetched.nextOffset
    }
    return end
  }

  /** Takes what another fetch brought, so that the next read need not ask. */
  offer(fetched: Fetched): void {
    if (fetched.batches.length === 0 || this.#current !== undefined || this.#ahead !== undefined) return
    if (this.#budget.usedBytes + fetched.sizeBytes > this.#budget.limitBytes) return
    this.#keepAhead(fetched.offset, Promise.resolve(fetched), fetched.sizeBytes)
  }

  /** Drops what was read ahead. */
  clear(): void {
    this.#current = undefined
    this.#place = undefined
    this.#dropAhead()
  }

  async #fromMemory(offset: number): Promise<KnownFetched | undefined> {
    const current = this.#current
    if (current !== undefined && current.offset <= offset && offset < current.nextOffset) {
      return { ...current, isFresh: false }
    }
    const ahead = this.#ahead
    if (ahead?.offset !== offset) return undefined
    const fetched = await ahead.fetched
    if (this.#ahead === ahead) this.#dropAhead()
    return fetched !== undefined && offset < fetched.nextOffset ? { ...fetched, isFresh: false } : undefined
  }

  /** From the broker, with what this process has committed: its marker may be on its way. */
  async #fetchAll(offset: number, asked: bigint): Promise<KnownFetched> {
    const giveUpAt = this.#visibleBy()
    for (;;) {
      const fetched = await this.#fetch(offset, asked, giveUpAt)
      if (fetched !== undefined && this.#isVisible(fetched.stableEnd, giveUpAt)) {
        return { ...fetched, isFresh: true }
      }
      await sleep(2)
    }
  }

  #visibleBy(): number {
    return deadlineAfter(this.#reach > this.#givenUpAt ? visibleWithinMs : 0)
  }

  /** Whether commits of this process are within `stableEnd`, or it takes so long that there is more to it. */
  #isVisible(stableEnd: number, giveUpAt: number): boolean {
    if (stableEnd >= this.#reach) return true
    if (performance.now() < giveUpAt) return false
    // Another writer's open transaction holds them back: not to be waited for at every read.
    this.#givenUpAt = this.#reach
    return true
  }

  #batchOf(fetched: Fetched, offset: number, request: ReadRequest): KafkaBatch {
    const usable = fetched.batches.filter(({ nextOffset }) => nextOffset > offset)
    // One buffer a batch of columns: what was compressed lies in a buffer of its own.
    const bytes = usable[0]?.bytes ?? Buffer.alloc(0)
    const inOne = usable.findIndex((visible) => visible.bytes !== bytes)
    const together = inOne < 0 ? usable : usable.slice(0, inOne)
    const most = together.reduce((sum, { count }) => sum + count, 0)
    const batch = new KafkaBatch(request, bytes, most)
    for (const visible of together) {
      if (batch.add(visible, offset, this.#place)) continue
      this.#place = batch.place
      return batch.finish()
    }
    this.#place = undefined
    return batch.finish(inOne < 0 ? Math.max(offset, fetched.nextOffset) : usable[inOne]!.baseOffset)
  }

  /** Keeps what is left of `fetched`, and fetches what comes after it while the caller works. */
  #readOn(fetched: Fetched, offset: number): void {
    this.#current = offset < fetched.nextOffset ? fetched : undefined
    const { fetchBytes } = this.#options
    const next = fetched.nextOffset
    if (next >= fetched.stableEnd || this.#ahead?.offset === next) return
    this.#dropAhead()
    if (this.#budget.usedBytes + fetchBytes > this.#budget.limitBytes) return
    // A failure is not lost: the read that wants this offset asks again and meets it.
    const fetching = this.#once(next).catch(() => undefined)
    this.#keepAhead(next, fetching, fetchBytes)
  }

  #keepAhead(offset: number, fetched: Promise<Fetched | undefined>, sizeBytes: number): void {
    this.#ahead = { offset, fetched }
    this.#aheadBytes = sizeBytes
    this.#budget.usedBytes += sizeBytes
  }

  #dropAhead(): void {
    this.#ahead = undefined
    this.#budget.usedBytes -= this.#aheadBytes
    this.#aheadBytes = 0
  }

  /** Undefined when the offset lies behind a marker that is still to be written. */
  async #fetch(offset: number, asked: bigint, giveUpAt: number): Promise<Fetched | undefined> {
    try {
      return await this.#persistently('reading', () => this.#once(offset))
    } catch (error) {
      if (error instanceof UnreadableBatch) {
        const { topic, partition } = this.held
        const context = { topic: topic.spec.name, partition, offset: error.offset, detail: error.message }
        throw new EngineError('kafka-batch-unreadable', context, { cause: error })
      }
      if (brokerCodeOf(error) !== kafkaCodes.offsetOutOfRange) throw error
      if (offset <= this.#reach && performance.now() < giveUpAt) return undefined
      throw await this.#outOfRange(asked)
    }
  }

  async #once(offset: number): Promise<Fetched> {
    const { name, held } = this
    const { partition } = held
    const node = await this.#connections.leader(name, partition)
    const limits = { maxBytes: this.#options.fetchBytes, maxWaitMs: 0 }
    const [fetched] = await fetchPartitions(this.#connections, node, [{ name, partition, offset }], limits)
    // Left out under a quota: the connection waits as long as the broker said, then asks again.
    if (fetched === undefined)
      throw new KafkaFailure(7, 'the broker holds back its answer, a quota is used up')
    if (fetched.code !== 0) throw new KafkaFailure(fetched.code, `${name}[${partition}]`)
    return await fetched.batches()
  }

  async #outOfRange(offset: bigint): Promise<EngineError> {
    const { start, end } = await this.offsets()
    const { topic, partition } = this.held
    return new EngineError('offset-out-of-range', { topic: topic.spec.name, partition, offset, start, end })
  }

  async #persistently<Result>(operation: string, work: () => Promise<Result>): Promise<Result> {
    const what = `${operation} ${this.name}[${this.held.partition}]`
    return await persistently(what, deadlineAfter(this.#options.patienceMs), async () => {
      try {
        return await work()
      } catch (error) {
        if (isPassing(error)) this.#connections.forget()
        throw error
      }
    })
  }
}
