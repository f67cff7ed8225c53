import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Declaration } from '../models/declaration.ts'
import type { Expectations } from '../models/quality/expectation.ts'
import { QualityGate } from '../models/quality/quality-gate.ts'
import type { Failure, WindowVerdict } from '../models/quality/subject-quality.ts'
import { ModelPart, type Prediction } from '../models/serving/model-part.ts'
import { viewPart } from '../processors/feature/view-part.ts'
import { ViewState } from '../processors/feature/view-state.ts'
import { type DeadLetter, Graph, type GraphPart } from '../processors/graph.ts'
import type { StreamRecord } from '../processors/operator.ts'
import { Outputs } from '../processors/outputs.ts'
import { PartitionFeed, writerHeader } from '../processors/partition-feed.ts'
import { type CommitEvent, type InputGate, Task, type TaskOptions } from '../processors/task.ts'
import { type RefusedRecord, TaskInput, TaskRecord } from '../processors/task-input.ts'
import type { Changelog } from '../state/commit/changelog.ts'
import type { RestoreProgress } from '../state/commit/changelog-restore.ts'
import { readCommits, readLayouts } from '../state/commit/commit-log.ts'
import type { CommitStep } from '../state/commit/commit-protocol.ts'
import { type BoundContract, bindContract } from '../state/contracts/codec.ts'
import type { Contract } from '../state/contracts/contract.ts'
import {
  type EngineContracts,
  engineContracts,
  type TaskLayoutEvent,
} from '../state/contracts/engine-contracts.ts'
import { isEngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log, LogWriter, TopicSpec } from '../state/log/log.ts'
import type { RecordHeader } from '../state/log/record-batch.ts'
import type { Database } from '../state/store/database.ts'
import { type ChangelogOptions, openChangelog } from './task-changelog.ts'
import { commitPartition, taskIdOf } from './task-plan.ts'

/** Says which partitions of which topics a part of a fold reads. */
export type InputChoice = (topic: string, partition: number) => boolean

export interface AssemblyOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  readonly database: Database
  readonly task?: TaskOptions
  readonly onPrediction?: (prediction: Prediction) => void
  /** Told of every record that a function or an operator refused, muted or not. */
  readonly onRefused?: (record: StreamRecord, detail: string) => void
  /** Told of each alert of an expectation, muted or not. */
  readonly onExpectationFailed?: (failure: Failure) => void
  /** Told of each window of an expectation that was judged, muted or not. */
  readonly onVerdict?: (verdict: WindowVerdict) => void
  readonly onStep?: (step: CommitStep, sequence: number) => void
  /** Holds the task back for others that write its inputs. */
  readonly gate?: (engine: BoundEngineContracts) => InputGate
  /** Reads these of its inputs alone: a part of a fold whose other parts are elsewhere. */
  readonly reads?: InputChoice
  /** Keeps checkpoints on a topic of the log too, and restores the state from there. */
  readonly changelog?: ChangelogOptions
  /** A part that meets every record ahead of all others: it sees the views as they are before the record. */
  readonly observer?: (views: ReadonlyMap<string, ViewState>) => GraphPart
}

export interface RecoveryProgress {
  /** Batches followed, of all that are behind the last commit. */
  readonly commits: number
  readonly of: number
  readonly records: number
  /** How far the state is restored from the changelog, which comes before the first batch; absent where it is not. */
  readonly restore?: RestoreProgress
}

/**
 * One task of a declaration, put together: the same for the live runner, the
 * rebuild, the audit and the test kit. They differ in the database they fold
 * into and in who asks for the next batch.
 */
export interface Assembly {
  readonly declaration: Declaration
  readonly task: Task
  readonly graph: Graph
  readonly views: ReadonlyMap<string, ViewState>
  readonly models: ReadonlyMap<string, ModelPart>
  /** Contracts of the declared events by event name, bound to their schema ids. */
  readonly events: ReadonlyMap<string, BoundContract<object>>
  readonly engine: BoundEngineContracts
  readonly outputs: Outputs
  /** Names what the state is a fold of: inputs, stores, learners and expectations. */
  readonly layout: string
  /** Judges the records by the declared expectations. */
  readonly quality: QualityGate
  /** Of an engine on a cluster. */
  readonly changelog?: Changelog
  /** Brings the state from its checkpoint to the last commit on the log; `onBatch` is called after each batch of it. */
  recover(
    onProgress?: (progress: RecoveryProgress) => void,
    onBatch?: () => Promise<void>,
  ): Promise<RecoveryProgress>
}

