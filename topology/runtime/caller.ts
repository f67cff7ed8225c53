import { setMaxListeners } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { type Emit, Outputs } from '../../processors/outputs.ts'
import type { AsyncCall, CallFunction } from '../../processors/stream/async-call.ts'
import { type RefusedRecord, TaskInput, TaskRecord } from '../../processors/task-input.ts'
import type { Assembly } from '../../replay/assembly.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { CommitTicket, Log, LogWriter } from '../../state/log/log.ts'

/** How the calls of one name go; records and calls are those since the start of the process. */
export interface CallStatus {
  readonly name: string
  /** Records on the log that no call was begun for. */
  readonly waiting: number
  /** Records that are asked about now. */
  readonly inFlight: number
  readonly calls: number
  /** Calls that were made again. */
  readonly retries: number
  readonly answered: number
  /** Records whose last attempt failed. */
  readonly failed: number
  /** What the last call that failed said. */
  readonly lastError?: string
}

export interface CallerOptions {
  readonly spec: AsyncCall
  /** In place of the declared function. */
  readonly call: CallFunction<object>
  readonly assembly: Assembly
  readonly log: Log
  /** Called when calls came to their end on the log. */
  readonly onProgress: () => void
}

/** A part of a partition that is asked about with one call. */
interface Chunk {
  readonly records: readonly (TaskRecord | RefusedRecord)[]
  readonly asks: readonly TaskRecord[]
  /** Where the next chunk starts. */
  readonly next: number
  readonly answers: Promise<readonly unknown[] | CallFailure>
}

/** The calls of one partition. */
interface Lane {
  readonly input: TaskInput
  /** Asked about, in the order of the log. */
  readonly chunks: Chunk[]
  /** What lies before this offset has its outcome on the log. */
  settledTo: number
}

/** Every attempt failed; `reason` is that of the last. */
class CallFailure {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

const longestPauseMs = 60_000
/** How far back the last place is looked for first. */
const placesRead = 16

/**
 * Makes the calls of one declaration, beside the task: reads the asks behind
 * the place that the log tells, and appends answers in their order, each
 * commit with the place it reaches. So a kill between a call and its commit
 * leaves nothing, and the call is made again; behind the commit it never is.
 */
export class Caller {
  readonly #options: CallerOptions
  readonly #stopping = new AbortController()
  readonly #lanes: Lane[] = []
  #writer: LogWriter | undefined
  #inFlight = 0
  #calls = 0
  #retries = 0
  #answered = 0
  #failed = 0
  #lastError: string | undefined
  /** Why a commit never reached the disk. */
  #unwritten: { readonly error: unknown } | undefined

  constructor(options: CallerOptions) {
    this.#options = options
    // Each call in flight listens, and how many there are is declared.
    setMaxListeners(0, this.#stopping.signal)
  }

  /** Calls until it is stopped; rejects with the error that ends it. What is in flight then is abandoned, and asked again by the next one. */
  async run(): Promise<void> {
    const { spec, assembly, log } = this.#options
    const { name } = assembly.declaration
    const partitions = spec.asks.partitions ?? assembly.declaration.partitions
    const topic = `${name}-${spec.name}-calls`
    await log.createTopic({ name: topic, partitions, compacted: true })
    // The writer comes first: it ends an older one, so the places that are read now are the last.
    this.#writer = await log.writer(`call-${name}-${spec.name}`)
    try {
      for (let partition = 0; partition < partitions; partition++) {
        const input = this.#inputOf(partition)
        input.seek(await lastPlace(log, topic, partition))
        this.#lanes.push({ input, chunks: [], settledTo: input.position })
      }
    } catch (error) {
      this.#stopping.abort()
      throw error
    }
    // One that ends with an error ends the others, and all have ended before it is told.
    const lanes = this.#lanes.map((lane) =>
      this.#lane(topic, lane).catch((error) => {
        this.#stopping.abort()
        throw error
      }),
    )
    const failed = (await Promise.allSettled(lanes)).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
    if (this.#unwritten !== undefined) throw this.#unwritten.error
  }

  /** Abandons what is in flight; `run` has to end before the writer is closed. */
  stop(): void {
    this.#stopping.abort()
  }

  async close(): Promise<void> {
    await this.#writer?.close()
  }

