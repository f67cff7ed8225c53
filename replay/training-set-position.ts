import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import type { Prediction } from '../models/serving/model-part.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { TaskOptions } from '../processors/task.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import { type Assembly, assemble, type RecoveryProgress } from './assembly.ts'
import { type AuditMismatch, firstDifference } from './audit.ts'
import { readingFor } from './log-reading.ts'
import { inPositions, PositionFilter, type PositionRange } from './replay-range.ts'
import type { ColumnValues, TableColumn } from './table-column.ts'
import { type FoldHorizon, foldLog, readHorizon, refuseCommits, withTail } from './training-set-fold.ts'
import { type FoundLabel, LabelIndex, type LabelTally } from './training-set-labels.ts'
import { ServedPredictions } from './training-set-served.ts'
import { RowShape, type ShapedRow, type ShapeOptions } from './training-set-shape.ts'
import { distinctNames } from './training-set-views.ts'
import { entityFields, TriggerWatch } from './training-set-watch.ts'

export interface PositionOptions extends ShapeOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  readonly database: Database
  readonly model: Model
  /** Views beside the model's own, read at each row's position. */
  readonly views: readonly FeatureView[]
  readonly group?: string
  readonly withUnlabelled: boolean
  readonly withUnserved: boolean
  readonly untilCommit?: number
  readonly positions?: PositionRange
  readonly rowGroup: number
  readonly task?: TaskOptions
  readonly onProgress?: (progress: RecoveryProgress) => void
}

/** What came of the predictions of a model. */
export interface PositionTally {
  /** Made again at their positions. */
  predictions: number
  /** Compared with what was served, bit for bit. */
  compared: number
  mismatches: number
  /** Served under other columns than the model has now. */
  otherFeatures: number
  /** Made by the fold, and never served: the model is younger than the log, or they were refused. */
  unserved: number
  /** Served, and not made by the fold. */
  unmade: number
  labelled: number
  unlabelled: number
  /** Labels that came later than the model allows. */
  lateLabels: number
  correctedLabels: number
  /** Labels known before their prediction was made, by event time: a leak. */
  labelsBeforePrediction: number
  /** Labels that nobody gave: the model's `missing`. */
  missingLabels: number
  readonly examples: AuditMismatch[]
}

interface PositionRow {
  readonly made: Prediction
  readonly served: Prediction | undefined
  readonly entity: readonly unknown[]
  readonly extra: Float64Array
}

const describe = 10

/** Rows of the position mode: one for each prediction of a model, in the order in which they were made. */
export class PositionRows {
  readonly columns: readonly TableColumn[]
  readonly tally: PositionTally = {
    predictions: 0,
    compared: 0,
    mismatches: 0,
    otherFeatures: 0,
    unserved: 0,
    unmade: 0,
    labelled: 0,
    unlabelled: 0,
    lateLabels: 0,
    correctedLabels: 0,
    labelsBeforePrediction: 0,
    missingLabels: 0,
    examples: [],
  }
  readonly shape: RowShape
  readonly horizon: FoldHorizon
  readonly labels: LabelTally
  readonly assembly: Assembly
  /** Place of the first feature among the columns. */
  readonly #featuresFrom: number
  readonly #featureCount: number
  readonly #options: PositionOptions
  readonly #index: LabelIndex
  readonly #made: PositionRow[]
  readonly #served: ServedPredictions
  readonly #filter: PositionFilter | undefined