export type BoundEngineContracts = { readonly [Name in keyof EngineContracts]: BoundContract<object> }

/** The topics of a declaration: its events and the engine's own. */
export function topicsOf(declaration: Declaration): readonly TopicSpec[] {
  const partitions = (contract: Contract) => contract.partitions ?? declaration.partitions
  const engine = engineContracts(declaration.name)
  return [
    ...declaration.events.map((contract) => ({
      name: contract.topic,
      partitions: partitions(contract),
      ...(contract.retentionMs === undefined ? {} : { retentionMs: contract.retentionMs }),
    })),
    ...Object.values(engine).map((contract: Contract) => ({
      name: contract.topic,
      partitions: partitionsOfOwn(contract, declaration),
    })),
  ]
}

/** Each task has its commits on a partition of its own. */
const partitionsOfOwn = ({ name }: Contract, { share, partitions }: Declaration): number =>
  name === 'commit' ? (share?.of ?? 1) : singlePartition.has(name) ? 1 : partitions

/** Low in volume, or ordered as a whole. */
const singlePartition = new Set([
  'task-layout',
  'feature-view',
  'dead-letter',
  'model-snapshot',
  'model-lifecycle',
  'alert',
  'drift-metric',
])

/** Creates the topics, binds the contracts and connects the graph. State is empty until `recover`. */
export async function assemble(options: AssemblyOptions): Promise<Assembly> {
  const { declaration, log, writer, registry, database } = options
  const topics = topicsOf(declaration)
  for (const topic of topics) await log.createTopic(topic)
  const partitionsOf = new Map(topics.map(({ name, partitions }) => [name, partitions]))

  const events = new Map<string, BoundContract<object>>()
  for (const contract of declaration.events) {
    events.set(contract.name, await bindContract(contract as Contract<object>, registry))
  }
  const engine = await bindEngine(declaration.name, registry)
  const outputs = new Outputs(writer.sink)
  const emitter = (bound: BoundContract<object>, headers?: readonly RecordHeader[]) =>
    outputs.emitter(bound, partitionsOf.get(bound.contract.topic) ?? 1, headers)

  const { share } = declaration
  const taskName = taskIdOf(declaration)
  const inputs = taskInputs(declaration, events, partitionsOf, log, options.reads)
  const views = new Map(declaration.views.map((view) => [view.name, new ViewState(view)]))
  const offsets = inputs.map(() => 0)
  const modelOutputs = {
    prediction: emitter(engine.prediction),
    label: emitter(engine.label),
    example: emitter(engine.example),
    snapshot: emitter(engine.modelSnapshot),
  }
  const models = new Map(
    declaration.models.map((model) => [
      model.name,
      new ModelPart({
        model,
        viewStates: views,
        outputs: modelOutputs,
        task: taskName,
        offsets,
        ...(options.onPrediction ? { onPrediction: options.onPrediction } : {}),
      }),
    ]),
  )
  const emitDeadLetter = deadLetterEmitter(emitter(engine.deadLetter))
  const written = share && [{ name: writerHeader, value: Buffer.from(share.task) }]
  const streams = declaration.streams.map((stream) =>
    stream.part(emitter(events.get(stream.sink.name) as BoundContract<object>, written)),
  )
  // Views come last: whoever reads features for an event reads what was there before it was folded.
  const observers = options.observer ? [options.observer(views)] : []
  const parts = [...observers, ...models.values(), ...streams, ...[...views.values()].map(viewPart)]
  const deadLetter: DeadLetter = (record, reason, detail) => {
    const cause = detail ?? `refused by an operator: ${reason}`
    emitDeadLetter(refusedRecord(record, reason, cause, inputs))
    options.onRefused?.(record, cause)
  }
  const emitAlert = emitter(engine.alert)
  const quality = new QualityGate({
    expectations: declaration.expectations,
    views,
    deadLetter,
    alert(failure) {
      emitAlert(alertOf(failure, { task: taskName, offsets: [...offsets] }), failure.atMs)
      options.onExpectationFailed?.(failure)
    },
    ...(options.onVerdict ? { onVerdict: options.onVerdict } : {}),
    isFollowing: () => outputs.muted,
  })
  const hasExpectations = declaration.expectations.length > 0
  const graph = new Graph(parts, deadLetter, views, hasExpectations ? quality : undefined)
  const layout = layoutOf(inputs, graph, models, declaration)
  const changelog =
    options.changelog &&
    (await openChangelog({
      ...options.changelog,
      app: declaration.name,
      task: taskName,
      tasks: share?.of ?? 1,
      partition: commitPartition(declaration),
      log,
      writer,
      database,
      commits: engine.commit as BoundContract<CommitEvent>,
      inputs,
      stores: graph.stores.map(({ name }) => name),
      layout,
      elapsedMs: options.task?.elapsedMs ?? (() => 0),
    }))
  const task = new Task({
    id: taskName,
    layout,
    inputs,
    offsets,
    graph,
    log,
    writer,
    database,
    ...(changelog ? { changelog } : {}),
    outputs,
    ...(options.gate ? { gate: options.gate(engine) } : {}),
    tellsWhenIdle: share !== undefined && share.beside.length > 0,
    emitCommit: outputs.emitterTo(engine.commit, commitPartition(declaration)),
    emitLayout: emitter(engine.taskLayout),
    predictionEnds: () => predictionEnds(log, engine.prediction.contract.topic, declaration.partitions),
    emitDeadLetter,
    ...(options.task ? { options: options.task } : {}),
    ...(options.onStep ? { onStep: options.onStep } : {}),
  })
  return {
    declaration,
    task,
    graph,
    views,
    models,
    events,
    engine,
    outputs,
    layout,
    quality,
    ...(changelog ? { changelog } : {}),
    async recover(onProgress, onBatch) {
      const { sequence } = await task.open()
      if (!options.changelog?.standby) await changelog?.lead()
      const place = { log, partition: commitPartition(declaration), engine }
      const followed = await recover(task, sequence, layout, place, onProgress, onBatch)
      return { ...followed, ...(changelog?.restored ? { restore: changelog.restored } : {}) }
    },
  }
}