  /** Whether everything that was asked so far has its outcome on the log. */
  async isSettled(): Promise<boolean> {
    const { log } = this.#options
    if (this.#lanes.length === 0) return false
    const ends = await Promise.all(this.#lanes.map(({ input }) => log.offsets(input.topic, input.partition)))
    return this.#lanes.every(({ settledTo }, at) => settledTo >= Number(ends[at]!.end))
  }

  async status(): Promise<CallStatus> {
    const { spec, log } = this.#options
    let waiting = 0
    for (const { input } of this.#lanes) {
      waiting += Math.max(0, Number((await log.offsets(input.topic, input.partition)).end) - input.position)
    }
    return {
      name: spec.name,
      waiting,
      inFlight: this.#inFlight,
      calls: this.#calls,
      retries: this.#retries,
      answered: this.#answered,
      failed: this.#failed,
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    }
  }

  #inputOf(partition: number): TaskInput {
    const { spec, assembly, log } = this.#options
    const { maxAheadMs } = assembly.declaration
    const contract = assembly.events.get(spec.asks.name)!
    return new TaskInput({ index: 0, topic: spec.asks.topic, partition, rank: 0, contract, maxAheadMs }, log)
  }

  async #lane(topic: string, lane: Lane): Promise<void> {
    const { input, chunks } = lane
    const { spec, log, onProgress } = this.#options
    const { signal } = this.#stopping
    const append = this.#appender(topic, input.partition)
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    let appended: Promise<void> | undefined
    while (!signal.aborted) {
      appended ??= log.appended(signal).then(() => {
        appended = undefined
      })
      const woken = appended
      while (chunks.length < spec.concurrency) {
        const chunk = await this.#chunk(input)
        if (chunk === undefined) break
        chunks.push(chunk)
      }
      const [first] = chunks
      if (first === undefined) {
        // Past gaps of the log, where there is nothing to ask about.
        lane.settledTo = input.position
        onProgress()
        await Promise.race([woken, stopped])
        continue
      }
      const more = chunks.length < spec.concurrency ? [woken] : []
      const answers = await Promise.race([...more, stopped, first.answers])
      if (answers === undefined || signal.aborted) continue
      await append(first, answers)
      chunks.shift()
      this.#inFlight -= first.asks.length
      lane.settledTo = first.next
      onProgress()
    }
  }

