import { randomUUID } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Declaration } from '../../models/declaration.ts'
import type { ModelPart, Prediction } from '../../models/serving/model-part.ts'
import type { FeatureValue } from '../../processors/feature/feature-value.ts'
import { keyPartFromText } from '../../processors/feature/key-text.ts'
import type { ViewState } from '../../processors/feature/view-state.ts'
import { type Emit, Outputs } from '../../processors/outputs.ts'
import type { TaskOptions } from '../../processors/task.ts'
import { type Assembly, assemble, type RecoveryProgress } from '../../replay/assembly.ts'
import { adoptBackfill } from '../../replay/backfill-swap.ts'
import { stateDigest } from '../../replay/state-digest.ts'
import type { CommitStep } from '../../state/commit/commit-protocol.ts'
import type { BoundContract } from '../../state/contracts/codec.ts'
import { EngineError, isEngineError } from '../../state/contracts/engine-error.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import type { DatabaseOperation } from '../../state/store/metered-database.ts'
import { packKey } from '../../state/store/packed-key.ts'
import { CommitTimes } from './commit-times.ts'
import { originalBytes, readDeadLetter } from './dead-letter.ts'
import { mergeBackfill } from './folder-replay.ts'
import { Importer } from './importer.ts'
import { PendingRequests } from './pending-requests.ts'
import { PredictionIndex } from './prediction-index.ts'
import { type Wiring, wire } from './wire.ts'
import type { KafkaWiring } from './wire-kafka.ts'

export interface EngineOptions {
  readonly topology: Declaration
  /** Folder of the log and the state; absent: in memory. */
  readonly data?: string
  /** Told what an operator should know and need not act on at once. */
  readonly onNotice?: (text: string) => void
  /** A Kafka cluster in place of the embedded log. */
  readonly kafka?: KafkaWiring
  readonly task?: TaskOptions
  /** Wall clock in ms. */
  readonly now?: () => number
  readonly onRecovery?: (progress: RecoveryProgress) => void
  readonly onStep?: (step: CommitStep, sequence: number) => void
  /** Id of the writer of what comes in through this engine: of two that are open at once, one each. */
  readonly door?: string
  /**
   * Follows the engine of another process (with `kafka`) until this one is to
   * take over: `open` resolves then.
   */
  readonly standby?: (work: StandbyWork) => Promise<RecoveryProgress>
}

/** What a standby follows with. */
export interface StandbyWork {
  readonly assembly: Assembly
  readonly log: Log
  /** Ends the other engine: its last commit is on the log when this resolves. */
  take(): Promise<void>
  /** To be called after each batch that was followed. */
  afterBatch(): void
}

export interface Appended {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** A prediction with its features by name. */
export interface ExplainedPrediction {
  readonly requestId: string
  readonly model: string
  readonly modelVersion: number
  readonly variant: string
  readonly role: string
  readonly propensity: number
  readonly output: number
  /** By name, in column order; null where there was no value. */
  readonly features: Readonly<Record<string, number | null>>
  readonly position: { readonly task: string; readonly offsets: Readonly<Record<string, number>> }
  readonly trigger: Appended
  readonly predictedAt: TimestampMs
}

export interface InputStatus {
  readonly topic: string
  readonly partition: number
  readonly position: number
  readonly endOffset: number
  readonly lag: number
}

export interface InputLag {
  readonly topic: string
  readonly partition: number
  readonly position: number
  readonly endOffset: number
  readonly lagRecords: number
  /** Since the oldest record that is not processed was appended. */
  readonly lagSeconds: number
}

const idleCheckpointMs = 1_000
/**
 * A batch ends where one of its inputs runs dry, so a request may lie behind a
 * small one or two: taking it out of its turn would cost more than they take.
 */
const fewRecords = 500
const fewBatches = 3

/**
 * One running application: its log, its state and the loop that drives its
 * task. `open` brings the state up to the log's last commit; `run` goes on
 * from there until `stop`.
 */
export class Engine {
  readonly declaration: Declaration
  readonly assembly: Assembly
  readonly recovered: RecoveryProgress
  readonly importer: Importer
  readonly commitTimes: CommitTimes
  readonly #wiring: Wiring
  readonly #door: LogWriter
  readonly #now: () => number
  readonly #outputs: Outputs
  readonly #emitters = new Map<string, Emit>()
  readonly #index: PredictionIndex
  readonly #requests: PendingRequests
  #batchesBegun = 0
  #stopping = new AbortController()
  #running: Promise<void> | undefined
  #failure: unknown
  /** Called when the loop finds nothing to do, or ends. */
  #turned: (() => void)[] = []
  #isCaughtUp = false