async function predictionEnds(log: Log, topic: string, partitions: number): Promise<readonly number[]> {
  const numbers = Array.from({ length: partitions }, (_, partition) => partition)
  return Promise.all(numbers.map(async (partition) => Number((await log.offsets(topic, partition)).end)))
}

const commitsPerTurn = 16

/** Where a task's commits are. */
interface CommitPlace {
  readonly log: Log
  readonly partition: number
  readonly engine: BoundEngineContracts
}

async function recover(
  task: Task,
  sequence: number,
  layout: string,
  { log, partition, engine: { commit: commits, taskLayout } }: CommitPlace,
  onProgress?: (progress: RecoveryProgress) => void,
  onBatch?: () => Promise<void>,
): Promise<RecoveryProgress> {
  const layouts = await readLayouts(log, taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  const { end } = await log.offsets(commits.contract.topic, partition)
  const of = Math.max(0, Number(end) - sequence)
  let done = 0
  let records = 0
  const own = { log, partition, commits: commits as BoundContract<CommitEvent>, task: task.id }
  for await (const commit of readCommits(own, sequence)) {
    await task.follow(commit, layouts)
    await onBatch?.()
    // What is followed is on the log already, so it may be checkpointed at once.
    task.checkpointIfDue(Promise.resolve())
    done++
    records += commit.count
    onProgress?.({ commits: done, of, records })
    // Reading from a file system's cache never waits: without a turn of the event loop no checkpoint would reach the disk.
    if (done % commitsPerTurn === 0) await nextTurn()
  }
  if (!layouts.has(layout)) task.announceLayout()
  return { commits: done, of, records }
}

/** Only what somebody reads is an input: other events are on the log for whoever comes later. */
function taskInputs(
  declaration: Declaration,
  events: ReadonlyMap<string, BoundContract<object>>,
  partitionsOf: ReadonlyMap<string, number>,
  log: Log,
  reads: InputChoice = () => true,
): TaskInput[] {
  const inputs: TaskInput[] = []
  const read = new Set<Contract>([
    ...declaration.views.flatMap(({ sources }) => sources),
    ...declaration.models.flatMap(({ trigger, label }) => [trigger, label.from]),
    ...declaration.streams.flatMap(({ lineage }) => lineage.sources),
    ...declaration.expectations.flatMap(({ contract }) => (contract === undefined ? [] : [contract])),
  ])
  const { share, maxAheadMs } = declaration
  for (const [rank, contract] of declaration.events.entries()) {
    if (!read.has(contract)) continue
    const { topic } = contract
    const count = partitionsOf.get(topic) ?? 1
    const writers = share?.writers.get(topic)
    const partitions =
      share?.partition === undefined ? Array.from({ length: count }, (_, at) => at) : [share.partition]
    for (const partition of partitions) {
      if (!reads(topic, partition)) continue
      const spec = { topic, partition, rank, contract: events.get(contract.name)!, maxAheadMs }
      if (writers === undefined) {
        inputs.push(new TaskInput({ ...spec, index: inputs.length }, log))
        continue
      }
      const feed = new PartitionFeed(log, topic, partition)
      const fed = [...writers, undefined].map(
        (writer, at) =>
          new TaskInput(
            { ...spec, index: inputs.length + at, feed, ...(writer === undefined ? {} : { writer }) },
            log,
          ),
      )
      feed.connect(fed)
      inputs.push(...fed)
    }
  }
  return inputs
}

/**
 * Names what the state is a fold of: the inputs, the stores with their names
 * and layouts, and the learners. A change of any of them starts a new fold.
 */
function layoutOf(
  inputs: readonly TaskInput[],
  graph: Graph,
  models: ReadonlyMap<string, ModelPart>,
  { expectations }: Declaration,
): string {
  const parts = [
    ...inputs.map(({ name }) => name),
    ...graph.stores
      .map((store) => ('layoutId' in store ? `${store.name} ${store.layoutId}` : store.name))
      .sort(),
    ...[...models.values()].map(
      ({ model, learner }) => `${model.name} ${model.columns.join(',')} ${learner.name}`,
    ),
    ...expectations.map(layoutOfExpectations),
  ]
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16)
}

