import { extname } from 'node:path'
import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { TaskOptions } from '../processors/task.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import type { RecoveryProgress } from './assembly.ts'
import type { PositionRange } from './replay-range.ts'
import type { TableColumn, TableFormat, TableReader } from './table-column.ts'
import { sweepUnfinished, TableFile } from './table-file.ts'
import { fileDigest, openTable } from './table-reader.ts'
import { TopicTable } from './table-reader-topic.ts'
import type { InputTally } from './training-set-input.ts'
import type { LabelTally } from './training-set-labels.ts'
import { PositionRows, type PositionTally } from './training-set-position.ts'
import {
  canonicalJson,
  type Provenance,
  provenanceOf,
  topologyDigest,
  viewText,
} from './training-set-provenance.ts'
import type { DroppedRows, RowShape, ShapeOptions } from './training-set-shape.ts'
import { TimeRows } from './training-set-time.ts'
import type { LabelFile, LabelTopic } from './training-set-time-options.ts'
import { boundView } from './training-set-views.ts'

export interface TrainingSetOptions extends ShapeOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  /** An empty database to fold into. */
  readonly database: Database
  /** The file; its ending is the format unless `format` says so. */
  readonly out: string
  readonly format?: TableFormat
  /** A file or declared events, whose rows want features as of a time, in place of a model's predictions. */
  readonly labels?: LabelFile | LabelTopic
  /** Whose predictions are the rows, the only one unless given; with `labels`, whose columns are wanted. */
  readonly model?: string
  /** Views that the log never knew, computed as of each row. */
  readonly features?: readonly FeatureView[]
  /** Field of an entity by which rows stay together in a split. */
  readonly group?: string
  /** Rows of predictions that have no label too. */
  readonly withUnlabelled?: boolean
  /** Rows of triggers that the model was never asked about, as it would have seen them. */
  readonly withUnserved?: boolean
  /** Only rows that were predicted at these places of the fold; not with `labels`. */
  readonly positions?: PositionRange
  /** Folds so many batches of the log, as an earlier provenance says; all unless given. */
  readonly untilCommit?: number
  /** Rows of a row group, which are in memory at once. */
  readonly rowGroup?: number
  /** Refuses where a row differs from what was served. */
  readonly strict?: boolean
  readonly dryRun?: boolean
  /** How the fold keeps its state. */
  readonly task?: TaskOptions
  readonly onProgress?: (progress: RecoveryProgress) => void
}

interface ReportBase {
  /** null: a dry run. */
  readonly path: string | null
  readonly format: TableFormat
  /** In a dry run, the predictions on the log or the rows of the label file. */
  readonly rows: number
  readonly bytes: number
  readonly columns: readonly TableColumn[]
  readonly dropped: DroppedRows
  /** Rows by label. */
  readonly classes: Readonly<Record<string, number>>
  /** Rows by split. */
  readonly splits: Readonly<Record<string, number>>
  readonly provenance: Provenance
}

export interface PositionReport extends ReportBase {
  readonly mode: 'position'
  readonly model: string
  readonly predictions: PositionTally
  readonly labels: LabelTally
}

export interface TimeReport extends ReportBase {
  readonly mode: 'time'
  /** What the rows of the label file were like. */
  readonly input: InputTally
  /** How long rows waited for late events, in event time. */
  readonly waitMs: number
}

export type TrainingSetReport = PositionReport | TimeReport

const defaultRowGroup = 20_000

/** The fold starts anew if it is broken off, so checkpoints are for its memory's sake alone: few will do. */
const foldTask: TaskOptions = { checkpointEvents: 2_000_000, checkpointMs: Number.POSITIVE_INFINITY }

/**
 * A table of labels and features for training, folded from the log by the
 * code that serves the features.
 *
 * Without `labels` there is a row for each labelled prediction of a model,
 * with the features as of its position: bit for bit what it saw. With
 * `labels` each row of that file is kept once, in its order, with the
 * features as of its time: windows hold events before it, lookups events up
 * to it, of those that had come when the event time passed it by `waitMs`.
 *
 * The file is written beside its name and renamed when it is whole and on the
 * disk. The same log, declaration and options give the same bytes.
 *
 * @throws EngineError `model-unknown`, `table-unreadable`, `table-unwritable`, `training-set-refused`
 */
export async function trainingSet(options: TrainingSetOptions): Promise<TrainingSetReport> {
  const { declaration, rowGroup = defaultRowGroup } = options
  if (!(Number.isInteger(rowGroup) && rowGroup > 0)) {
    throw new RangeError(`a row group has at least one row, got ${rowGroup}`)
  }
  const format = options.format ?? formatOf(options.out)
  sweepUnfinished(options.out)
  const { features = [] } = options
  const settled = { ...options, rowGroup, format, task: { ...foldTask, ...options.task } }
  return options.labels === undefined
    ? byPosition(settled, modelOf(declaration, options.model), features)
    : byTime(settled, options.labels, features)
}

