import type { Declaration } from '../models/declaration.ts'
import { fieldReader } from '../processors/feature/input-reader.ts'
import { TaskInput, TaskRecord } from '../processors/task-input.ts'
import { type BoundContract, bindContract } from '../state/contracts/codec.ts'
import type { Contract } from '../state/contracts/contract.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import { valueClass } from '../state/contracts/schema-node.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log } from '../state/log/log.ts'
import type { ChunkOptions, ColumnType, TableChunk, TableReader } from './table-column.ts'
import { chunkRows } from './table-reader.ts'
import { columnTypeOf, fieldNode } from './training-set-views.ts'

/** Of each partition the first offset and the one behind the last. */
export type TopicRange = readonly (readonly [start: number, end: number])[]

/** The events of a declared contract as a table: partition by partition, each in its order. Refused records are no rows. */
export class TopicTable implements TableReader {
  readonly names: readonly string[]
  readonly contract: Contract
  readonly range: TopicRange
  readonly #log: Log
  readonly #bound: BoundContract<object>
  readonly #maxAheadMs: number

  private constructor(log: Log, bound: BoundContract<object>, maxAheadMs: number, range: TopicRange) {
    this.#log = log
    this.#bound = bound
    this.#maxAheadMs = maxAheadMs
    this.contract = bound.contract as Contract
    this.names = this.contract.fieldNames
    this.range = range
  }

  /** What the topic holds now. @throws EngineError `event-unknown` */
  static async open(
    { events, partitions: usual, maxAheadMs }: Declaration,
    event: string,
    log: Log,
    registry: SchemaRegistry,
  ): Promise<TopicTable> {
    const contract = events.find(({ name }) => name === event)
    if (contract === undefined) {
      throw new EngineError('event-unknown', { event, known: events.map(({ name }) => name) })
    }
    const bound = await bindContract(contract as Contract<object>, registry)
    const range: (readonly [number, number])[] = []
    for (let partition = 0; partition < (contract.partitions ?? usual); partition++) {
      const { start, end } = await log.offsets(contract.topic, partition)
      range.push([Number(start), Number(end)])
    }
    return new TopicTable(log, bound, maxAheadMs, range)
  }

  typeOf(name: string): ColumnType {
    const node = fieldNode(this.contract, name)
    if (name === this.contract.timeField) return 'timestamp'
    return node !== undefined && valueClass(node) === 'bigint' ? 'long' : columnTypeOf(node)
  }

  async *chunks({ names = this.names }: ChunkOptions = {}): AsyncGenerator<TableChunk> {
    const readers = names.map(fieldReader)
    let columns: unknown[][] = names.map(() => [])
    let count = 0
    const chunk = (): TableChunk => {
      const full = { count, columns: new Map(names.map((name, index) => [name, columns[index]!])) }
      columns = names.map(() => [])
      count = 0
      return full
    }
    for (const [partition, [start, end]] of this.range.entries()) {
      const { topic } = this.contract
      const spec = {
        index: 0,
        topic,
        partition,
        rank: 0,
        contract: this.#bound,
        maxAheadMs: this.#maxAheadMs,
      }
      const input = new TaskInput(spec, this.#log)
      input.seek(start)
      while (input.position < end && (await input.fill(1_000))) {
        while (input.head !== undefined && input.position < end) {
          const record = input.take()
          if (record.offset >= end || !(record instanceof TaskRecord)) continue
          for (let index = 0; index < readers.length; index++) {
            columns[index]!.push(readers[index]!(record.value) ?? null)
          }
          if (++count === chunkRows) yield chunk()
        }
      }
    }
    if (count > 0) yield chunk()
  }
}
