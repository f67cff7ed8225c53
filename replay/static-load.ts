import { createHash } from 'node:crypto'
import { ByteWriter } from '../state/contracts/byte-writer.ts'
import { type BoundContract, schemaIdOf } from '../state/contracts/codec.ts'
import type { Log } from '../state/log/log.ts'
import type { BackfillFile } from './backfill-file.ts'

/** How rows are compared with what is on the log. */
export type Sameness =
  /** An event of the very time: rows have times of their own, or all were given one. */
  | 'event'
  /** The newest event of the key, whenever it was: rows without a time say what holds now. */
  | 'newest of the key'

/**
 * The rows of a file that the log lacks, as events in the order of the file:
 * what is loaded again brings nothing. Refused rows are left out.
 */
export class StaticLoad {
  /** Rows that the log had already, of the last reading. */
  known = 0
  readonly #file: BackfillFile
  readonly #bound: BoundContract<object>
  readonly #sameness: Sameness
  readonly #out = new ByteWriter(256)
  /** Digests of events, or by key the digest of the newest. */
  readonly #events = new Set<string>()
  readonly #newest = new Map<string, string>()

  private constructor(file: BackfillFile, bound: BoundContract<object>, sameness: Sameness) {
    this.#file = file
    this.#bound = bound
    this.#sameness = sameness
  }

  /** Reads the event's topic to its end first. Memory: a digest for each event, or for each key. */
  static async open(
    file: BackfillFile,
    bound: BoundContract<object>,
    log: Log,
    sameness: Sameness,
  ): Promise<StaticLoad> {
    const load = new StaticLoad(file, bound, sameness)
    const { topic } = bound.contract
    const partitions = (await log.topics()).find(({ name }) => name === topic)?.partitions ?? 0
    for (let partition = 0; partition < partitions; partition++) await load.#readPartition(log, partition)
    return load
  }

  async #readPartition(log: Log, partition: number): Promise<void> {
    const bound = this.#bound
    const { topic } = bound.contract
    const { start, end } = await log.offsets(topic, partition)
    for (let offset = start; offset < end; ) {
      const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const [from, to] = [batch.valueStart[index]!, batch.valueEnd[index]!]
        if (from === to) continue
        if (!bound.isKnown(batch.bytes, from, to)) await bound.learn(schemaIdOf(batch.bytes, from, to))
        this.#isNew(bound.readValue(batch.bytes, from, to))
      }
      if (batch.nextOffset === offset) break
      offset = batch.nextOffset
    }
  }

  /** Each time from the beginning of the file; whoever takes a row is to append it. */
  async *rows(): AsyncGenerator<object> {
    this.known = 0
    for await (const { value } of this.#file.rows()) {
      if (value === undefined) continue
      if (this.#isNew(value)) yield value
      else this.known++
    }
  }

  /** Also takes note of it. */
  #isNew(value: object): boolean {
    const { contract } = this.#bound
    if (this.#sameness === 'event') {
      const digest = this.#digestOf(value)
      if (this.#events.has(digest)) return false
      this.#events.add(digest)
      return true
    }
    const key = JSON.stringify(contract.keyOf(value), (_, part) =>
      typeof part === 'bigint' ? `${part}n` : (part as unknown),
    )
    const digest = this.#digestOf({ ...value, [contract.timeField]: 0 })
    if (this.#newest.get(key) === digest) return false
    this.#newest.set(key, digest)
    return true
  }

  /** Of the value as the contract writes it now, whichever version wrote it. */
  #digestOf(value: object): string {
    this.#out.reset()
    this.#bound.writeValue(value, this.#out)
    return createHash('sha1').update(this.#out.view()).digest('base64')
  }
}
