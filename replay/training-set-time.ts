import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { type Assembly, assemble } from './assembly.ts'
import { readingFor } from './log-reading.ts'
import type { ColumnType, ColumnValues, TableChunk, TableColumn, TableReader } from './table-column.ts'
import { columnsOfTable, columnValue } from './table-reader.ts'
import { RowAsker } from './training-set-asker.ts'
import { type FoldHorizon, foldLog, readHorizon, refuseCommits, withTail } from './training-set-fold.ts'
import { type InputTally, newInputTally, timeReader, unitDoubt } from './training-set-input.ts'
import { RowShape } from './training-set-shape.ts'
import { AnswerFile, SortedRows } from './training-set-spill.ts'
import { fieldsOf, type RowField, viewsOf } from './training-set-time-fields.ts'
import type { TimeOptions } from './training-set-time-options.ts'
import { distinctNames } from './training-set-views.ts'

/** Rows of the time mode: every row of a file once, in its order, with features as of its time. */
export class TimeRows {
  readonly columns: readonly TableColumn[]
  readonly tally: InputTally
  readonly shape: RowShape
  readonly horizon: FoldHorizon
  readonly assembly: Assembly
  readonly views: readonly FeatureView[]
  readonly waitMs: DurationMs
  readonly #options: TimeOptions
  readonly #table: TableReader
  readonly #rows: SortedRows
  readonly #asker: RowAsker
  readonly #answers: AnswerFile
  readonly #timeOf: (value: unknown) => TimestampMs | string

  private constructor(parts: {
    readonly options: TimeOptions
    readonly table: TableReader
    readonly rows: SortedRows
    readonly tally: InputTally
    readonly shape: RowShape
    readonly asker: RowAsker
    readonly answers: AnswerFile
    readonly assembly: Assembly
    readonly horizon: FoldHorizon
    readonly views: readonly FeatureView[]
  }) {
    this.#options = parts.options
    this.#table = parts.table
    this.#rows = parts.rows
    this.#asker = parts.asker
    this.#answers = parts.answers
    this.tally = parts.tally
    this.shape = parts.shape
    this.assembly = parts.assembly
    this.horizon = parts.horizon
    this.views = parts.views
    this.waitMs = parts.asker.waitMs
    this.#timeOf = timeReader(parts.options.labels.timeUnit)
    this.columns = outputColumns(parts.table, parts.options, parts.views, parts.shape)
  }

  /** Reads the file once: what its rows ask for, sorted by time. */
  static async open(options: TimeOptions): Promise<TimeRows> {
    const { labels, log, out, table } = options
    const views = viewsOf(options, table)
    const fields = fieldsOf(options, views, table)
    const waitMs = waitOf(labels.waitMs, views)
    const rows = new SortedRows(out)
    let answers: AnswerFile | undefined
    try {
      const tally = newInputTally()
      const balance = await readRows(options, table, fields, rows, tally)
      const asker = new RowAsker(rows, fields, waitMs, tally)
      const { declaration, order } = await readingFor(options.declaration, { views }, options)
      refuseCommits(order, options.untilCommit)
      const assembly = await assemble({
        ...options,
        declaration: { ...declaration, models: [], streams: [], views },
        observer: (states) => asker.connected(states, views, options.model),
      })
      const followed = await readHorizon(assembly, log, options.untilCommit)
      const horizon = options.untilCommit === undefined ? await withTail(followed, assembly, log) : followed
      tally.firstEventMs = await firstEventOf(assembly, log)
      refuseOtherUnit(options, tally)
      answers = new AnswerFile(out, asker.width)
      asker.answers = answers
      const shape = new RowShape(options, balance)
      return new TimeRows({ options, table, rows, tally, shape, asker, answers, assembly, horizon, views })
    } catch (error) {
      rows.close()
      answers?.close()
      throw error
    }
  }

  /** Folds the log, answers the rows in order of time, and hands them over in input order. */
  async run(write: (columns: readonly ColumnValues[]) => void): Promise<void> {
    const { log, database, onProgress } = this.#options
    await foldLog(this.assembly, {
      log,
      horizon: this.horizon,
      ...(onProgress ? { onProgress } : {}),
      onBatch: () => this.#asker.throwFailure(),
    })
    // A checkpoint that ends while rows are answered would put keys out of the memory that they need.
    const stores = this.assembly.graph.stores.filter((store) => 'isComplete' in store)
    if (stores.some(({ isComplete }) => !isComplete)) await this.assembly.task.checkpoint()
    await this.#asker.answerRest(database)
    await this.#write(write)
  }