  private constructor(
    declaration: Declaration,
    wiring: Wiring,
    door: LogWriter,
    assembly: Assembly,
    recovered: RecoveryProgress,
    now: () => number,
    requests: PendingRequests,
    commitTimes: CommitTimes,
  ) {
    this.declaration = declaration
    this.#wiring = wiring
    this.#door = door
    this.#outputs = new Outputs(door.sink)
    this.assembly = assembly
    this.recovered = recovered
    this.#now = now
    this.#requests = requests
    this.commitTimes = commitTimes
    this.#index = new PredictionIndex(wiring.log, wiring.database, assembly)
    this.importer = new Importer(wiring.log, assembly)
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const { topology, now = Date.now } = options
    const wiring = await wire({
      ...(options.data === undefined ? {} : { data: options.data }),
      ...(options.kafka === undefined ? {} : { kafka: options.kafka }),
      ...(options.onNotice === undefined ? {} : { onNotice: options.onNotice }),
      app: topology.name,
      standby: options.standby !== undefined,
      now,
      async beforeState() {
        const { data, kafka } = options
        if (data === undefined || kafka !== undefined || !(await adoptBackfill(data, topology))) return
        options.onNotice?.('the state is that of the backfill now')
      },
    })
    try {
      if (options.data !== undefined && options.kafka === undefined) {
        const isMerged = await mergeBackfill(options.data, topology, wiring)
        if (isMerged) options.onNotice?.('the state has the views of the backfill now')
      }
      const requests = new PendingRequests()
      const commitTimes = new CommitTimes()
      const assembly = await assemble({
        declaration: topology,
        log: wiring.log,
        writer: wiring.writer,
        registry: wiring.registry,
        database: wiring.database,
        onPrediction: (prediction) => requests.made(prediction),
        onRefused: (record, detail) => requests.refused(record, detail),
        task: { elapsedMs: () => performance.now(), ...options.task },
        onStep(step, sequence) {
          commitTimes.step(step, sequence)
          options.onStep?.(step, sequence)
        },
      })
      const afterBatch = () => requests.clearNotes()
      const { log, take } = wiring
      const recovered = await (options.standby?.({ assembly, log, take, afterBatch }) ??
        assembly.recover(options.onRecovery))
      requests.clearNotes()
      const door = await wiring.log.writer(options.door ?? 'door')
      return new Engine(topology, wiring, door, assembly, recovered, now, requests, commitTimes)
    } catch (error) {
      await wiring.close()
      throw error
    }
  }

  get log(): Log {
    return this.#wiring.log
  }

