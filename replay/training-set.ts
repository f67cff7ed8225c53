import { extname } from 'node:path'
import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import { EngineError } from '../state/contracts/engine-error.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import type { Assembly, RecoveryProgress } from './assembly.ts'
import type { TableColumn, TableFormat } from './table-column.ts'
import { sweepUnfinished, TableFile } from './table-file.ts'
import type { FoldHorizon } from './training-set-fold.ts'
import type { LabelTally } from './training-set-labels.ts'
import { PositionRows, type PositionTally } from './training-set-position.ts'
import {
  canonicalJson,
  type Provenance,
  provenanceOf,
  topologyDigest,
  viewText,
} from './training-set-provenance.ts'
import type { DroppedRows, ShapeOptions } from './training-set-shape.ts'
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
  /** The only one unless given. */
  readonly model?: string
  /** Views that the log never knew, computed as of each row. */
  readonly features?: readonly FeatureView[]
  /** Field of an entity by which rows stay together in a split. */
  readonly group?: string
  /** Rows of predictions that have no label too. */
  readonly withUnlabelled?: boolean
  /** Rows of triggers that the model was never asked about, as it would have seen them. */
  readonly withUnserved?: boolean
  /** Folds so many batches of the log, as an earlier provenance says; all unless given. */
  readonly untilCommit?: number
  /** Rows of a row group, which are in memory at once. */
  readonly rowGroup?: number
  /** Refuses where a row differs from what was served. */
  readonly strict?: boolean
  readonly dryRun?: boolean
  readonly onProgress?: (progress: RecoveryProgress) => void
}

export interface TrainingSetReport {
  readonly mode: 'position'
  /** null: a dry run. */
  readonly path: string | null
  readonly format: TableFormat
  /** In a dry run, predictions on the log. */
  readonly rows: number
  readonly bytes: number
  readonly columns: readonly TableColumn[]
  readonly model: string
  readonly predictions: PositionTally
  readonly labels: LabelTally
  readonly dropped: DroppedRows
  /** Rows by label. */
  readonly classes: Readonly<Record<string, number>>
  /** Rows by split. */
  readonly splits: Readonly<Record<string, number>>
  readonly provenance: Provenance
}

const defaultRowGroup = 20_000

/**
 * A table of labels and features for training: one row for each labelled
 * prediction of a model, with the features as of its position, folded from
 * the log by the code that serves them.
 *
 * The file is written beside its name and renamed when it is whole and on the
 * disk. The same log, declaration and options give the same bytes.
 *
 * @throws EngineError `model-unknown`, `table-unwritable`, `training-set-refused`
 */
export async function trainingSet(options: TrainingSetOptions): Promise<TrainingSetReport> {
  const { declaration, rowGroup = defaultRowGroup } = options
  if (!(Number.isInteger(rowGroup) && rowGroup > 0)) {
    throw new RangeError(`a row group has at least one row, got ${rowGroup}`)
  }
  const format = options.format ?? formatOf(options.out)
  const model = modelOf(declaration, options.model)
  const views = (options.features ?? [])
    .filter((view) => !model.views.includes(view))
    .map((view) => boundView(view, declaration))
  const rows = await PositionRows.open({
    ...options,
    model,
    views,
    rowGroup,
    withUnlabelled: options.withUnlabelled ?? false,
    withUnserved: options.withUnserved ?? false,
  })
  const provenance = await provenanceFor(options, 'position', model, views, rows.assembly, rows.horizon)
  const report = (written: { path: string | null; rows: number; bytes: number }): TrainingSetReport => ({
    mode: 'position',
    ...written,
    format,
    columns: rows.columns,
    model: model.name,
    predictions: rows.tally,
    labels: rows.labels,
    dropped: rows.shape.dropped,
    classes: Object.fromEntries([...rows.shape.labels].sort(([one], [other]) => one - other)),
    splits: rows.shape.splits,
    provenance,
  })
  if (options.dryRun) {
    const { topic } = rows.assembly.engine.prediction.contract
    const count = await recordsOf(options.log, topic, declaration.partitions)
    return report({ path: null, rows: count, bytes: count * rows.columns.length * 8 })
  }
  let written = 0
  const file = await writeTable(options.out, format, rows.columns, async (open) => {
    await rows.run((columns) => {
      written += columns[0]!.length
      open.write(columns)
    })
    refuseMismatches(options, rows.tally)
    if (written === 0) throw nothingToWrite(rows, model)
    return metadataOf(provenance, report({ path: null, rows: written, bytes: 0 }))
  })
  return report({ path: file.path, rows: written, bytes: file.bytes })
}

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
  if (ending === 'parquet' || ending === 'csv' || ending === 'ndjson') return ending
  if (ending === 'jsonl') return 'ndjson'
  throw new RangeError(
    `"${path}" does not tell its format; end it in .parquet, .csv, .ndjson or .jsonl, or give the format`,
  )
}

/** Writes a whole table or nothing. */
async function writeTable(
  out: string,
  format: TableFormat,
  columns: readonly TableColumn[],
  fill: (file: TableFile) => Promise<Readonly<Record<string, string>>>,
): Promise<TableFile> {
  sweepUnfinished(out)
  const file = new TableFile(out, format, columns)
  try {
    file.finish(await fill(file))
  } catch (error) {
    file.abort()
    throw error
  }
  return file
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
  { task }: Assembly,
  horizon: FoldHorizon,
): Promise<Provenance> {
  const log: Record<string, readonly [number, number]> = {}
  for (const { topic, partition } of task.inputs) {
    const name = `${topic}[${partition}]`
    const { start } = await options.log.offsets(topic, partition)
    log[name] = [Number(start), horizon.ends.get(name) ?? 0]
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
      seed: options.seed,
      keep: options.keep && [...options.keep],
      classWeights: options.classWeights instanceof Map ? [...options.classWeights] : options.classWeights,
      split: options.split,
      group: options.group,
      withUnlabelled: options.withUnlabelled ?? false,
      withUnserved: options.withUnserved ?? false,
    },
    labelFile: null,
  })
}

/** What a reader of the file finds in it; the same for the same rows, so without its place and its size. */
function metadataOf(
  provenance: Provenance,
  { rows, predictions, labels, dropped, classes, splits }: Omit<TrainingSetReport, 'path' | 'bytes'>,
): Readonly<Record<string, string>> {
  return {
    'headwater.snapshot': provenance.snapshot,
    'headwater.provenance': canonicalJson(provenance),
    'headwater.counts': canonicalJson({ rows, predictions, labels, dropped, classes, splits }),
  }
}
