import { type Observable, Subject } from 'rxjs'
import type { DurationMs, TimestampMs } from '../../state/contracts/units.ts'
import type { RecordHeader } from '../../state/log/record-batch.ts'
import type { Database, DatabaseWrite } from '../../state/store/database.ts'
import { KeyWindowStore } from '../../state/store/key-window-store.ts'
import { orderedStore } from '../../state/store/ordered-store.ts'
import type { OrderedStore } from '../../state/store/state-store.ts'
import { WindowStore } from '../../state/store/window-store.ts'
import type { Drop, OperatorContext, StreamRecord } from '../operator.ts'

/** What a graph is built of: the inputs, in the order that breaks ties, and the outputs to read. */
export interface DriverGraph {
  readonly context: OperatorContext
  input<In extends StreamRecord>(name: string): Observable<In>
  output(name: string, records: Observable<StreamRecord>): void
}

/** A record to pipe in; topic, partition and offset are the driver's. */
export interface DriverRecord {
  readonly key?: unknown
  readonly value: unknown
  readonly timestampMs: TimestampMs
  readonly headers?: readonly RecordHeader[]
}

export interface StreamDriverOptions {
  /** Called once; the same declaration must be given when a saved state is restored. */
  readonly build: (graph: DriverGraph) => void
  /** Where a driver of the same graph was saved. */
  readonly database?: Database
}

/** How far behind stream time records came, over all records piped in, those on time included. */
export interface LatenessSummary {
  readonly records: number
  readonly maxMs: DurationMs
  readonly meanMs: DurationMs
}

interface DriverClock {
  readonly streamTimeMs: TimestampMs
  readonly records: number
  readonly latenessSumMs: DurationMs
  readonly latenessMaxMs: DurationMs
}

const atStart: DriverClock = {
  streamTimeMs: Number.NEGATIVE_INFINITY,
  records: 0,
  latenessSumMs: 0,
  latenessMaxMs: 0,
}

/** The driver's own state lies beside the operators', so a restarted driver knows the time and the offsets. */
const driverStore = 'stream-driver'

/**
 * Runs operators and joins in memory, one record at a time, synchronously, and
 * with the time that the records carry: what a test of a graph needs, and
 * exactly what a task does with the same records.
 */
export class StreamDriver {
  readonly #inputs = new Map<string, Subject<StreamRecord>>()
  readonly #outputs = new Map<string, StreamRecord[]>()
  readonly #stores = new Map<string, OrderedStore<unknown> | WindowStore | KeyWindowStore>()
  readonly #callbacks: ((streamTimeMs: TimestampMs) => void)[] = []
  readonly #batchCallbacks: (() => void)[] = []
  readonly #own: OrderedStore<DriverClock | number>
  readonly #drops: Drop[] = []
  readonly #deadLetters: { readonly record: StreamRecord; readonly reason: string }[] = []
  #clock: DriverClock = atStart
  #failure: { readonly error: unknown } | undefined

  private constructor() {
    this.#own = orderedStore(driverStore)
    this.#stores.set(driverStore, this.#own)
  }

  /** @throws RangeError when two operators ask for the same store, or an input or output is named twice. */
  static async start({ build, database }: StreamDriverOptions): Promise<StreamDriver> {
    const driver = new StreamDriver()
    build({
      context: driver.#context(),
      input: <In extends StreamRecord>(name: string) =>
        driver.#input(name) as Observable<StreamRecord> as Observable<In>,
      output: (name, records) => driver.#output(name, records),
    })
    if (database !== undefined) await driver.#restore(database)
    return driver
  }

  /** -Infinity before the first record. */
  get streamTimeMs(): TimestampMs {
    return this.#clock.streamTimeMs
  }

  /** Records that operators left out since the driver started, in order. */
  get drops(): readonly Drop[] {
    return this.#drops
  }

  get deadLetters(): readonly { readonly record: StreamRecord; readonly reason: string }[] {
    return this.#deadLetters
  }

  get lateness(): LatenessSummary {
    const { records, latenessSumMs, latenessMaxMs } = this.#clock
    return { records, maxMs: latenessMaxMs, meanMs: records === 0 ? 0 : latenessSumMs / records }
  }

  /** @throws RangeError for an input that the graph does not have. */
  pipe(input: string, { key = null, value, timestampMs, headers = [] }: DriverRecord): void {
    const subject = this.#inputs.get(input)
    if (subject === undefined) {
      throw new RangeError(
        `input "${input}" is not in the graph; it has ${[...this.#inputs.keys()].join(', ')}`,
      )
    }
    const offset = this.#own.get(['offset', input]) as number | undefined
    this.#own.put(['offset', input], (offset ?? 0) + 1)
    const moved = this.#observe(timestampMs)
    subject.next({ key, value, timestampMs, headers, topic: input, partition: 0, offset: offset ?? 0 })
    this.#rethrow()
    if (moved) this.#tellTime()
  }

