import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises'
import type { Declaration } from '../../models/declaration.ts'
import type { ModelPart, Prediction } from '../../models/serving/model-part.ts'
import type { FeatureValue } from '../../processors/feature/feature-value.ts'
import { keyPartFromText } from '../../processors/feature/key-text.ts'
import type { ViewState } from '../../processors/feature/view-state.ts'
import type { CommitEvent } from '../../processors/task.ts'
import type { Assembly, RecoveryProgress } from '../../replay/assembly.ts'
import { adoptBackfill } from '../../replay/backfill-swap.ts'
import { stateDigest } from '../../replay/state-digest.ts'
import { ViewRegistry } from '../../replay/view-registry.ts'
import { lastCommit } from '../../state/commit/commit-log.ts'
import type { BoundContract } from '../../state/contracts/codec.ts'
import { EngineError } from '../../state/contracts/engine-error.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { Log, LogWriter } from '../../state/log/log.ts'
import type { Database } from '../../state/store/database.ts'
import type { DatabaseOperation } from '../../state/store/metered-database.ts'
import { packKey } from '../../state/store/packed-key.ts'
import { BetweenBatches } from './between-batches.ts'
import type { CallStatus } from './caller.ts'
import { Callers, type CallStandIns } from './callers.ts'
import type { CommitTimes } from './commit-times.ts'
import { type Appended, Door } from './door.ts'
import { type ExplainedPrediction, explained } from './explained-prediction.ts'
import { mergeBackfill } from './folder-replay.ts'
import { Generation } from './generation.ts'
import { Importer } from './importer.ts'
import { type InputLag, type InputStatus, inputLag, inputStatus } from './input-lag.ts'
import type { PendingRequests } from './pending-requests.ts'
import { PredictionIndex } from './prediction-index.ts'
import { type Serving, type ServingOptions, servingOf } from './serving.ts'
import { type SwapHost, type SwapOptions, type SwapReport, swapTopology } from './swap.ts'
import { type Wiring, wire } from './wire.ts'

export interface EngineOptions extends ServingOptions {
  readonly topology: Declaration
  /** What one of several tasks has of it (with `kafka`): the engine is that task's. */
  readonly part?: Declaration
  /** Folder of the log and the state; absent: in memory. */
  readonly data?: string
  /** Start although a view means something else than its version does on the log; the new meaning takes its place. */
  readonly acceptFeatureChanges?: boolean
  /** Wall clock in ms. */
  readonly now?: () => number
  /** In place of declared calls outside, by their names: for tests and trials. */
  readonly calls?: CallStandIns
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

const idleCheckpointMs = 1_000
/** How often a task that waits for others looks again. */
const heldBackMs = 100
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
  readonly recovered: RecoveryProgress
  readonly commitTimes: CommitTimes
  readonly #wiring: Wiring
  readonly #options: EngineOptions
  readonly #doorWriter: LogWriter
  readonly #now: () => number
  readonly #requests: PendingRequests
  readonly #assemble: SwapHost['assemble']
  #generation: Generation
  readonly #between = new BetweenBatches()
  readonly #callers: Callers
  #swapping: Promise<unknown> = Promise.resolve()
  #swapListeners: (() => void)[] = []
  #batchesBegun = 0
  #stopping = new AbortController()
  #running: Promise<void> | undefined
  #failure: unknown
  /** Called when the loop finds nothing to do, or ends. */
  #turned: (() => void)[] = []
  #isCaughtUp = false