/** All of it: what is quarantined is no part of the fold, and what is counted is state. */
function layoutOfExpectations({ subject, windowMs, graceMs, list }: Expectations): string {
  const specs = list.map(({ name, spec }) =>
    JSON.stringify([name, spec], (_, value) => (value instanceof RegExp ? String(value) : value)),
  )
  return `quality ${subject} ${windowMs} ${graceMs} ${specs.join(' ')}`
}

function alertOf({ subject, expectation, message, value, bound, atMs }: Failure, position: object): object {
  const at = Math.max(0, atMs)
  return {
    subject,
    rule: expectation.name,
    severity: 'warning',
    message,
    value,
    threshold: bound,
    at,
    position,
  }
}

/** An operator's refusal: with the original bytes where the record is still the one of the log. */
function refusedRecord(
  record: StreamRecord,
  reason: string,
  cause: string,
  inputs: readonly TaskInput[],
): RefusedRecord {
  if (record instanceof TaskRecord) return record.refused(reason, cause)
  const { topic, partition, offset, timestampMs } = record
  const input = inputs.find((each) => each.topic === topic && each.partition === partition) ?? inputs[0]!
  const detail = `${cause}; made of the record at this offset`
  return { input, offset, timestampMs, reason, detail, schemaId: null, keyBytes: null, valueBytes: null }
}

async function bindEngine(app: string, registry: SchemaRegistry): Promise<BoundEngineContracts> {
  const contracts = engineContracts(app)
  const bound: Record<string, BoundContract<object>> = {}
  for (const [name, contract] of Object.entries(contracts)) {
    bound[name] = await bindContract(contract as unknown as Contract<object>, registry)
  }
  return bound as BoundEngineContracts
}

function deadLetterEmitter(emit: (event: object, atMs: number) => void): (refused: RefusedRecord) => void {
  return ({ input, offset, timestampMs, reason, detail, schemaId, keyBytes, valueBytes }) => {
    const { topic, partition } = input
    const at = Number.isFinite(timestampMs) && timestampMs >= 0 ? timestampMs : 0
    const letter = { topic, partition, offset, schemaId, reason, detail, key: keyBytes, value: valueBytes }
    try {
      emit({ ...letter, timestampMs, at }, at)
    } catch (error) {
      if (!isEngineError(error, 'record-too-large')) throw error
      const where = `${detail}; its bytes are too many for a dead letter, they are at this offset`
      emit({ ...letter, detail: where, key: null, value: null, timestampMs, at }, at)
    }
  }
}
