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
/** Behind the number of rows in an import's last commit. */
const endMark = ' end'

/**
 * Brings a source with a stable order into the log exactly once: each commit
 * holds the events and how many rows are done, so an import that was killed
 * goes on where it stopped.
 */
export class Importer {
  readonly #log: Log
  readonly #assembly: Assembly

  constructor(log: Log, assembly: Assembly) {
    this.#log = log
    this.#assembly = assembly
  }

  /** `source` names the rows for ever; values are trusted to fit their contracts. */
  async run(
    source: string,
    rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
    onProgress?: (progress: ImportProgress) => void,
  ): Promise<ImportProgress> {
    // A writer of its own: a commit holds whole rows, and nothing of whoever else appends meanwhile.
    const writer = await this.#log.writer('import')
    try {
      return await this.#bring(writer, source, rows, onProgress)
    } finally {
      await writer.close()
    }
  }

  /** True when an earlier import has brought the whole source. */
  async isComplete(source: string): Promise<boolean> {
    const topic = await this.#topic()
    return (await this.#done(topic, source)).complete
  }

  async #topic(): Promise<string> {
    const topic = `${this.#assembly.declaration.name}-imports`
    await this.#log.createTopic({ name: topic, partitions: 1 })
    return topic
  }

  async #bring(
    writer: LogWriter,
    source: string,
    rows: Iterable<SourceRow> | AsyncIterable<SourceRow>,
    onProgress: ((progress: ImportProgress) => void) | undefined,
  ): Promise<ImportProgress> {
    const put = this.#putter(writer)
    const topic = await this.#topic()
    const { rows: skipped, complete } = await this.#done(topic, source)
    let row = 0
    let events = 0
    let durable: Promise<void> = Promise.resolve()
    const commit = async (end = '') => {
      const { sink } = writer
      const out = sink.begin(topic, 0, 0)
      out.raw(Buffer.from(source))
      sink.beginValue()
      out.raw(Buffer.from(`${row}${end}`))
      sink.end()
      const previous = durable
      const ticket = await writer.commit()
      durable = ticket.durable
      durable.catch(() => {})
      await previous
      onProgress?.({ rows: row, events, skipped })
    }
    for await (const each of rows) {
      if (row++ < skipped) continue
      for (const [event, value] of each) put(event, value)
      events += each.length
      if (row % rowsPerCommit === 0) await commit()
    }
    if (!complete || row > skipped) await commit(endMark)
    await durable
    return { rows: row, events, skipped }
  }

  #putter(writer: LogWriter): (event: string, value: object) => void {
    const outputs = new Outputs(writer.sink)
    const emitters = new Map<string, { readonly emit: Emit; readonly timeOf: (value: object) => number }>()
    return (event, value) => {
      let known = emitters.get(event)
      if (known === undefined) {
        const bound = this.#assembly.events.get(event)
        if (bound === undefined) throw new RangeError(`import: event "${event}" is not in the topology`)
        const { contract } = bound
        const emit = outputs.emitter(bound, contract.partitions ?? this.#assembly.declaration.partitions)
        known = { emit, timeOf: (each) => contract.timeOf(each) }
        emitters.set(event, known)
      }
      known.emit(value, known.timeOf(value))
    }
  }

  async #done(topic: string, source: string): Promise<{ readonly rows: number; readonly complete: boolean }> {
    const { start, end } = await this.#log.offsets(topic, 0)
    let last = '0'
    for (let offset = start; offset < end; ) {
      const batch = await this.#log.read({ topic, partition: 0, offset, maxBytes: 1 << 20 })
      for (let index = 0; index < batch.count; index++) {
        const name = batch.bytes.toString('utf8', batch.keyStart[index]!, batch.keyEnd[index]!)
        if (name !== source) continue
        last = batch.bytes.toString('latin1', batch.valueStart[index]!, batch.valueEnd[index]!)
      }
      offset = batch.nextOffset
    }
    return { rows: Number.parseInt(last, 10), complete: last.endsWith(endMark) }
  }
}