type Settled = TrainingSetOptions & { readonly rowGroup: number; readonly format: TableFormat }

async function byPosition(
  options: Settled,
  model: Model,
  features: readonly FeatureView[],
): Promise<PositionReport> {
  const { declaration, format } = options
  const views = features
    .filter((view) => !model.views.includes(view))
    .map((view) => boundView(view, declaration))
  const rows = await PositionRows.open({
    ...options,
    model,
    views,
    withUnlabelled: options.withUnlabelled ?? false,
    withUnserved: options.withUnserved ?? false,
  })
  const provenance = await provenanceFor(options, 'position', model, views, rows, null)
  const report = (written: Written): PositionReport => ({
    mode: 'position',
    ...written,
    format,
    columns: rows.columns,
    model: model.name,
    predictions: rows.tally,
    labels: rows.labels,
    ...shapeOf(rows.shape),
    provenance,
  })
  if (options.dryRun) {
    const { topic } = rows.assembly.engine.prediction.contract
    const count = await recordsOf(options.log, topic, declaration.partitions)
    return report({ path: null, rows: count, bytes: count * rows.columns.length * 8 })
  }
  return writeTable(options, rows, provenance, report, (written) => {
    refuseMismatches(options, rows.tally)
    if (written === 0) throw nothingToWrite(rows, model)
  })
}

async function byTime(
  options: Settled,
  labels: LabelFile | LabelTopic,
  features: readonly FeatureView[],
): Promise<TimeReport> {
  const { declaration, format, model: name, ...rest } = options
  const model = name === undefined ? undefined : modelOf(declaration, name)
  const table = await tableOf(options, labels)
  const rows = await TimeRows.open({
    ...rest,
    declaration,
    table,
    labels:
      table instanceof TopicTable
        ? { time: table.contract.timeField, ...labels, path: `event "${table.contract.name}"` }
        : (labels as LabelFile),
    ...(model === undefined ? {} : { model }),
    extraViews: features.map((view) => boundView(view, declaration)),
  })
  try {
    const digest =
      table instanceof TopicTable ? canonicalJson(table.range) : await fileDigest((labels as LabelFile).path)
    const provenance = await provenanceFor(options, 'time', model ?? null, rows.views, rows, digest)
    const report = (written: Written): TimeReport => ({
      mode: 'time',
      ...written,
      format,
      columns: rows.columns,
      input: rows.tally,
      waitMs: rows.waitMs,
      ...shapeOf(rows.shape),
      provenance,
    })
    refuseInput(options, rows.tally)
    if (options.dryRun) {
      const { rows: count } = rows.tally
      return report({ path: null, rows: count, bytes: count * rows.columns.length * 8 })
    }
    return await writeTable(options, rows, provenance, report, () => refuseInput(options, rows.tally))
  } finally {
    rows.close()
  }
}

const tableOf = (
  { declaration, log, registry }: Settled,
  labels: LabelFile | LabelTopic,
): Promise<TableReader> =>
  'event' in labels
    ? TopicTable.open(declaration, labels.event, log, registry)
    : openTable(labels.path, labels.format ?? formatOf(labels.path.replace(/\.gz$/, '')))

interface Written {
  readonly path: string | null
  readonly rows: number
  readonly bytes: number
}

const shapeOf = ({ dropped, labels, splits }: RowShape) => ({
  dropped,
  classes: Object.fromEntries([...labels].sort(([one], [other]) => one - other)),
  splits,
})

function modelOf({ models }: Declaration, name: string | undefined): Model {
  const known = models.map((model) => model.name)
  const found =
    name === undefined
      ? models.length === 1
        ? models[0]
        : undefined
      : models.find((model) => model.name === name)
  if (found !== undefined) return found
  if (name !== undefined) throw new EngineError('model-unknown', { model: name, known })
  throw new RangeError(`say which model's predictions are the rows: ${known.join(', ') || 'there are none'}`)
}

export function formatOf(path: string): TableFormat {
  const ending = extname(path).slice(1).toLowerCase()
  if (ending === 'parquet' || ending === 'avro' || ending === 'csv' || ending === 'ndjson') return ending
  if (ending === 'jsonl') return 'ndjson'
  throw new RangeError(
    `"${path}" does not tell its format; end it in .parquet, .avro, .csv, .ndjson or .jsonl, or give the format`,
  )
}

