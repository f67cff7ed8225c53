import type { SourceRow } from '../../models/declaration.ts'
import { type Emit, Outputs } from '../../processors/outputs.ts'
import type { Assembly } from '../../replay/assembly.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'

export interface ImportProgress {
  readonly rows: number
  readonly events: number
  /** Rows that an earlier import had brought already. */
  readonly skipped: number
}

const rowsPerCommit = 2_000

/**
 * Brings a source with a stable order into the log exactly once: each commit
 * holds the events and how many rows are done, so an import that was killed
 * goes on where it stopped.
 */
export class Importer {
  readonly #log: Log
  readonly #writer: LogWriter
  readonly #assembly: Assembly
  readonly #emitters = new Map<string, Emit>()
  readonly #outputs: Outputs

  constructor(log: Log, writer: LogWriter, assembly: Assembly) {
    this.#log = log
    this.#writer = writer
    this.#assembly = assembly
    this.#outputs = new Outputs(writer.sink)
  }

  /** `source` names the rows for ever; values are trusted to fit their contracts. */
  async run(
    source: string,
    rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
    onProgress?: (progress: ImportProgress) => void,
  ): Promise<ImportProgress> {
    const topic = `${this.#assembly.declaration.name}-imports`
    await this.#log.createTopic({ name: topic, partitions: 1 })
    const skipped = await this.#rowsDone(topic, source)
    let row = 0
    let events = 0
    let durable: Promise<void> = Promise.resolve()
    const commit = async () => {
      const { sink } = this.#writer
      const out = sink.begin(topic, 0, 0)
      out.raw(Buffer.from(source))
      sink.beginValue()
      out.raw(Buffer.from(String(row)))
      sink.end()
      const previous = durable
      const ticket = await this.#writer.commit()
      durable = ticket.durable
      durable.catch(() => {})
      await previous
      onProgress?.({ rows: row, events, skipped })
    }
    for await (const each of rows) {
      if (row++ < skipped) continue
      for (const [event, value] of each) this.#put(event, value)
      events += each.length
      if (row % rowsPerCommit === 0) await commit()
    }
    if (this.#writer.sink.count > 0) await commit()
    await durable
    return { rows: row, events, skipped }
  }

  #put(event: string, value: object): void {
    const bound = this.#assembly.events.get(event)
    if (bound === undefined) throw new RangeError(`import: event "${event}" is not in the topology`)
    const { contract } = bound
    let emit = this.#emitters.get(event)
    if (emit === undefined) {
      emit = this.#outputs.emitter(bound, contract.partitions ?? this.#assembly.declaration.partitions)
      this.#emitters.set(event, emit)
    }
    emit(value, contract.timeOf(value))
  }

  async #rowsDone(topic: string, source: string): Promise<number> {
    const { start, end } = await this.#log.offsets(topic, 0)
    let done = 0
    for (let offset = start; offset < end; ) {
      const batch = await this.#log.read({ topic, partition: 0, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const name = batch.bytes.toString('utf8', batch.keyStart[index]!, batch.keyEnd[index]!)
        if (name !== source) continue
        done = Number(batch.bytes.toString('latin1', batch.valueStart[index]!, batch.valueEnd[index]!))
      }
      offset = batch.nextOffset
    }
    return done
  }
}