  /** Starts the loop. It runs until `stop`, or until it fails; `failed` and every later call tell. */
  run(): void {
    this.#running ??= this.#loop().catch((error) => {
      this.#failure = error
      this.#requests.rejectAll(error)
      this.#turn()
    })
  }

  get failure(): unknown {
    return this.#failure
  }

  /** True when every record on the log at the last look was processed. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp
  }

  /**
   * Resolves when everything that is on the log is processed and durable, and
   * so is everything that came of it.
   */
  async caughtUp(): Promise<void> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      const turned = new Promise<void>((resolve) => this.#turned.push(resolve))
      if (!(await this.inputs()).some(({ lag }) => lag > 0)) break
      await turned
    }
    await this.assembly.task.flush()
  }

  /** Ends the loop after the batch in hand, commits, writes a checkpoint and closes everything. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.#requests.rejectAll(new EngineError('engine-stopping', {}))
    try {
      if (this.#failure === undefined) await this.assembly.task.close()
    } finally {
      await this.#door.close()
      await this.#wiring.close()
    }
  }

  /** Ends at once, without a checkpoint: the next start folds what is behind the last one again. */
  async abort(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    await this.#door.close()
    await this.#wiring.close()
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

  /**
   * Asks a model: the trigger becomes an event, given its event time and
   * request id here if it has none, and the answer comes once the prediction
   * is durable on the log.
   */
  async predict(modelName: string, input: unknown): Promise<ExplainedPrediction> {
    const part = this.model(modelName)
    const { model } = part
    const bound = this.#event(model.trigger.name)
    const value = bound.contract.parse(this.#completed(bound, model.label.join, input))
    this.#checkTime(bound, value)
    const requestId = String((value as Record<string, unknown>)[model.label.join])
    const append = async () => (await this.#appendValues(bound, [value])).appended[0]!
    return this.explain(await this.#requests.ask(model, requestId, append, () => this.#batchesBegun))
  }

  /** Text, as in a path or on a command line, as the parts of an entity's key. */
  entityKey(viewName: string, texts: readonly string[]): readonly (string | number | bigint)[] {
    const { view } = this.#view(viewName)
    if (texts.length !== view.entity.length) {
      throw new EngineError('entity-key-mismatch', {
        view: viewName,
        found: texts.length,
        expected: view.entity.map(({ field }) => field),
      })
    }
    return texts.map((text, index) => keyPartFromText(view, index, text))
  }

  /** The features of an entity as of a query time, by name, lists and maps too; null where there is no value. */
  async features(
    viewName: string,
    key: readonly (string | number | bigint)[],
    queryMs: TimestampMs = this.#now(),
  ): Promise<Readonly<Record<string, FeatureValue>>> {
    const state = this.#view(viewName)
    const { entity } = state.view
    if (key.length !== entity.length) {
      throw new EngineError('entity-key-mismatch', {
        view: viewName,
        found: key.length,
        expected: entity.map(({ field }) => field),
      })
    }
    const packed = packKey(key)
    // While one store loads the key another may let go of it.
    for (let missing = state.stores; missing.length > 0; ) {
      missing = missing.filter((store) => store.isMissing(packed))
      await Promise.all(missing.map((store) => store.prefetch(this.#wiring.database, [packed])))
    }
    return state.values(packed, queryMs)
  }

  /**
   * Appends the original bytes of a dead letter to its topic and partition
   * again; resolves when they are durable. For after its cause was mended.
   */
  async reinject(number: number): Promise<Appended> {
    const letter = await readDeadLetter(this.log, this.assembly, number)
    const { topic, partition, timestampMs } = letter
    const { key, value } = await originalBytes(this.log, letter)
    const { sink } = this.#door
    const out = sink.begin(topic, partition, timestampMs)
    if (key !== null) out.raw(key, 0, key.length)
    sink.beginValue()
    if (value !== null) out.raw(value, 0, value.length)
    sink.end()
    this.#isCaughtUp = false
    const { firstOffsets, durable } = await this.#door.commit()
    await durable
    return { topic, partition, offset: Number(firstOffsets.get(`${topic}\0${partition}`) ?? 0n) }
  }

  /** A past prediction by its request id; undefined if there is none. */
  async prediction(model: string, requestId: string): Promise<ExplainedPrediction | undefined> {
    const found = await this.#index.find(model, requestId)
    return found && this.explain(found)
  }

  model(name: string): ModelPart {
    const part = this.assembly.models.get(name)
    if (part === undefined) {
      throw new EngineError('model-unknown', { model: name, known: [...this.assembly.models.keys()] })
    }
    return part
  }

  /** Where the task stands in each of its inputs. */
  async inputs(): Promise<readonly InputStatus[]> {
    return Promise.all(
      this.assembly.task.inputs.map(async ({ topic, partition, position }) => {
        const endOffset = Number((await this.log.offsets(topic, partition)).end)
        return { topic, partition, position, endOffset, lag: endOffset - position }
      }),
    )
  }

  /** Tells of every call on the state's database from now on; returns what ends it. */
  listenToDatabase(listener: (operation: DatabaseOperation) => void): () => void {
    return this.#wiring.listenToDatabase(listener)
  }

  /** The engine's clock, ms. */
  now(): TimestampMs {
    return this.#now()
  }

  /** What is on the log and not processed yet, by input. */
  async lag(): Promise<readonly InputLag[]> {
    return Promise.all(
      (await this.inputs()).map(async ({ topic, partition, position, endOffset, lag }) => {
        const common = { topic, partition, position, endOffset, lagRecords: lag }
        if (lag === 0) return { ...common, lagSeconds: 0 }
        const oldest = { topic, partition, offset: BigInt(position), maxBytes: 1, maxRecords: 1 }
        const { appendedAtMs } = await this.log.read(oldest)
        return { ...common, lagSeconds: Math.max(0, this.#now() - (appendedAtMs[0] ?? this.#now())) / 1_000 }
      }),
    )
  }

  /** Digest of all state and of where it stands; writes a checkpoint first. Not while `run` has work. */
  async digest(): Promise<string> {
    await this.assembly.task.checkpoint()
    return stateDigest(this.#wiring.database, this.assembly)
  }

  explain(prediction: Prediction): ExplainedPrediction {
    const { model } = this.model(prediction.model)
    const bytes = Buffer.from(prediction.features)
    const features = new Float64Array(bytes.length / 8)
    for (let index = 0; index < features.length; index++) features[index] = bytes.readDoubleLE(index * 8)
    const { task, offsets } = prediction.position
    return {
      requestId: prediction.requestId,
      model: prediction.model,
      modelVersion: prediction.modelVersion,
      variant: prediction.variant,
      role: prediction.role,
      propensity: prediction.propensity,
      output: prediction.output,
      features: named(model.columns, features),
      position: {
        task,
        offsets: Object.fromEntries(
          this.assembly.task.inputs.map(({ topic, partition }, index) => [
            `${topic}[${partition}]`,
            offsets[index] ?? 0,
          ]),
        ),
      },
      trigger: {
        topic: prediction.triggerTopic,
        partition: prediction.triggerPartition,
        offset: prediction.triggerOffset,
      },
      predictedAt: prediction.predictedAt,
    }
  }

  #turn(): void {
    for (const resolve of this.#turned.splice(0)) resolve()
  }

  #view(name: string): ViewState {
    const state = this.assembly.views.get(name)
    if (state !== undefined) return state
    throw new EngineError('feature-view-unknown', { view: name, known: [...this.assembly.views.keys()] })
  }

  async #loop(): Promise<void> {
    const { task } = this.assembly
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const appended = this.log.appended(signal)
      this.#batchesBegun++
      const before = task.processed
      const ticket = await task.step()
      if (ticket !== undefined) {
        this.#requests.settle(ticket.durable)
        const isBacklog = task.processed - before > fewRecords
        await this.#answerOverdue(this.#batchesBegun - (isBacklog ? 0 : fewBatches))
        this.#isCaughtUp = false
        // A turn of the event loop for requests, timers and the disk.
        await nextTurn()
        continue
      }
      this.#isCaughtUp = true
      this.#turn()
      const idle = new AbortController()
      const timer = setTimeout(() => idle.abort(), idleCheckpointMs)
      await Promise.race([appended, aborted(idle.signal)])
      clearTimeout(timer)
      if (idle.signal.aborted) {
        await task.checkpoint()
        await appended
      }
    }
  }

  /**
   * Answers the requests that a whole batch did not get to: they stand behind
   * a backlog, and a caller must not wait until that is worked off.
   */
  async #answerOverdue(batch: number): Promise<void> {
    const overdue = this.#requests.overdue(batch)
    if (overdue.length === 0) return
    const ticket = await this.assembly.task.answer(overdue)
    if (ticket !== undefined) this.#requests.settle(ticket.durable)
  }

  async #appendValues(
    bound: BoundContract<object>,
    values: readonly object[],
  ): Promise<{ appended: readonly Appended[]; durable: Promise<void> }> {
    if (this.#failure !== undefined) throw this.#failure
    const { contract } = bound
    const emit = this.#emitterOf(bound)
    const placed = values.map((value) => emit(value, contract.timeOf(value)))
    this.#isCaughtUp = false
    const { firstOffsets, durable } = await this.#door.commit()
    const next = new Map<number, number>()
    const appended = placed.map((partition) => {
      const first = next.get(partition) ?? Number(firstOffsets.get(`${contract.topic}\0${partition}`) ?? 0n)
      next.set(partition, first + 1)
      return { topic: contract.topic, partition, offset: first }
    })
    return { appended, durable }
  }

  #emitterOf(bound: BoundContract<object>): Emit {
    const { name, partitions = this.declaration.partitions } = bound.contract
    const known = this.#emitters.get(name) ?? this.#outputs.emitter(bound, partitions)
    this.#emitters.set(name, known)
    return known
  }

  /** Gives a trigger what a caller may leave out: its event time, and a request id where that is text. */
  #completed(bound: BoundContract<object>, join: string, input: unknown): unknown {
    if (typeof input !== 'object' || input === null || Array.isArray(input)) return input
    const { timeField } = bound.contract
    const given = input as Record<string, unknown>
    return {
      ...given,
      ...(given[timeField] === undefined ? { [timeField]: this.#now() } : {}),
      ...(given[join] === undefined ? { [join]: randomUUID() } : {}),
    }
  }

  #checkTime(bound: BoundContract<object>, value: object): void {
    const { contract } = bound
    const at = contract.timeOf(value)
    const latest = this.#now() + this.declaration.maxAheadMs
    if (at >= 0 && at <= latest) return
    throw new EngineError('event-time-refused', {
      contract: contract.name,
      field: contract.timeField,
      at,
      latest,
    })
  }

  #event(name: string): BoundContract<object> {
    const bound = this.assembly.events.get(name)
    if (bound === undefined) {
      throw new EngineError('event-unknown', { event: name, known: [...this.assembly.events.keys()] })
    }
    return bound
  }
}

function named(names: readonly string[], values: Float64Array): Record<string, number | null> {
  return Object.fromEntries(
    names.map((name, index) => {
      const value = values[index]!
      return [name, Number.isNaN(value) ? null : value]
    }),
  )
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
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
