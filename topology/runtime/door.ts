import { randomUUID } from 'node:crypto'
import type { Declaration } from '../../models/declaration.ts'
import type { Model } from '../../models/model.ts'
import { type Emit, Outputs } from '../../processors/outputs.ts'
import type { Assembly } from '../../replay/assembly.ts'
import type { BoundContract } from '../../state/contracts/codec.ts'
import { EngineError, isEngineError } from '../../state/contracts/engine-error.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import { originalBytes, readDeadLetter } from './dead-letter.ts'

/** Where an event was put. */
export interface Appended {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

export interface DoorOptions {
  readonly declaration: Declaration
  readonly assembly: Assembly
  readonly log: Log
  readonly writer: LogWriter
  /** Wall clock in ms. */
  readonly now: () => number
  /** Throws when nobody would process what comes in. */
  readonly checkRunning: () => void
  /** Called when events are about to be appended. */
  readonly onAppend: () => void
}

/** A trigger that is fit to be appended, under the request id that its prediction will have. */
export interface Request {
  readonly requestId: string
  append(): Promise<Appended>
}

/** What comes in from outside: each event is checked against its contract and appended by a writer of its own. */
export class Door {
  readonly #options: DoorOptions
  readonly #outputs: Outputs
  readonly #emitters = new Map<string, Emit>()

  constructor(options: DoorOptions) {
    this.#options = options
    this.#outputs = new Outputs(options.writer.sink)
  }

  /**
   * Appends events of one contract, checked against it; resolves when they
   * are durable. All or none: one that is refused refuses the call.
   */
  async append(event: string, inputs: readonly unknown[]): Promise<readonly Appended[]> {
    const bound = this.#event(event)
    const values = inputs.map((input, index) => {
      try {
        const value = bound.contract.parse(input)
        this.#checkTime(bound, value)
        return value
      } catch (error) {
        throw inputs.length === 1 ? error : withIndex(error, index)
      }
    })
    const { appended, durable } = await this.#appendValues(bound, values)
    await durable
    return appended
  }

  /** Checks a trigger of a model, and gives it what a caller may leave out: its event time, and a request id where that is text. */
  request({ trigger, label }: Model, input: unknown): Request {
    const bound = this.#event(trigger.name)
    const value = bound.contract.parse(this.#completed(bound, label.join, input))
    this.#checkTime(bound, value)
    return {
      requestId: String((value as Record<string, unknown>)[label.join]),
      append: async () => (await this.#appendValues(bound, [value])).appended[0]!,
    }
  }

  /**
   * Appends the original bytes of a dead letter to its topic and partition
   * again; resolves when they are durable. For after its cause was mended.
   */
  async reinject(number: number): Promise<Appended> {
    const { log, assembly, writer, onAppend } = this.#options
    const letter = await readDeadLetter(log, assembly, number)
    const { topic, partition, timestampMs } = letter
    const { key, value } = await originalBytes(log, letter)
    const { sink } = writer
    const out = sink.begin(topic, partition, timestampMs)
    if (key !== null) out.raw(key, 0, key.length)
    sink.beginValue()
    if (value !== null) out.raw(value, 0, value.length)
    sink.end()
    onAppend()
    const { firstOffsets, durable } = await writer.commit()
    await durable
    return { topic, partition, offset: Number(firstOffsets.get(`${topic}\0${partition}`) ?? 0n) }
  }

  async close(): Promise<void> {
    await this.#options.writer.close()
  }

  async #appendValues(
    bound: BoundContract<object>,
    values: readonly object[],
  ): Promise<{ appended: readonly Appended[]; durable: Promise<void> }> {
    const { writer, checkRunning, onAppend } = this.#options
    checkRunning()
    const { contract } = bound
    const emit = this.#emitterOf(bound)
    const placed = values.map((value) => emit(value, contract.timeOf(value)))
    onAppend()
    const { firstOffsets, durable } = await writer.commit()
    const next = new Map<number, number>()
    const appended = placed.map((partition) => {
      const first = next.get(partition) ?? Number(firstOffsets.get(`${contract.topic}\0${partition}`) ?? 0n)
      next.set(partition, first + 1)
      return { topic: contract.topic, partition, offset: first }
    })
    return { appended, durable }
  }

  #emitterOf(bound: BoundContract<object>): Emit {
    const { name, partitions = this.#options.declaration.partitions } = bound.contract
    const known = this.#emitters.get(name) ?? this.#outputs.emitter(bound, partitions)
    this.#emitters.set(name, known)
    return known
  }

  #completed(bound: BoundContract<object>, join: string, input: unknown): unknown {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) return input
    const { timeField } = bound.contract
    const given = input as Record<string, unknown>
    return {
      ...given,
      ...(given[timeField] === undefined ? { [timeField]: this.#options.now() } : {}),
      ...(given[join] === undefined ? { [join]: randomUUID() } : {}),
    }
  }

  #checkTime(bound: BoundContract<object>, value: object): void {
    const { contract } = bound
    const at = contract.timeOf(value)
    const latest = this.#options.now() + this.#options.declaration.maxAheadMs
    if (at >= 0 && at <= latest) return
    throw new EngineError('event-time-refused', {
      contract: contract.name,
      field: contract.timeField,
      at,
      latest,
    })
  }

  #event(name: string): BoundContract<object> {
    const { events } = this.#options.assembly
    const bound = events.get(name)
    if (bound === undefined)
      throw new EngineError('event-unknown', { event: name, known: [...events.keys()] })
    return bound
  }
}

function withIndex(error: unknown, index: number): unknown {
  if (isEngineError(error, 'contract-violation')) {
    return new EngineError(error.code, { ...error.context, field: `[${index}].${error.context.field}` })
  }
  if (isEngineError(error, 'event-time-refused')) {
    return new EngineError(error.code, { ...error.context, field: `[${index}].${error.context.field}` })
  }
  return error
}
