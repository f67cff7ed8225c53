import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import { fieldReader } from '../processors/feature/input-reader.ts'
import { TaskInput, TaskRecord } from '../processors/task-input.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import { PartitionEnds } from './partition-ends.ts'

export interface LabelTally {
  /** Label events read. */
  read: number
  /** That carried no label, or could not be read. */
  empty: number
  /** Request ids with a label. */
  requests: number
}

/** A label that counts for a prediction. */
export interface FoundLabel {
  readonly value: number
  readonly labeledAt: TimestampMs
  /** Other labels of the request were passed over for it: corrections. */
  readonly corrected: boolean
}

/** `late`: there are labels, all of them after the time that the model allows. */
export type LabelAnswer = FoundLabel | 'late' | undefined

const space = 'training-set-labels'
const chunkRequests = 20_000

/**
 * The labels of a model by request id, in a database: as many as the log
 * holds, a few thousand of them in memory.
 */
export class LabelIndex {
  readonly tally: LabelTally = { read: 0, empty: 0, requests: 0 }
  readonly #database: Database
  readonly #withinMs: number

  private constructor(database: Database, withinMs: number) {
    this.#database = database
    this.#withinMs = withinMs
  }

  /** Reads the label events of a model up to the given offsets, by the name of the input. */
  static async read(options: {
    readonly declaration: Declaration
    readonly model: Model
    readonly log: Log
    readonly contract: BoundContract<object>
    readonly database: Database
    readonly ends: ReadonlyMap<string, number>
    readonly onProgress?: (labels: number) => void
  }): Promise<LabelIndex> {
    const { declaration, model, log, contract, database, ends } = options
    const { topic, partitions = declaration.partitions } = contract.contract
    const index = new LabelIndex(database, model.label.withinMs)
    const joinOf = fieldReader(model.label.join)
    let chunk = new Map<string, number[]>()
    for (let partition = 0; partition < partitions; partition++) {
      const read = new PartitionEnds(ends, topic, partition)
      const { maxAheadMs } = declaration
      const input = new TaskInput({ index: 0, topic, partition, rank: 0, contract, maxAheadMs }, log)
      input.seek(Number((await log.offsets(topic, partition)).start))
      while (input.position < read.last && (await input.fill(1_000))) {
        while (input.head !== undefined && input.position < read.last) {
          const record = input.take()
          if (record instanceof TaskRecord && !read.includes(record)) continue
          index.tally.read++
          const value = record instanceof TaskRecord ? labelOf(model, record.value) : null
          const join = record instanceof TaskRecord ? joinOf(record.value) : null
          if (value === null || join === null || join === undefined) index.tally.empty++
          else pushTo(chunk, String(join), record.timestampMs, value)
        }
        options.onProgress?.(index.tally.read)
        if (chunk.size >= chunkRequests) {
          await index.#add(chunk)
          chunk = new Map()
        }
      }
    }
    await index.#add(chunk)
    return index
  }

  /**
   * The label of each prediction: of those at most `within` after it the one
   * with the greatest event time, the last on the log where times are equal.
   */
  async find(
    requests: readonly { readonly requestId: string; readonly predictedAt: TimestampMs }[],
  ): Promise<readonly LabelAnswer[]> {
    const found = await this.#database.getMany(
      space,
      requests.map(({ requestId }) => Buffer.from(requestId)),
    )
    return found.map((bytes, index) => {
      if (bytes === undefined) return undefined
      const pairs = doublesOf(bytes)
      const lastMs = requests[index]!.predictedAt + this.#withinMs
      let best = -1
      for (let at = 0; at < pairs.length; at += 2) {
        if (pairs[at]! <= lastMs && (best < 0 || pairs[at]! >= pairs[best]!)) best = at
      }
      if (best < 0) return 'late'
      return { value: pairs[best + 1]!, labeledAt: pairs[best]!, corrected: pairs.length > 2 }
    })
  }

  async #add(chunk: ReadonlyMap<string, readonly number[]>): Promise<void> {
    if (chunk.size === 0) return
    const keys = [...chunk.keys()].map((id) => Buffer.from(id))
    const known = await this.#database.getMany(space, keys)
    await this.#database.write(
      [...chunk.values()].map((pairs, index) => {
        const before = known[index]
        if (before === undefined) this.tally.requests++
        const all = Float64Array.from([...(before === undefined ? [] : doublesOf(before)), ...pairs])
        return { space, key: keys[index]!, value: new Uint8Array(all.buffer) }
      }),
    )
  }
}

function labelOf(model: Model, event: object): number | null {
  try {
    const value = model.label.value(event as never)
    return value === null || value === undefined || Number.isNaN(Number(value)) ? null : Number(value)
  } catch {
    // A function that throws costs its record, as in a live run, where it is among the dead letters.
    return null
  }
}

function pushTo(chunk: Map<string, number[]>, id: string, atMs: TimestampMs, value: number): void {
  const pairs = chunk.get(id)
  if (pairs === undefined) chunk.set(id, [atMs, value])
  else pairs.push(atMs, value)
}

/** Bytes of a database need not lie at a multiple of eight. */
const doublesOf = (bytes: Uint8Array): Float64Array => new Float64Array(Uint8Array.from(bytes).buffer)
