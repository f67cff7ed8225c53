import { setTimeout as sleep } from 'node:timers/promises'
import type { AppendSignal } from '../append-signal.ts'
import { type FetchedPartition, type FetchFrom, fetchPartitions } from './fetch.ts'
import type { KafkaConnections } from './kafka-cluster.ts'
import type { PartitionReader } from './partition-reader.ts'

/** How long a broker holds its answer when there is nothing new. */
const pollMs = 500
const pauseAfterFailureMs = 200

/**
 * Tells those who wait that other processes have appended: while anyone
 * waits, each broker is asked, over connections of its own, for what comes
 * after the place that was read last in each partition. What comes is handed
 * to the partition's reader.
 */
export class AppendWatch {
  readonly #signal: AppendSignal
  readonly #connections: KafkaConnections
  readonly #readers: () => Iterable<PartitionReader>
  readonly #fetchBytes: number
  #running: Promise<void> | undefined
  #isClosed = false

  constructor(
    signal: AppendSignal,
    connections: KafkaConnections,
    readers: () => Iterable<PartitionReader>,
    fetchBytes: number,
  ) {
    this.#signal = signal
    this.#connections = connections
    this.#readers = readers
    this.#fetchBytes = fetchBytes
  }

  /** Runs as long as anyone waits. */
  start(): void {
    if (this.#isClosed) return
    this.#running ??= this.#run()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#signal.notify()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#signal.isAwaited && !this.#isClosed) {
      try {
        if (await this.#poll()) this.#signal.notify()
      } catch {
        // The next round asks again; whoever reads meets the failure and says so.
        this.#connections.forget()
        await sleep(pauseAfterFailureMs)
      }
    }
    this.#running = undefined
    // Someone may have begun to wait between the last look and here.
    if (this.#signal.isAwaited) this.start()
  }

  /** Whether any record came. */
  async #poll(): Promise<boolean> {
    const readers = [...this.#readers()].filter(({ watchedFrom }) => watchedFrom !== undefined)
    if (readers.length === 0) {
      await sleep(pauseAfterFailureMs)
      return false
    }
    const byNode = new Map<number, FetchFrom[]>()
    for (const { name, held, watchedFrom } of readers) {
      const node = await this.#connections.leader(name, held.partition)
      const from = { name, partition: held.partition, offset: watchedFrom! }
      const known = byNode.get(node)
      if (known === undefined) byNode.set(node, [from])
      else known.push(from)
    }
    const limits = { maxBytes: this.#fetchBytes, maxWaitMs: pollMs }
    const polls = [...byNode].map(async ([node, wanted]) => {
      const fetched = await fetchPartitions(this.#connections, node, wanted, limits)
      let found = false
      for (const each of fetched) found = (await this.#take(each, readers)) || found
      return found
    })
    return (await Promise.all(polls)).includes(true)
  }

  async #take({ name, partition, code, batches }: FetchedPartition, readers: readonly PartitionReader[]) {
    const reader = readers.find((each) => each.name === name && each.held.partition === partition)
    if (reader === undefined) return false
    if (code !== 0) {
      // It moved, shrank or is gone: a read says which.
      this.#connections.forget()
      return true
    }
    const fetched = await batches()
    if (fetched.nextOffset <= fetched.offset) return false
    reader.watchedFrom = fetched.nextOffset
    reader.offer(fetched)
    return fetched.batches.length > 0
  }
}