  /** Several inputs at once, in the order of a task. */
  pipeMerged(batches: Readonly<Record<string, readonly DriverRecord[]>>): void {
    const inputs = [...this.#inputs.keys()].map((input) => [input, batches[input] ?? []] as const)
    for (const [input, record] of StreamDriver.inTaskOrder(inputs)) this.pipe(input, record)
  }

  /** Smallest (event time, input, offset) of the inputs' heads first: what a task would take next. */
  static inTaskOrder(
    inputs: readonly (readonly [input: string, records: readonly DriverRecord[]])[],
  ): (readonly [input: string, record: DriverRecord])[] {
    const heads = inputs.map(([input, records]) => ({ input, records, next: 0 }))
    const ordered: (readonly [string, DriverRecord])[] = []
    for (;;) {
      let chosen: (typeof heads)[number] | undefined
      for (const head of heads) {
        const record = head.records[head.next]
        if (record === undefined) continue
        const best = chosen?.records[chosen.next]
        if (best === undefined || record.timestampMs < best.timestampMs) chosen = head
      }
      const record = chosen?.records[chosen.next]
      if (chosen === undefined || record === undefined) return ordered
      chosen.next++
      ordered.push([chosen.input, record])
    }
  }

  /** Moves stream time without a record of these inputs, as another input of the task would. Never back. */
  advanceTo(streamTimeMs: TimestampMs): void {
    if (streamTimeMs <= this.#clock.streamTimeMs) return
    this.#setClock({ ...this.#clock, streamTimeMs })
    this.#tellTime()
  }

  /** Ends a batch, as a task does before it commits. */
  endBatch(): void {
    for (const callback of this.#batchCallbacks) callback()
    this.#rethrow()
  }

  /** What came out since the last read, in order. */
  read<Out extends StreamRecord = StreamRecord>(output: string): Out[] {
    const records = this.#outputs.get(output)
    if (records === undefined) {
      throw new RangeError(
        `output "${output}" is not in the graph; it has ${[...this.#outputs.keys()].join(', ')}`,
      )
    }
    return records.splice(0) as Out[]
  }

  /** A store of an operator, to look into. Undefined where no operator has asked for it. */
  store<Value>(name: string): OrderedStore<Value> | undefined {
    return this.#stores.get(name) as OrderedStore<Value> | undefined
  }

  get storeNames(): readonly string[] {
    return [...this.#stores.keys()].filter((name) => name !== driverStore)
  }

  /** Writes what has changed since the last save. A driver started on this database goes on from here. */
  async save(database: Database): Promise<void> {
    const writes: DatabaseWrite[] = []
    for (const store of this.#stores.values()) store.collect(writes)
    await database.write(writes)
  }

  #context(): OperatorContext {
    const driver = this
    return {
      get streamTimeMs() {
        return driver.#clock.streamTimeMs
      },
      store: <Value>(name: string): OrderedStore<Value> => {
        if (driver.#stores.has(name))
          throw new RangeError(`store "${name}" is asked for twice; names are unique`)
        const store = orderedStore<Value>(name)
        driver.#stores.set(name, store as OrderedStore<unknown>)
        return store
      },
      windowStore: (name, width, columns) => {
        if (driver.#stores.has(name))
          throw new RangeError(`store "${name}" is asked for twice; names are unique`)
        const store = new WindowStore(name, width, columns)
        driver.#stores.set(name, store)
        return store
      },
      keyWindowStore: (name, width, columns) => {
        if (driver.#stores.has(name))
          throw new RangeError(`store "${name}" is asked for twice; names are unique`)
        const store = new KeyWindowStore(name, width, columns)
        driver.#stores.set(name, store)
        return store
      },
      drop: (drop) => {
        driver.#drops.push(drop)
      },
      deadLetter: (record, reason) => {
        driver.#deadLetters.push({ record, reason })
      },
      // Whoever drives a stream by hand wants to see at once what failed, and where.
      functionFailed: (error) => {
        driver.#failure ??= { error }
      },
      onBatchEnd: (callback) => {
        driver.#batchCallbacks.push(callback)
      },
      onStreamTime: (callback) => {
        driver.#callbacks.push(callback)
      },
    }
  }

  #input(name: string): Subject<StreamRecord> {
    if (this.#inputs.has(name)) throw new RangeError(`input "${name}" is declared twice`)
    const subject = new Subject<StreamRecord>()
    this.#inputs.set(name, subject)
    return subject
  }

  #output(name: string, records: Observable<StreamRecord>): void {
    if (this.#outputs.has(name)) throw new RangeError(`output "${name}" is declared twice`)
    const read: StreamRecord[] = []
    this.#outputs.set(name, read)
    records.subscribe({
      next: (record) => read.push(record),
      error: (error: unknown) => {
        this.#failure = { error }
      },
    })
  }

  async #restore(database: Database): Promise<void> {
    for (const store of this.#stores.values()) await store.restore(database)
    this.#clock = (this.#own.get(['clock']) as DriverClock | undefined) ?? atStart
  }

  /** True when the record moves stream time. */
  #observe(timestampMs: TimestampMs): boolean {
    const { streamTimeMs, records, latenessSumMs, latenessMaxMs } = this.#clock
    const latenessMs = Math.max(0, streamTimeMs - timestampMs)
    this.#setClock({
      streamTimeMs: Math.max(streamTimeMs, timestampMs),
      records: records + 1,
      latenessSumMs: latenessSumMs + latenessMs,
      latenessMaxMs: Math.max(latenessMaxMs, latenessMs),
    })
    return timestampMs > streamTimeMs
  }

  #setClock(clock: DriverClock): void {
    this.#clock = clock
    this.#own.put(['clock'], clock)
  }

  #tellTime(): void {
    for (const callback of this.#callbacks) callback(this.#clock.streamTimeMs)
    this.#rethrow()
  }

  /** RxJS ends a stream that fails; the caller that piped the record in must learn of it. */
  #rethrow(): void {
    if (this.#failure !== undefined) throw this.#failure.error
  }
}