  /** The next records, and a call for them that has begun. */
  async #chunk(input: TaskInput): Promise<Chunk | undefined> {
    const { batch } = this.#options.spec
    const records: (TaskRecord | RefusedRecord)[] = []
    while (records.length < batch && (await input.fill(batch))) records.push(input.take())
    if (records.length === 0) return undefined
    const asks = records.filter((record) => record instanceof TaskRecord)
    this.#inFlight += asks.length
    const answers = asks.length === 0 ? Promise.resolve([]) : this.#ask(asks.map(({ value }) => value))
    return { records, asks, next: input.position, answers }
  }

  async #ask(values: readonly object[]): Promise<readonly unknown[] | CallFailure> {
    const { attempts, retryMs } = this.#options.spec
    const { signal } = this.#stopping
    for (let attempt = 1; ; attempt++) {
      this.#calls++
      try {
        return await this.#attempt(values)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        if (signal.aborted) return new CallFailure(reason)
        this.#lastError = reason
        if (attempt === attempts) return new CallFailure(reason)
      }
      const waitMs = Math.min(longestPauseMs, retryMs * 2 ** (attempt - 1))
      await pause(waitMs, undefined, { signal }).catch(() => {})
      if (signal.aborted) return new CallFailure('stopped')
      this.#retries++
    }
  }

  /** One call, until it answers, its time is up or everything stops. */
  async #attempt(values: readonly object[]): Promise<readonly unknown[]> {
    const { spec, call } = this.#options
    const ending = new AbortController()
    const stop = () => ending.abort(new Error('stopped'))
    const timer = setTimeout(
      () => ending.abort(new Error(`no answer within ${spec.timeoutMs} ms`)),
      spec.timeoutMs,
    )
    this.#stopping.signal.addEventListener('abort', stop, { once: true })
    const ended = new Promise<never>((_, reject) => {
      ending.signal.addEventListener('abort', () => reject(ending.signal.reason), { once: true })
    })
    try {
      const answers = await Promise.race([(async () => call(values, ending.signal))(), ended])
      if (!Array.isArray(answers) || answers.length !== values.length) {
        const found = Array.isArray(answers) ? `${answers.length} answers` : typeof answers
        throw new Error(`gave ${found} for ${values.length} events, expected one for each`)
      }
      return answers
    } finally {
      clearTimeout(timer)
      this.#stopping.signal.removeEventListener('abort', stop)
    }
  }

  /** Writes the outcome of a chunk with the place behind it, in one commit. */
  #appender(topic: string, partition: number) {
    const { spec, assembly } = this.#options
    const { declaration, events, engine } = assembly
    const writer = this.#writer!.beside()
    const outputs = new Outputs(writer.sink)
    const answersTo = events.get(spec.answers.name)!
    const emit = outputs.emitter(answersTo, spec.answers.partitions ?? declaration.partitions)
    const emitLetter = outputs.emitter(engine.deadLetter, 1)
    // Where somebody folds the asks too, they tell of those that cannot be read.
    const isReadBesides = assembly.task.inputs.some((input) => input.topic === spec.asks.topic)
    return async ({ records, asks, next }: Chunk, answers: readonly unknown[] | CallFailure) => {
      const failure = answers instanceof CallFailure ? answers : undefined
      if (failure !== undefined && spec.onFailure === 'stop') throw this.#failedAt(asks[0]!, failure)
      if (!isReadBesides) {
        for (const record of records) if (!(record instanceof TaskRecord)) deadLetter(emitLetter, record)
      }
      for (const [index, ask] of asks.entries()) {
        if (failure !== undefined && spec.onFailure === 'dead-letter') {
          deadLetter(emitLetter, ask.refused('call-failed', `call "${spec.name}": ${failure.reason}`))
          continue
        }
        try {
          const answer = failure === undefined ? (answers as readonly unknown[])[index] : null
          const event = spec.event(ask.value, answer)
          if (event !== null) emit(event, timeOf(spec, ask, event))
        } catch (error) {
          deadLetter(emitLetter, ask.refused('function-failed', `the event of call "${spec.name}": ${error}`))
        }
      }
      const out = writer.sink.begin(topic, partition, 0)
      out.raw(Buffer.from('next'))
      writer.sink.beginValue()
      out.raw(Buffer.from(String(next)))
      writer.sink.end()
      const ticket: CommitTicket = await writer.commit()
      ticket.durable.catch((error) => {
        this.#unwritten = { error }
        this.stop()
      })
      if (failure === undefined) this.#answered += asks.length
      else this.#failed += asks.length
    }
  }

  #failedAt({ topic, partition, offset }: TaskRecord, { reason }: CallFailure): EngineError {
    const { name: call, attempts } = this.#options.spec
    return new EngineError('call-failed', { call, topic, partition, offset, attempts, reason })
  }
}

/** An answer at another time would be late, or early, for what its ask is joined with. */
function timeOf({ answers, name }: AsyncCall, ask: TaskRecord, event: object): number {
  const atMs = answers.timeOf(event)
  if (atMs === ask.timestampMs) return atMs
  throw new RangeError(
    `an answer of call "${name}" has the time ${atMs}, expected that of its ask, ${ask.timestampMs}`,
  )
}

function deadLetter(emit: Emit, refused: RefusedRecord): void {
  const { input, offset, timestampMs, reason, detail, schemaId, keyBytes, valueBytes } = refused
  const { topic, partition } = input
  const at = Math.max(0, timestampMs)
  const letter = { topic, partition, offset, schemaId, reason, detail, key: keyBytes, value: valueBytes }
  emit({ ...letter, timestampMs, at }, at)
}

/** Where the calls of a partition go on: 0 where there were none. */
async function lastPlace(log: Log, topic: string, partition: number): Promise<number> {
  const { start, end } = await log.offsets(topic, partition)
  for (let back = BigInt(placesRead); ; back *= 4n) {
    const from = end - back > start ? end - back : start
    let place: number | undefined
    for (let offset = from; offset < end; ) {
      const batch = await log.read({ topic, partition, offset, maxBytes: 1 << 20 })
      const last = batch.count - 1
      if (last >= 0) {
        place = Number(batch.bytes.toString('latin1', batch.valueStart[last]!, batch.valueEnd[last]!))
      }
      offset = batch.nextOffset
    }
    if (place !== undefined) return place
    if (from === start) return 0
  }
}
