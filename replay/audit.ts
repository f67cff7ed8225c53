import type { Declaration } from '../models/declaration.ts'
import type { Prediction } from '../models/serving/model-part.ts'
import { ByteWriter } from '../state/contracts/byte-writer.ts'
import type { BoundContract } from '../state/contracts/codec.ts'
import type { TaskLayoutEvent } from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import { partitionOf } from '../state/log/partitioner.ts'
import type { RecordBatch } from '../state/log/record-batch.ts'
import type { Database } from '../state/store/database.ts'
import { assemble, type RecoveryProgress } from './assembly.ts'
import { LayoutEpochs } from './layout-epochs.ts'
import { onlyTask, recordedTasks } from './recorded-tasks.ts'
import { PositionFilter, type PositionRange } from './replay-range.ts'
import { taskIdOf } from './task-plan.ts'

export interface AuditOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  /** An empty database to fold into. */
  readonly database: Database
  /** Opens another one: for the second model's task and those behind it, where the application runs as several. */
  readonly scratch?: () => Promise<Database>
  /** Only this one of several tasks. */
  readonly onlyTask?: string
  readonly onProgress?: (progress: RecoveryProgress) => void
  /** How many differences are described; all are counted. */
  readonly describe?: number
  /** Compares only predictions from this event time on, and before that; all is folded still. */
  readonly fromMs?: TimestampMs
  readonly toMs?: TimestampMs
  /** Compares only predictions that were made at these places of the fold. */
  readonly positions?: PositionRange
}

/** One difference between what was served and what the log gives. */
export interface AuditMismatch {
  readonly model: string
  readonly requestId: string
  /** The first field that differs; a feature by its name. */
  readonly what: string
  readonly served: string
  readonly recomputed: string
  readonly trigger: string
}

interface AuditCounts {
  readonly predictions: number
  readonly mismatches: number
  /** Served predictions that the replay did not make, or the other way round. */
  readonly unpaired: number
}

export interface AuditReport extends AuditCounts {
  readonly examples: readonly AuditMismatch[]
  /** Served by other topologies than this one, before or behind a swap: they are not compared. Absent where there are none. */
  readonly ofOthers?: number
  /** Of an application of several tasks: those that have models. */
  readonly tasks?: readonly (AuditCounts & { readonly task: string })[]
}

/**
 * Recomputes every prediction of the log at its position, by folding the log
 * anew in the recorded interleaving, and compares it bit for bit with what
 * was served: features, weights' version, output and position. Of several
 * tasks it folds those that have models, one after the other. Where other
 * topologies worked on this log too, those predictions are compared that were
 * made by this one; where it never worked there, all are.
 *
 * @throws EngineError `task-plan-changed`, `task-unknown`
 */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const tasks = onlyTask(await recordedTasks(options.declaration, options.log), options.onlyTask)
  const [first] = tasks
  if (tasks.length === 1 && first!.share === undefined) return await auditTask(options, first!)
  const { describe = 10 } = options
  const reports: (AuditReport & { readonly task: string })[] = []
  const sum = (of: keyof AuditCounts) => reports.reduce((total, report) => total + report[of], 0)
  let records = 0
  for (const declaration of tasks.filter(({ models }) => models.length > 0)) {
    const database = reports.length === 0 ? options.database : await another(options)
    let done = 0
    const report = await auditTask(
      {
        ...options,
        database,
        describe: describe - reports.reduce((total, { examples }) => total + examples.length, 0),
        onProgress(progress) {
          done = progress.records
          options.onProgress?.({ ...progress, records: records + done })
        },
      },
      declaration,
    )
    records += done
    reports.push({ task: taskIdOf(declaration), ...report })
    if (database !== options.database) await database.close()
  }
  return {
    predictions: sum('predictions'),
    mismatches: sum('mismatches'),
    unpaired: sum('unpaired'),
    examples: reports.flatMap(({ examples }) => examples),
    tasks: reports.map(({ examples: _, ...counts }) => counts),
  }
}

async function another({ scratch }: AuditOptions): Promise<Database> {
  if (scratch !== undefined) return await scratch()
  throw new RangeError('audit: several tasks have models, so `scratch` must open an empty database for each')
}