/** Writes a whole table or nothing. */
async function writeTable<Report extends TrainingSetReport>(
  { out, format }: Settled,
  rows: PositionRows | TimeRows,
  provenance: Provenance,
  report: (written: Written) => Report,
  check: (written: number) => void,
): Promise<Report> {
  const file = new TableFile(out, format, rows.columns)
  let written = 0
  try {
    await rows.run((columns) => {
      written += columns[0]!.length
      file.write(columns)
    })
    check(written)
    file.finish(metadataOf(provenance, report({ path: null, rows: written, bytes: 0 })))
  } catch (error) {
    file.abort()
    throw error
  }
  return report({ path: file.path, rows: written, bytes: file.bytes })
}

function refuseInput({ strict = false }: TrainingSetOptions, tally: InputTally): void {
  if (!strict) return
  const { nullKey, unreadableKey, nullTime, unreadableTime, beforeLog, afterLog, functionFailed } = tally
  const bad = { nullKey, unreadableKey, nullTime, unreadableTime, beforeLog, afterLog, functionFailed }
  const found = Object.entries(bad).filter(([, count]) => count > 0)
  if (found.length === 0) return
  throw new EngineError('training-set-refused', {
    found: `of ${tally.rows} rows ${found.map(([reason, count]) => `${count} ${reason}`).join(', ')}`,
    expected: 'mend the rows, or leave --strict out to keep them with the features that there are',
  })
}

function refuseMismatches(
  { strict = false }: TrainingSetOptions,
  { mismatches, examples, unmade }: PositionTally,
): void {
  if (!strict || mismatches + unmade === 0) return
  const [first] = examples
  const what =
    first && `; first ${first.requestId}: ${first.what} was ${first.served}, recomputed ${first.recomputed}`
  throw new EngineError('training-set-refused', {
    found: `${mismatches} predictions differ from what was served and ${unmade} could not be made again${what ?? ''}`,
    expected:
      'expected none; look at one with "replay explain", or leave --strict out to take what was served',
  })
}

function nothingToWrite({ tally, shape }: PositionRows, model: Model): EngineError<'training-set-refused'> {
  const { dropped } = shape
  const left = Object.entries(dropped).map(([reason, count]) => `${reason} ${count}`)
  const advice =
    tally.predictions > 0 && tally.unserved === tally.predictions
      ? 'none of them was served; add withUnserved (--with-unserved) for the rows that it would have seen'
      : dropped.unlabelled > 0
        ? 'add withUnlabelled (--with-unlabelled) for rows without a label'
        : 'widen the range, or run the topology first'
  return new EngineError('training-set-refused', {
    found: `no row is left of ${tally.predictions} predictions of "${model.name}" (${left.join(', ')})`,
    expected: advice,
  })
}

async function recordsOf(log: Log, topic: string, partitions: number): Promise<number> {
  let count = 0
  for (let partition = 0; partition < partitions; partition++) {
    const { start, end } = await log.offsets(topic, partition)
    count += Number(end - start)
  }
  return count
}

async function provenanceFor(
  options: TrainingSetOptions,
  mode: string,
  model: Model | null,
  views: readonly FeatureView[],
  { assembly: { task }, horizon }: PositionRows | TimeRows,
  labelSource: string | null,
): Promise<Provenance> {
  const log: Record<string, readonly [number, number]> = {}
  for (const { name, topic, partition } of task.inputs) {
    const { start } = await options.log.offsets(topic, partition)
    log[name] = [Number(start), (horizon.tail ?? horizon.ends).get(name) ?? 0]
  }
  return provenanceOf({
    topology: options.declaration.name,
    topologyDigest: topologyDigest(options.declaration),
    mode,
    model: model?.name ?? null,
    views: views.map((view) => canonicalJson(viewText(view))),
    commits: horizon.commits,
    log,
    options: {
      fromMs: options.fromMs,
      toMs: options.toMs,
      positions: options.positions,
      seed: options.seed,
      keep: options.keep && [...options.keep],
      classWeights: options.classWeights instanceof Map ? [...options.classWeights] : options.classWeights,
      split: options.split,
      group: options.group,
      labels: options.labels && { ...options.labels, path: undefined },
      withUnlabelled: options.withUnlabelled ?? false,
      withUnserved: options.withUnserved ?? false,
    },
    labelSource,
  })
}

/** What a reader of the file finds in it; the same for the same rows, so without its place and its size. */
function metadataOf(provenance: Provenance, report: TrainingSetReport): Readonly<Record<string, string>> {
  const { rows, dropped, classes, splits } = report
  const counts =
    report.mode === 'position'
      ? { predictions: report.predictions, labels: report.labels }
      : { input: report.input, waitMs: report.waitMs }
  return {
    'headwater.snapshot': provenance.snapshot,
    'headwater.provenance': canonicalJson(provenance),
    'headwater.counts': canonicalJson({ rows, ...counts, dropped, classes, splits }),
  }
}
