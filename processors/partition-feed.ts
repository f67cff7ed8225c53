import type { Log } from '../state/log/log.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'
import { readBatch } from './task-input-read.ts'

/** Records that a feed holds for inputs that have not come to them: no more are read on behalf of others. */
const mostHeld = 100_000

/** The header in which a task says that it wrote a record. */
export const writerHeader = 'headwater-task'

/** An input that a feed gives its records. */
export interface FedInput {
  /** The task whose records it takes; undefined: those of nobody else's. */
  readonly writer: string | undefined
  readonly buffered: number
  /** Everything below this offset was fetched. */
  readonly scannedTo: number
  learnSchemas(batch: RecordBatch): Promise<void>
  deal(batch: RecordBatch, index: number): void
  scanned(offset: number): void
}

/**
 * One topic partition that several tasks write, as an input for each of them:
 * what one task writes is in order by itself, and only so can the records of
 * all be taken in the order of their event times. It is read once; each record
 * goes to the input of its writer, those of nobody known to the last one.
 */
export class PartitionFeed {
  readonly #log: Log
  readonly #topic: string
  readonly #partition: number
  #inputs: readonly FedInput[] = []
  #byWriter = new Map<string, FedInput>()
  #offset = 0
  #reading: Promise<boolean> | undefined

  constructor(log: Log, topic: string, partition: number) {
    this.#log = log
    this.#topic = topic
    this.#partition = partition
  }

  /** The inputs that it feeds; the one without a writer takes what nobody known wrote. */
  connect(inputs: readonly FedInput[]): void {
    this.#inputs = inputs
    this.#byWriter = new Map(
      inputs.flatMap((input) => (input.writer === undefined ? [] : [[input.writer, input]])),
    )
  }

  /** Reads again from where the input that is furthest behind goes on. */
  rewind(): void {
    this.#offset = Math.min(...this.#inputs.map(({ scannedTo }) => scannedTo))
  }

  /** There is room to look further for the records of an input that has none. */
  get hasRoom(): boolean {
    return this.#inputs.reduce((sum, { buffered }) => sum + buffered, 0) < mostHeld
  }

  /** Reads on once, where a writer's input has nothing left. Resolves to whether there was more. */
  async fill(maxRecords: number): Promise<boolean> {
    const isShort = this.#inputs.some(({ writer, buffered }) => writer !== undefined && buffered === 0)
    if (!isShort || !this.hasRoom) return true
    return await this.readOn(maxRecords)
  }

  /** Reads on once, whatever is held. Resolves to whether there was more. */
  async readOn(maxRecords: number): Promise<boolean> {
    this.#reading ??= this.#readOn(maxRecords).finally(() => {
      this.#reading = undefined
    })
    return await this.#reading
  }

  async #readOn(maxRecords: number): Promise<boolean> {
    const before = this.#offset
    const { batch } = await readBatch(this.#log, this.#topic, this.#partition, before, maxRecords)
    const [first] = this.#inputs
    await first!.learnSchemas(batch)
    // An input was set to another offset while this was on its way.
    if (this.#offset !== before) return true
    for (let index = 0; index < batch.count; index++) this.#inputOf(batch, index).deal(batch, index)
    this.#offset = Number(batch.nextOffset)
    for (const input of this.#inputs) input.scanned(this.#offset)
    return batch.count > 0
  }

  #inputOf(batch: RecordBatch, index: number): FedInput {
    const header = batch.headers(index).find(({ name }) => name === writerHeader)
    const writer = header && this.#byWriter.get(Buffer.from(header.value).toString('utf8'))
    return writer ?? this.#inputs.at(-1)!
  }
}