  private constructor(
    options: EngineOptions,
    wiring: Wiring,
    doorWriter: LogWriter,
    assembly: Assembly,
    recovered: RecoveryProgress,
    now: () => number,
    { requests, commitTimes, assemble: assembleFor }: Serving,
  ) {
    this.#options = options
    this.#wiring = wiring
    this.#doorWriter = doorWriter
    this.recovered = recovered
    this.#now = now
    this.#requests = requests
    this.#assemble = assembleFor
    this.commitTimes = commitTimes
    this.#callers = new Callers(wiring.log, options.calls ?? {}, () => this.#turn())
    this.#generation = this.#generationOf(options.topology, assembly, wiring.database)
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const { topology, now = Date.now } = options
    const declaration = options.part ?? topology
    const { share } = declaration
    const wiring = await wire({
      ...(options.data === undefined ? {} : { data: options.data }),
      ...(options.kafka === undefined ? {} : { kafka: options.kafka }),
      ...(options.onNotice === undefined ? {} : { onNotice: options.onNotice }),
      app: topology.name,
      ...(share === undefined ? {} : { task: share.task, registersNone: share.ordinal > 0 }),
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
      const { log, registry, writer } = wiring
      const checkedViews = async () => {
        const views = await ViewRegistry.read(topology.name, log, registry)
        if (options.acceptFeatureChanges !== true) views.check(declaration)
        return views
      }
      // Before any state is folded. A standby holds its topology against the log when it takes over.
      if (options.standby === undefined) await checkedViews()
      const serving = servingOf(options, wiring, now)
      const { requests } = serving
      const assembly = await serving.assemble(declaration, wiring.database, () => true)
      const afterBatch = () => requests.clearNotes()
      const take = async () => {
        await wiring.take()
        await assembly.changelog?.lead()
      }
      const recovered = await (options.standby?.({ assembly, log, take, afterBatch }) ??
        assembly.recover(options.onRecovery))
      requests.clearNotes()
      if (options.kafka === undefined) await announceIfAnother(assembly, log)
      const views = await checkedViews()
      // Of the tasks that have the same views one tells of them.
      if ((share?.partition ?? 0) === 0) await views.register(declaration, writer, now())
      const door = await log.writer(options.door ?? 'door')
      return new Engine(options, wiring, door, assembly, recovered, now, serving)
    } catch (error) {
      await wiring.close()
      throw error
    }
  }

  /** What it runs; a swap gives it another one. */
  get declaration(): Declaration {
    return this.#generation.declaration
  }

  get assembly(): Assembly {
    return this.#generation.assembly
  }

  get importer(): Importer {
    return this.#generation.importer
  }

  get log(): Log {
    return this.#wiring.log
  }

  /**
   * Goes on with another topology at a position of the log, while it runs:
   * each record is the old one's or the new one's, none is left out. Its state
   * is that of the finished backfill in the data folder.
   *
   * @throws EngineError `swap-refused`, `feature-meaning-changed`
   */
  swap(topology: Declaration, options: SwapOptions = {}): Promise<SwapReport> {
    const swapped = this.#swapping.then(() => this.#swap(topology, options))
    this.#swapping = swapped.catch(() => {})
    return swapped
  }

  /** Calls the listener after each swap. */
  onSwap(listener: () => void): void {
    this.#swapListeners.push(listener)
  }

  /** Starts the loop. It runs until `stop`, or until it fails; `failed` and every later call tell. */
  run(): void {
    if (this.#running !== undefined) return
    this.#callers.start(this.assembly)
    const looping = this.#loop()
    this.#running = Promise.race([looping, this.#callers.failed])
      .catch((error) => {
        this.#failure = error
        this.#stopping.abort()
        this.#requests.rejectAll(error)
        this.#between.refuseAll(error)
        this.#turn()
        return looping.catch(() => {})
      })
      .finally(() => this.#callers.stop())
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
      if (await this.#isAllDone()) break
      await turned
    }
    await this.assembly.task.flush()
  }

  /** How the calls outside go. */
  calls(): Promise<readonly CallStatus[]> {
    return this.#callers.status()
  }

  /** Nothing is left to process, nor to ask; what came of the one may be for the other, so both are looked at until nothing moved. */
  async #isAllDone(): Promise<boolean> {
    const before = await this.inputs()
    if (before.some(({ lag }) => lag > 0) || !(await this.#callers.areSettled())) return false
    if ((this.declaration.calls ?? []).length === 0) return true
    const after = await this.inputs()
    return after.every(({ lag, position }, at) => lag === 0 && position === before[at]?.position)
  }

  /** Ends the loop after the batch in hand, commits, writes a checkpoint and closes everything. */
  async close(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.#between.refuseAll(new EngineError('engine-stopping', {}))
    await this.#swapping
    this.#requests.rejectAll(new EngineError('engine-stopping', {}))
    try {
      if (this.#failure === undefined) await this.assembly.task.close()
    } finally {
      await this.#doorWriter.close()
      await this.#wiring.close()
    }
  }

  /** Ends at once, without a checkpoint: the next start folds what is behind the last one again. */
  async abort(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.#between.refuseAll(new EngineError('engine-stopping', {}))
    await this.#swapping
    await this.#doorWriter.close()
    await this.#wiring.close()
  }

  /** See `Door.append`. */
  append(event: string, inputs: readonly unknown[]): Promise<readonly Appended[]> {
    return this.#generation.door.append(event, inputs)
  }

  /** See `Door.reinject`. */
  reinject(number: number): Promise<Appended> {
    return this.#generation.door.reinject(number)
  }

  /**
   * Asks a model: the trigger becomes an event, given its event time and
   * request id here if it has none, and the answer comes once the prediction
   * is durable on the log.
   */
  async predict(modelName: string, input: unknown): Promise<ExplainedPrediction> {
    const { model } = this.model(modelName)
    const { requestId, append } = this.#generation.door.request(model, input)
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
    const generation = this.#generation
    return await generation.read(async () => {
      // While one store loads the key another may let go of it.
      for (let missing = state.stores; missing.length > 0; ) {
        missing = missing.filter((store) => store.isMissing(packed))
        await Promise.all(missing.map((store) => store.prefetch(generation.database, [packed])))
      }
      return state.values(packed, queryMs)
    })
  }

  /** A past prediction by its request id; undefined if there is none. */
  async prediction(model: string, requestId: string): Promise<ExplainedPrediction | undefined> {
    const generation = this.#generation
    const found = await generation.read(() => generation.index.find(model, requestId))
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
  inputs(): Promise<readonly InputStatus[]> {
    return inputStatus(this.assembly.task, this.log)
  }

  /** What is on the log and not processed yet, by input. */
  lag(): Promise<readonly InputLag[]> {
    return inputLag(this.assembly.task, this.log, this.#now())
  }

  /** Tells of every call on the state's database from now on; returns what ends it. */
  listenToDatabase(listener: (operation: DatabaseOperation) => void): () => void {
    return this.#wiring.listenToDatabase(listener)
  }

  /** The engine's clock, ms. */
  now(): TimestampMs {
    return this.#now()
  }

  /** Digest of all state and of where it stands; writes a checkpoint first. Not while `run` has work. */
  async digest(): Promise<string> {
    await this.assembly.task.checkpoint()
    return stateDigest(this.#generation.database, this.assembly)
  }

  explain(prediction: Prediction): ExplainedPrediction {
    return explained(prediction, this.model(prediction.model).model, this.assembly.task.inputs)
  }

  #turn(): void {
    for (const resolve of this.#turned.splice(0)) resolve()
  }

  #view(name: string): ViewState {
    const state = this.assembly.views.get(name)
    if (state !== undefined) return state
    throw new EngineError('feature-view-unknown', {
      view: name,
      known: this.declaration.views.map((view) => view.name),
    })
  }

  #generationOf(declaration: Declaration, assembly: Assembly, database: Database): Generation {
    const { log } = this.#wiring
    const door = new Door({
      declaration,
      assembly,
      log,
      writer: this.#doorWriter,
      now: this.#now,
      checkRunning: () => {
        if (this.#failure !== undefined) throw this.#failure
      },
      onAppend: () => {
        this.#isCaughtUp = false
      },
    })
    const index = new PredictionIndex(log, database, assembly)
    return new Generation({
      declaration,
      assembly,
      database,
      door,
      index,
      importer: new Importer(log, assembly),
    })
  }

  async #swap(topology: Declaration, options: SwapOptions): Promise<SwapReport> {
    const { data, kafka, part } = this.#options
    if (kafka !== undefined || part !== undefined) {
      const detail = 'its log is on a cluster; start it with the other topology'
      throw new EngineError('swap-refused', { app: topology.name, detail })
    }
    const host: SwapHost = {
      wiring: this.#wiring,
      data,
      generation: this.#generation,
      now: this.#now,
      assemble: this.#assemble,
      betweenBatches: (work) => this.#betweenBatches(work),
      install: (declaration, assembly, database) => {
        this.#generation = this.#generationOf(declaration, assembly, database)
        this.#requests.rejectOthers(assembly.models)
        if (this.#running !== undefined) this.#callers.start(assembly)
        for (const listener of this.#swapListeners) listener()
      },
    }
    return await swapTopology(host, topology, options)
  }

  /** Runs something while the loop stands still between two batches. */
  async #betweenBatches<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#stopping.signal.aborted) throw new EngineError('engine-stopping', {})
    return await (this.#running === undefined ? work() : this.#between.do(work))
  }

  async #loop(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const woken = await this.#between.run()
      const { task } = this.assembly
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
      if (task.isHeldBack) {
        // Until another task commits; how long that may take is the gate's to say.
        await Promise.race([
          appended,
          aborted(woken),
          pause(heldBackMs, undefined, { signal }).catch(() => {}),
        ])
        continue
      }
      this.#isCaughtUp = true
      this.#turn()
      const idle = new AbortController()
      const timer = setTimeout(() => idle.abort(), idleCheckpointMs)
      await Promise.race([appended, aborted(idle.signal), aborted(woken)])
      clearTimeout(timer)
      if (idle.signal.aborted) {
        await task.checkpoint()
        await Promise.race([appended, aborted(woken)])
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
}

/** The log tells from which position on it is this topology, though no record comes. */
async function announceIfAnother({ engine, task, layout }: Assembly, log: Log): Promise<void> {
  const last = await lastCommit(log, engine.commit as BoundContract<object> as BoundContract<CommitEvent>)
  if (last === undefined || last.layout === layout) return
  const { durable } = await task.announce()
  await durable
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