  private constructor(
    options: PositionOptions,
    assembly: Assembly,
    horizon: FoldHorizon,
    index: LabelIndex,
    shape: RowShape,
    made: PositionRow[],
    served: ServedPredictions,
    filter: PositionFilter | undefined,
  ) {
    this.#filter = filter
    this.#options = options
    this.assembly = assembly
    this.horizon = horizon
    this.#index = index
    this.labels = index.tally
    this.shape = shape
    this.#made = made
    this.#served = served
    this.columns = columnsOf(options, shape)
    this.#featureCount = featureNames(options).length
    const [first] = featureNames(options)
    this.#featuresFrom = Math.max(
      0,
      this.columns.findIndex(({ name }) => name === first),
    )
  }

  static async open(options: PositionOptions): Promise<PositionRows> {
    const { model, log, views, untilCommit } = options
    const { declaration, order } = await readingFor(options.declaration, { model }, options)
    refuseCommits(order, untilCommit)
    const made: PositionRow[] = []
    const watch = new TriggerWatch(model, views)
    const assembly = await assemble({
      ...options,
      // Other models and streams change nothing of what this model saw: what they emitted is on the log.
      declaration: {
        ...declaration,
        models: [model],
        streams: [],
        views: [...new Set([...model.views, ...views])],
      },
      observer: (states) => watch.connected(states),
      onPrediction: (prediction) =>
        made.push({
          made: prediction,
          served: undefined,
          entity: watch.entity(),
          extra: watch.extra(prediction.predictedAt),
        }),
    })
    const followed = await readHorizon(assembly, log, untilCommit)
    const horizon = order === 'recorded' ? followed : await withTail(followed, assembly, log)
    const index = await LabelIndex.read({
      declaration,
      model,
      log,
      contract: assembly.events.get(model.label.from.name)!,
      database: options.database,
      ends: horizon.tail ?? horizon.ends,
    })
    const { positions, registry } = options
    const filter =
      positions && (await PositionFilter.open(positions, { app: declaration.name, log, registry }))
    const balance =
      options.classWeights === 'balanced' ? await countLabels(options, assembly, index, filter) : undefined
    const served = await openServed(options, assembly)
    const shape = new RowShape(options, balance)
    return new PositionRows(options, assembly, horizon, index, shape, made, served, filter)
  }

  /** Folds the log and hands over the rows, a group at a time. */
  async run(write: (columns: readonly ColumnValues[]) => void): Promise<void> {
    const { rowGroup, withUnserved, untilCommit, onProgress, log } = this.#options
    let group: PositionRow[] = []
    const flush = async () => {
      const columns = await this.#shaped(group)
      group = []
      if (columns[0]!.length > 0) write(columns)
    }
    const inputs = this.assembly.task.inputs.map(({ name }) => name)
    await foldLog(this.assembly, {
      log,
      horizon: this.horizon,
      ...(onProgress ? { onProgress } : {}),
      onBatch: async (recorded) => {
        const places = recorded.map((name) => inputs.indexOf(name))
        for (const row of this.#made.splice(0)) {
          const served = await this.#served.match(row.made)
          this.#compare(row.made, served, places)
          if (served === undefined && !withUnserved) continue
          group.push({ ...row, served })
          if (group.length >= rowGroup) await flush()
        }
      },
    })
    await flush()
    if (untilCommit === undefined) for await (const _ of this.#served.rest()) this.tally.unmade++
  }

  /** `places` are the inputs that the live task had, as places among those of the fold. */
  #compare(made: Prediction, served: Prediction | undefined, places: readonly number[]): void {
    const { tally } = this
    tally.predictions++
    if (served === undefined) {
      tally.unserved++
      return
    }
    if (served.featureSet !== made.featureSet) {
      tally.otherFeatures++
      return
    }
    tally.compared++
    const { task, offsets } = served.position
    const position = {
      task,
      offsets: places.map((place, at) => made.position.offsets[place] ?? offsets[at]!),
    }
    const difference = firstDifference(served, { ...made, position }, this.#options.declaration)
    if (difference === undefined) return
    tally.mismatches++
    if (tally.examples.length >= describe) return
    const { model, requestId, triggerTopic, triggerPartition, triggerOffset } = made
    const trigger = `${triggerTopic}[${triggerPartition}]@${triggerOffset}`
    tally.examples.push({ model, requestId, trigger, ...difference })
  }

  /** Labels and shapes a group of rows: the columns of those that are kept. */
  async #shaped(rows: readonly PositionRow[]): Promise<readonly ColumnValues[]> {
    const from = this.#featuresFrom
    const features = Array.from({ length: this.#featureCount }, () => new Float64Array(rows.length))
    const others: unknown[][] = Array.from({ length: this.columns.length - features.length }, () => [])
    const found = await this.#index.find(rows.map(({ made }) => made))
    for (const [index, row] of rows.entries()) {
      const label = this.#labelOf(row.made, found[index])
      if (label === undefined) {
        this.tally.unlabelled++
        if (!this.#options.withUnlabelled) {
          this.shape.dropped.unlabelled++
          continue
        }
      } else this.tally.labelled++
      const { made } = row
      if (!this.#isAsked(row)) {
        this.shape.dropped.outsideRange++
        continue
      }
      const shaped = this.shape.take(shapeRow(made, label?.value ?? null, this.#options.group))
      if (shaped !== undefined) this.#put(features, others, row, label, shaped)
    }
    const kept = others[0]!.length
    return [
      ...others.slice(0, from),
      ...features.map((column) => column.subarray(0, kept)),
      ...others.slice(from),
    ]
  }

  /** Where the row was served its own position counts; else where the fold stood, which may have fewer inputs. */
  #isAsked({ made, served }: PositionRow): boolean {
    const { positions } = this.#options
    if (positions === undefined) return true
    if (served !== undefined) return this.#filter!.includes(served.position.offsets)
    const inputs = this.assembly.task.inputs.map(({ name }) => name)
    return inPositions(positions, inputs, made.position.offsets, Number.POSITIVE_INFINITY)
  }

  #labelOf(made: Prediction, found: FoundLabel | 'late' | undefined): FoundLabel | undefined {
    const { tally, horizon } = this
    if (found === 'late') tally.lateLabels++
    else if (found !== undefined) {
      if (found.corrected) tally.correctedLabels++
      if (found.labeledAt < made.predictedAt) tally.labelsBeforePrediction++
      return found
    }
    const { missing, withinMs } = this.#options.model.label
    const labeledAt = made.predictedAt + withinMs
    if (missing === undefined || labeledAt > horizon.streamTimeMs) return undefined
    tally.missingLabels++
    return { value: missing, labeledAt, corrected: false }
  }

  #put(
    features: readonly Float64Array[],
    others: readonly unknown[][],
    { made, served, entity, extra }: PositionRow,
    label: FoundLabel | undefined,
    shaped: ShapedRow,
  ): void {
    // What was served is what the model saw, even where the fold gives something else.
    const vector = served?.featureSet === made.featureSet ? served.features : made.features
    const numbers = new DataView(vector.buffer, vector.byteOffset, vector.byteLength)
    const own = numbers.byteLength / 8
    const row = others[0]!.length
    for (const [place, column] of features.entries()) {
      column[row] = place < own ? numbers.getFloat64(place * 8, true) : extra[place - own]!
    }
    let at = 0
    const put = (value: unknown) => others[at++]!.push(value)
    put(made.requestId)
    for (const part of entity) put(part)
    put(made.predictedAt)
    put(made.position.offsets)
    put(made.triggerPartition)
    put(made.triggerOffset)
    put(label?.value ?? null)
    put(label?.labeledAt ?? null)
    put(served === undefined ? null : orNull(served.output))
    put(served?.modelVersion ?? null)
    if (this.shape.hasWeight) put(shaped.weight)
    if (this.shape.hasSplit) put(shaped.split)
  }
}