async function auditTask(given: AuditOptions, declaration: Declaration): Promise<AuditReport> {
  const options = { ...given, declaration }
  const { log, describe = 10 } = options
  const made: Prediction[] = []
  const assembly = await assemble({ ...options, onPrediction: (prediction) => made.push(prediction) })
  const served = new ServedPredictions(
    log,
    assembly.engine.prediction as BoundContract<object> as BoundContract<Prediction>,
    assembly.declaration,
  )
  const { task, layout, engine } = assembly
  const epochs = await LayoutEpochs.read(log, engine.taskLayout as BoundContract<TaskLayoutEvent>, task.id)
  const isOwn = (at: string | undefined) => at === layout || at === undefined || !epochs.has(layout)
  await served.open((partition, offset) => isOwn(epochs.layoutOfPrediction(partition, offset)))
  const isAsked = await askedOf(options)
  let predictions = 0
  let mismatches = 0
  let unpaired = 0
  const examples: AuditMismatch[] = []
  await assembly.recover(options.onProgress, async () => {
    const batch = made.splice(0)
    if (!isOwn(epochs.layoutAt(task.position.sequence - 1))) return
    for (const prediction of batch) {
      const logged = await served.next(prediction)
      if (!isAsked(prediction)) continue
      predictions++
      const difference = logged && firstDifference(logged, prediction, declaration)
      if (logged === undefined) unpaired++
      if (logged !== undefined && difference === undefined) continue
      mismatches++
      if (examples.length < describe) {
        examples.push({
          model: prediction.model,
          requestId: prediction.requestId,
          trigger: `${prediction.triggerTopic}[${prediction.triggerPartition}]@${prediction.triggerOffset}`,
          ...(difference ?? { what: 'prediction', served: 'none', recomputed: 'made' }),
        })
      }
    }
  })
  const left = await served.left(isAsked)
  return {
    predictions,
    mismatches: mismatches + left,
    unpaired: unpaired + left,
    examples,
    ...(served.ofOthers > 0 ? { ofOthers: served.ofOthers } : {}),
  }
}

/** Whether a prediction is one of those that are to be compared. */
async function askedOf(options: AuditOptions): Promise<(prediction: Prediction) => boolean> {
  const { declaration, log, registry, positions } = options
  const { fromMs = Number.NEGATIVE_INFINITY, toMs = Number.POSITIVE_INFINITY } = options
  const filter = positions && (await PositionFilter.open(positions, { app: declaration.name, log, registry }))
  return ({ predictedAt, position }) =>
    predictedAt >= fromMs && predictedAt < toMs && (filter?.includes(position.offsets) ?? true)
}

interface ServedCursor {
  offset: bigint
  end: bigint
  batch: RecordBatch | undefined
  index: number
}

/** The logged predictions of each partition, of several tasks those of one, in order: the order in which a replay makes them. */
class ServedPredictions {
  readonly #log: Log
  readonly #bound: BoundContract<Prediction>
  readonly #task: string | undefined
  readonly #cursors: ServedCursor[]
  readonly #key = new ByteWriter(256)
  #isOwn: (partition: number, offset: number) => boolean = () => true
  /** Predictions that were passed over. */
  ofOthers = 0