  close(): void {
    this.#rows.close()
    this.#answers.close()
  }

  async #write(write: (columns: readonly ColumnValues[]) => void): Promise<void> {
    const { rowGroup } = this.#options
    const given = this.#table.names
    const types = given.map((name) => this.#table.typeOf(name))
    const { width } = this.#asker
    const first = given.length
    const columns = this.columns.map(({ type }) =>
      type === 'double' ? new Float64Array(rowGroup) : new Array<unknown>(rowGroup).fill(null),
    )
    let count = 0
    const flush = () => {
      if (count > 0) write(columns.map((column) => filled(column, count)))
      count = 0
    }
    let index = 0
    for await (const chunk of this.#table.chunks({ asTyped: true })) {
      const values = given.map((name) => chunk.columns.get(name)!)
      const answers = this.#answers.read(index, chunk.count)
      const { rows, weights, splits } = this.#kept(chunk, index)
      index += chunk.count
      for (let from = 0; from < rows.length; ) {
        const part = rows.subarray(from, from + rowGroup - count)
        for (let place = 0; place < first; place++) {
          putValues(columns[place]!, count, types[place]!, values[place]!, part)
        }
        putAnswers(columns, first, count, answers, width, part)
        const ends = [this.shape.hasWeight ? weights : [], this.shape.hasSplit ? splits : []]
        for (const [place, end] of ends.filter(({ length }) => length > 0).entries()) {
          const column = columns[first + width + place]!
          for (let row = 0; row < part.length; row++) column[count + row] = end[from + row]!
        }
        from += part.length
        count += part.length
        if (count === rowGroup) flush()
      }
    }
    flush()
  }