const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value)

const openServed = ({ log, model, declaration }: PositionOptions, { engine }: Assembly) =>
  ServedPredictions.open(log, engine.prediction, model.name, declaration.partitions)

function shapeRow(made: Prediction, label: number | null, group: string | undefined) {
  return {
    id: made.requestId,
    atMs: made.predictedAt,
    label,
    group: group === undefined ? '' : (made.entityKeys[group] ?? ''),
  }
}

/** The labels of the rows that will be kept: what balanced weights are made of. */
async function countLabels(
  options: PositionOptions,
  assembly: Assembly,
  index: LabelIndex,
  filter: PositionFilter | undefined,
): Promise<ReadonlyMap<number, number>> {
  const shape = new RowShape({ ...options, classWeights: new Map() })
  let chunk: Prediction[] = []
  const flush = async () => {
    const found = await index.find(chunk)
    for (const [at, made] of chunk.entries()) {
      const label = found[at]
      if (label !== undefined && label !== 'late') shape.take(shapeRow(made, label.value, options.group))
    }
    chunk = []
  }
  for await (const prediction of (await openServed(options, assembly)).rest()) {
    if (filter?.includes(prediction.position.offsets) === false) continue
    chunk.push(prediction)
    if (chunk.length >= options.rowGroup) await flush()
  }
  await flush()
  return shape.labels
}

const featureNames = ({ model, views }: Pick<PositionOptions, 'model' | 'views'>): readonly string[] =>
  distinctNames([...model.columns, ...views.flatMap((view) => [...view.features.keys()])])

function columnsOf({ model, views }: PositionOptions, shape: RowShape): readonly TableColumn[] {
  const features = featureNames({ model, views })
  const before: readonly TableColumn[] = [
    { name: 'requestId', type: 'string' },
    ...entityFields(model, views).map(({ name, type }) => ({ name, type })),
    { name: 'eventTime', type: 'timestamp' },
    { name: 'position', type: 'longs' },
    { name: 'triggerPartition', type: 'long' },
    { name: 'triggerOffset', type: 'long' },
  ]
  const after: readonly TableColumn[] = [
    { name: 'label', type: 'double' },
    { name: 'labeledAt', type: 'timestamp' },
    { name: 'prediction', type: 'double' },
    { name: 'modelVersion', type: 'long' },
    ...(shape.hasWeight ? [{ name: 'weight', type: 'double' } as const] : []),
    ...(shape.hasSplit ? [{ name: 'split', type: 'string' } as const] : []),
  ]
  const names = distinctNames(
    [...before, ...after].map(({ name }) => name),
    features,
  )
  const named = [...before, ...after].map(({ type }, index): TableColumn => ({ name: names[index]!, type }))
  return [
    ...named.slice(0, before.length),
    ...features.map((name): TableColumn => ({ name, type: 'double' })),
    ...named.slice(before.length),
  ]
}