  constructor(log: Log, bound: BoundContract<Prediction>, { partitions, share }: Declaration) {
    this.#log = log
    this.#bound = bound
    this.#task = share?.task
    this.#cursors = Array.from({ length: partitions }, () => ({
      offset: 0n,
      end: 0n,
      batch: undefined,
      index: 0,
    }))
  }

  /** The next logged prediction of the partition where this one belongs. */
  async next(prediction: Prediction): Promise<Prediction | undefined> {
    const key = this.#key
    key.reset()
    this.#bound.writeKey(prediction, key)
    const partition = partitionOf(key.bytes, 0, key.length, this.#cursors.length)
    while (await this.#fill(partition)) {
      const isOwn = this.#isOwn(partition, this.#offsetOf(this.#cursors[partition]!))
      const served = this.#take(this.#cursors[partition]!)
      if (!this.#isOfTask(served)) continue
      if (isOwn) return served
      this.ofOthers++
    }
    return undefined
  }

  #offsetOf({ batch, index }: ServedCursor): number {
    return Number(batch!.baseOffset) + batch!.offsetDeltas[index]!
  }

  #isOfTask({ position }: Prediction): boolean {
    return this.#task === undefined || position.task === this.#task
  }

  /** Goes to the start of each partition and notes where it ends now; passes over what is not its own. */
  async open(isOwn: (partition: number, offset: number) => boolean): Promise<void> {
    this.#isOwn = isOwn
    for (const [partition, cursor] of this.#cursors.entries()) {
      const { start, end } = await this.#log.offsets(this.#bound.contract.topic, partition)
      cursor.offset = start
      cursor.end = end
    }
  }

  /** How many predictions that were on the log at `open`, of those meant, were not asked for. */
  async left(isMeant: (prediction: Prediction) => boolean): Promise<number> {
    let count = 0
    for (const [partition, cursor] of this.#cursors.entries()) {
      while (await this.#fill(partition)) {
        const offset = this.#offsetOf(cursor)
        if (offset >= Number(cursor.end)) break
        const served = this.#take(cursor)
        if (!this.#isOfTask(served)) continue
        if (!this.#isOwn(partition, offset)) this.ofOthers++
        else if (isMeant(served)) count++
      }
    }
    return count
  }

  /** Returns whether there is another one. */
  async #fill(partition: number): Promise<boolean> {
    const cursor = this.#cursors[partition]!
    while (cursor.batch === undefined || cursor.index >= cursor.batch.count) {
      const { offset } = cursor
      cursor.batch = await this.#log.read({
        topic: this.#bound.contract.topic,
        partition,
        offset,
        maxBytes: 1 << 20,
      })
      cursor.offset = cursor.batch.nextOffset
      cursor.index = 0
      if (cursor.batch.count === 0 && cursor.offset === offset) return false
    }
    return true
  }

  #take(cursor: ServedCursor): Prediction {
    const { bytes, valueStart, valueEnd } = cursor.batch!
    const index = cursor.index++
    return this.#bound.readValue(bytes, valueStart[index]!, valueEnd[index]!)
  }
}

/** The first field in which a recomputed prediction differs from the served one; undefined where they agree to the last bit. */
export function firstDifference(
  served: Prediction,
  recomputed: Prediction,
  { models }: Declaration,
): { what: string; served: string; recomputed: string } | undefined {
  for (const field of ['model', 'requestId', 'modelVersion', 'featureSet', 'triggerTopic'] as const) {
    if (served[field] !== recomputed[field]) return difference(field, served[field], recomputed[field])
  }
  for (const field of ['triggerPartition', 'triggerOffset', 'predictedAt'] as const) {
    if (served[field] !== recomputed[field]) return difference(field, served[field], recomputed[field])
  }
  if (!Buffer.from(served.features).equals(recomputed.features)) {
    const columns = models.find(({ name }) => name === served.model)?.columns ?? []
    return differingFeature(served.features, recomputed.features, columns)
  }
  for (const field of ['output', 'variant', 'propensity'] as const) {
    if (!Object.is(served[field], recomputed[field])) {
      return difference(field, served[field], recomputed[field])
    }
  }
  const [values, again] = [String(served.scores), String(recomputed.scores)]
  if (values !== again) return difference('scores', values, again)
  const [left, right] = [served.position.offsets.join(','), recomputed.position.offsets.join(',')]
  return left === right ? undefined : difference('position', left, right)
}

function differingFeature(
  served: Uint8Array,
  recomputed: Uint8Array,
  columns: readonly string[],
): { what: string; served: string; recomputed: string } {
  const left = Buffer.from(served)
  const right = Buffer.from(recomputed)
  for (const [index, column] of columns.entries()) {
    const at = index * 8
    if (left.compare(right, at, at + 8, at, at + 8) !== 0) {
      return difference(`feature ${column}`, left.readDoubleLE(at), right.readDoubleLE(at))
    }
  }
  return difference('features', `${left.length} bytes`, `${right.length} bytes`)
}

const difference = (what: string, served: unknown, recomputed: unknown) => ({
  what,
  served: String(served),
  recomputed: String(recomputed),
})