  /** The rows of a chunk that are kept, by their places in it. */
  #kept({ count, columns }: TableChunk, index: number) {
    const times = columns.get(this.#options.labels.time)!
    const rows: number[] = []
    const weights: number[] = []
    const splits: (string | null)[] = []
    for (let row = 0; row < count; row++) {
      const time = this.shape.needsTime ? this.#timeOf(times[row]) : 'null'
      const atMs = typeof time === 'number' ? time : Number.NaN
      const shaped = this.shape.take(shapeRow(this.#options, columns, row, index + row, atMs))
      if (shaped === undefined) continue
      rows.push(row)
      weights.push(shaped.weight)
      splits.push(shaped.split)
    }
    return { rows: Uint32Array.from(rows), weights, splits }
  }
}

/** A column of a group that may not be full. */
const filled = (column: OutColumn, count: number): ColumnValues =>
  column instanceof Float64Array
    ? column.subarray(0, count)
    : count === column.length
      ? column
      : column.slice(0, count)

type OutColumn = unknown[] | Float64Array

/** Puts values of some rows into a column, from `at` on. */
function putValues(
  column: OutColumn,
  at: number,
  type: ColumnType,
  values: readonly unknown[],
  rows: Uint32Array,
): void {
  for (let row = 0; row < rows.length; row++) {
    const value = columnValue(type, values[rows[row]!])
    if (column instanceof Float64Array) column[at + row] = value === null ? Number.NaN : (value as number)
    else column[at + row] = value
  }
}

/** The same for the features; rows without an answer have none. */
function putAnswers(
  columns: readonly OutColumn[],
  first: number,
  at: number,
  answers: Float64Array,
  width: number,
  rows: Uint32Array,
): void {
  const features = columns.slice(first, first + width) as Float64Array[]
  for (let row = 0; row < rows.length; row++) {
    const start = rows[row]! * (width + 1)
    const isAnswered = answers[start] === 1
    for (let place = 0; place < width; place++) {
      features[place]![at + row] = isAnswered ? answers[start + 1 + place]! : Number.NaN
    }
  }
}

function waitOf(given: DurationMs | undefined, views: readonly FeatureView[]): DurationMs {
  const most = Math.min(...views.map(({ disorderMs }) => disorderMs))
  if (given === undefined) return most
  if (given >= 0 && given <= most) return given
  throw new RangeError(
    `rows can wait at most ${most} ms for late events, the least disorder of their views; got ${given}. Declare a larger disorder`,
  )
}

function outputColumns(
  table: TableReader,
  { model, extraViews }: TimeOptions,
  views: readonly FeatureView[],
  shape: RowShape,
): readonly TableColumn[] {
  const given = columnsOfTable(table)
  const read = model === undefined ? views : extraViews
  const names = [...(model?.columns ?? []), ...read.flatMap((view) => [...view.features.keys()])]
  const features = distinctNames(names, table.names)
  const last = [...(shape.hasWeight ? ['weight'] : []), ...(shape.hasSplit ? ['split'] : [])]
  const ends = distinctNames(last, [...table.names, ...features])
  return [
    ...given,
    ...features.map((name): TableColumn => ({ name, type: 'double' })),
    ...ends.map(
      (name, index): TableColumn => ({ name, type: last[index] === 'split' ? 'string' : 'double' }),
    ),
  ]
}

function shapeRow(
  { labels, group }: TimeOptions,
  columns: ReadonlyMap<string, readonly unknown[]>,
  row: number,
  index: number,
  atMs: TimestampMs,
) {
  const label = labels.label === undefined ? null : columnValue('double', labelOf(columns, labels.label, row))
  const key = group === undefined ? '' : String(columns.get(labels.keys?.[group] ?? group)?.[row] ?? '')
  return { id: String(index), atMs, label: label as number | null, group: key }
}

const labelOf = (columns: ReadonlyMap<string, readonly unknown[]>, name: string, row: number): unknown => {
  const value = columns.get(name)?.[row]
  return value === 'true' ? 1 : value === 'false' ? 0 : value
}

/** The first pass over the file: rows with a time wait for it, the others are counted. */
async function readRows(
  options: TimeOptions,
  table: TableReader,
  fields: readonly RowField[],
  rows: SortedRows,
  tally: InputTally,
): Promise<ReadonlyMap<number, number>> {
  const { labels } = options
  const timeOf = timeReader(labels.timeUnit)
  const counted = new RowShape({ ...options, ...(options.classWeights ? { classWeights: new Map() } : {}) })
  const values: unknown[] = new Array(fields.length)
  let index = 0
  // Counting the rows that will be kept takes what the options speak of.
  const counts = options.classWeights === 'balanced'
  const names = [...new Set([labels.time, ...fields.map(({ column }) => column)])]
  for await (const chunk of table.chunks(counts ? {} : { names })) {
    const columns = fields.map(({ column }) => chunk.columns.get(column)!)
    const times = chunk.columns.get(labels.time)!
    for (let row = 0; row < chunk.count; row++, index++) {
      tally.rows++
      const time = timeOf(times[row])
      const atMs = typeof time === 'number' ? time : Number.NaN
      if (counts) counted.take(shapeRow(options, chunk.columns, row, index, atMs))
      if (typeof time !== 'number') {
        tally[time === 'null' ? 'nullTime' : 'unreadableTime']++
        continue
      }
      tally.firstMs = Math.min(tally.firstMs, time)
      tally.lastMs = Math.max(tally.lastMs, time)
      let isNull = false
      let isUnreadable = false
      for (let place = 0; place < fields.length; place++) {
        const value = columns[place]![row]
        const key = value === null || value === undefined ? null : fields[place]!.read(value)
        if (value === null || value === undefined) isNull = true
        else if (key === undefined) isUnreadable = true
        values[place] = key ?? null
      }
      if (isUnreadable) tally.unreadableKey++
      else if (isNull) tally.nullKey++
      rows.add({ queryMs: time, index, values })
    }
  }
  rows.sorted()
  return counted.labels
}

async function firstEventOf({ task }: Assembly, log: Log): Promise<TimestampMs> {
  let firstMs = Number.POSITIVE_INFINITY
  for (const { topic, partition } of task.inputs) {
    const { start, end } = await log.offsets(topic, partition)
    if (start === end) continue
    const { count, timestampsMs } = await log.read({
      topic,
      partition,
      offset: start,
      maxBytes: 1,
      maxRecords: 1,
    })
    if (count > 0) firstMs = Math.min(firstMs, timestampsMs[0]!)
  }
  return firstMs
}

function refuseOtherUnit({ labels }: TimeOptions, tally: InputTally): void {
  if (labels.timeUnit !== undefined) return
  const doubt = unitDoubt(tally)
  if (doubt !== undefined) throw doubt
}
