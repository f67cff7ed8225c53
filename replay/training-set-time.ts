import type { Declaration } from '../models/declaration.ts'
import type { Model } from '../models/model.ts'
import { ModelVector } from '../models/serving/model-vector.ts'
import { type FeatureView, requireNumbers } from '../processors/feature/feature-view.ts'
import type { ViewState } from '../processors/feature/view-state.ts'
import { ViewVector } from '../processors/feature/view-vector.ts'
import type { GraphPart, Want } from '../processors/graph.ts'
import type { TaskRecord } from '../processors/task-input.ts'
import type { Contract } from '../state/contracts/contract.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { Log, LogWriter } from '../state/log/log.ts'
import type { Database } from '../state/store/database.ts'
import type { KeyedStore } from '../state/store/keyed-store.ts'
import type { PackedKey } from '../state/store/packed-key.ts'
import { type Assembly, assemble, type RecoveryProgress } from './assembly.ts'
import type { TableColumn, TableFormat } from './table-column.ts'
import { columnsOfTable, columnValue, openTable, type TableReader } from './table-reader.ts'
import { type FoldHorizon, foldLog, readHorizon, withTail } from './training-set-fold.ts'
import {
  type InputTally,
  keyReader,
  newInputTally,
  type TimeUnit,
  timeReader,
  unitDoubt,
} from './training-set-input.ts'
import { RowShape, type ShapeOptions } from './training-set-shape.ts'
import { AnswerFile, SortedRows, type WaitingRow } from './training-set-spill.ts'
import { distinctNames } from './training-set-views.ts'

/** A file of rows that want features as of a time. */
export interface LabelFile {
  readonly path: string
  readonly format?: TableFormat
  /** Column of the time as of which features are read. */
  readonly time: string
  /** Unit of times that are numbers; ms unless given. */
  readonly timeUnit?: TimeUnit
  /** Column of an entity's field, where it has another name: `{ userId: 'customer' }`. */
  readonly keys?: Readonly<Record<string, string>>
  /** Column of the label, for class weights, sampling and strata. */
  readonly label?: string
  /** Names of declared views; all whose entity the file names, unless given. */
  readonly views?: readonly string[]
  /**
   * How long a row waits, in event time, for events that are out of order:
   * at most the disorder that its views allow, and that unless given. 0 gives
   * what a live request of that moment would have seen.
   */
  readonly waitMs?: DurationMs
}

export interface TimeOptions extends ShapeOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly writer: LogWriter
  readonly registry: SchemaRegistry
  readonly database: Database
  readonly labels: LabelFile & { readonly format: TableFormat }
  /** With it the columns are the model's, and the file has the fields of its trigger. */
  readonly model?: Model
  /** Views beside the declared ones. */
  readonly extraViews: readonly FeatureView[]
  readonly group?: string
  readonly untilCommit?: number
  readonly rowGroup: number
  readonly out: string
  readonly onProgress?: (progress: RecoveryProgress) => void
}

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
  readonly #asker: Asker
  readonly #answers: AnswerFile
  readonly #timeOf: (value: unknown) => TimestampMs | string

  private constructor(parts: {
    readonly options: TimeOptions
    readonly table: TableReader
    readonly rows: SortedRows
    readonly tally: InputTally
    readonly shape: RowShape
    readonly asker: Asker
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
    const { labels, log, out } = options
    const table = await openTable(labels.path, labels.format)
    const views = viewsOf(options, table)
    const fields = fieldsOf(options, views, table)
    const waitMs = waitOf(labels.waitMs, views)
    const rows = new SortedRows(out)
    let answers: AnswerFile | undefined
    try {
      const tally = newInputTally()
      const balance = await readRows(options, table, fields, rows, tally)
      const asker = new Asker(rows, fields, waitMs, tally)
      const assembly = await assemble({
        ...options,
        declaration: { ...options.declaration, models: [], streams: [], views },
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
  async run(write: (columns: readonly (readonly unknown[])[]) => void): Promise<void> {
    const { log, database, onProgress } = this.#options
    await foldLog(this.assembly, {
      log,
      horizon: this.horizon,
      ...(onProgress ? { onProgress } : {}),
      onBatch: () => this.#asker.throwFailure(),
    })
    await this.#asker.answerRest(database)
    await this.#write(write)
  }

  close(): void {
    this.#rows.close()
    this.#answers.close()
  }

  async #write(write: (columns: readonly (readonly unknown[])[]) => void): Promise<void> {
    const { labels, rowGroup } = this.#options
    const types = this.#table.names.map((name) => this.#table.typeOf(name))
    const { width } = this.#asker
    let columns: unknown[][] = this.columns.map(() => [])
    let index = 0
    for await (const chunk of this.#table.chunks()) {
      const given = this.#table.names.map((name) => chunk.columns.get(name)!)
      const answers = this.#answers.read(index, chunk.count)
      const times = chunk.columns.get(labels.time)!
      for (let row = 0; row < chunk.count; row++, index++) {
        const time = this.#timeOf(times[row])
        const atMs = typeof time === 'number' ? time : Number.NaN
        const shaped = this.shape.take(shapeRow(this.#options, chunk.columns, row, index, atMs))
        if (shaped === undefined) continue
        let at = 0
        for (; at < given.length; at++) columns[at]!.push(columnValue(types[at]!, given[at]![row]))
        const start = row * (width + 1)
        const isAnswered = answers[start] === 1
        for (let place = 1; place <= width; place++) {
          const value = answers[start + place]!
          columns[at++]!.push(isAnswered && !Number.isNaN(value) ? value : null)
        }
        if (this.shape.hasWeight) columns[at++]!.push(shaped.weight)
        if (this.shape.hasSplit) columns[at++]!.push(shaped.split)
        if (columns[0]!.length >= rowGroup) {
          write(columns)
          columns = this.columns.map(() => [])
        }
      }
    }
    if (columns[0]!.length > 0) write(columns)
  }
}

interface Field {
  readonly field: string
  readonly column: string
  readonly read: (value: unknown) => unknown
}

/** What the rows of a file name: the entities of the views, or the fields of a model's trigger. */
function fieldsOf(
  { labels, model }: TimeOptions,
  views: readonly FeatureView[],
  table: TableReader,
): readonly Field[] {
  const found = new Map<string, Field>()
  const add = (field: string, contract: Contract, source: string) => {
    const column = labels.keys?.[field] ?? field
    if (table.names.includes(column)) found.set(field, { field, column, read: keyReader(contract, source) })
    return found.has(field)
  }
  if (model !== undefined) {
    for (const field of model.trigger.fieldNames) add(field, model.trigger, field)
  }
  for (const view of views) {
    const [source] = view.sources
    for (const { field } of view.entity) {
      const asked = model === undefined ? field : (view.keys[model.trigger.name]?.[field] ?? field)
      if (add(asked, source!, view.keys[source!.name]?.[field] ?? field)) continue
      throw new RangeError(
        `view "${view.name}" is about "${asked}", but ${labels.path} has no such column; it has ${table.names.join(', ')}. Name the column with keys (--key ${asked}=<column>)`,
      )
    }
  }
  if (!table.names.includes(labels.time)) {
    throw new RangeError(
      `${labels.path} has no column "${labels.time}" for the time; it has ${table.names.join(', ')}`,
    )
  }
  return [...found.values()]
}

function viewsOf(
  { declaration, labels, model, extraViews }: TimeOptions,
  table: TableReader,
): readonly FeatureView[] {
  if (model !== undefined) return [...new Set([...model.views, ...extraViews])]
  const isNamed = (view: FeatureView) =>
    view.entity.every(({ field }) => table.names.includes(labels.keys?.[field] ?? field))
  const unknown = labels.views?.find((name) => declaration.views.every((view) => view.name !== name))
  if (unknown !== undefined) {
    throw new RangeError(
      `there is no view "${unknown}"; there are ${declaration.views.map(({ name }) => name).join(', ')}`,
    )
  }
  const declared = declaration.views.filter((view) =>
    labels.views === undefined ? extraViews.length === 0 && isNamed(view) : labels.views.includes(view.name),
  )
  for (const view of declared) requireNumbers(view, 'a training set fills its columns')
  if (declared.length + extraViews.length > 0) return [...declared, ...extraViews]
  throw new RangeError(
    `no view's entity is among the columns of ${labels.path} (${table.names.join(', ')}); name columns with keys (--key <entity>=<column>)`,
  )
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
  fields: readonly Field[],
  rows: SortedRows,
  tally: InputTally,
): Promise<ReadonlyMap<number, number>> {
  const { labels } = options
  const timeOf = timeReader(labels.timeUnit)
  const counted = new RowShape({ ...options, ...(options.classWeights ? { classWeights: new Map() } : {}) })
  let index = 0
  for await (const chunk of table.chunks()) {
    const columns = fields.map(({ column }) => chunk.columns.get(column)!)
    const times = chunk.columns.get(labels.time)!
    for (let row = 0; row < chunk.count; row++, index++) {
      tally.rows++
      const time = timeOf(times[row])
      const atMs = typeof time === 'number' ? time : Number.NaN
      if (options.classWeights === 'balanced')
        counted.take(shapeRow(options, chunk.columns, row, index, atMs))
      if (typeof time !== 'number') {
        tally[time === 'null' ? 'nullTime' : 'unreadableTime']++
        continue
      }
      tally.firstMs = Math.min(tally.firstMs, time)
      tally.lastMs = Math.max(tally.lastMs, time)
      const values: unknown[] = new Array(fields.length)
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

/** Answers each row just before the first record that is later than it waits for. */
class Asker implements GraphPart {
  readonly stores = []
  readonly waitMs: DurationMs
  answers!: AnswerFile
  width = 0
  readonly #rows: SortedRows
  readonly #fields: readonly Field[]
  readonly #tally: InputTally
  /** Rows whose keys were asked for ahead of their turn. */
  #ahead: WaitingRow[] = []
  #vector!: Float64Array
  #nobody!: Float64Array
  #readers: readonly { readonly at: number; readonly state: ViewState; readonly vector: ViewVector }[] = []
  #model: ModelVector | undefined
  #modelWidth = 0
  #topics: ReadonlySet<string> = new Set()
  #streamTimeMs = Number.NEGATIVE_INFINITY
  #failure: unknown

  constructor(rows: SortedRows, fields: readonly Field[], waitMs: DurationMs, tally: InputTally) {
    this.#rows = rows
    this.#fields = fields
    this.waitMs = waitMs
    this.#tally = tally
  }

  connected(
    states: ReadonlyMap<string, ViewState>,
    views: readonly FeatureView[],
    model: Model | undefined,
  ): this {
    this.#model = model && new ModelVector(model, states)
    this.#modelWidth = this.#model?.width ?? 0
    let at = this.#modelWidth
    this.#readers = views
      .filter((view) => !model?.views.includes(view))
      .map((view) => {
        const state = states.get(view.name)!
        const reader = { at, state, vector: new ViewVector(view, state, model?.trigger.name ?? '') }
        at += view.features.size
        return reader
      })
    this.width = at
    this.#vector = new Float64Array(at)
    this.#nobody = new Float64Array(at)
    this.#topics = new Set(views.flatMap(({ sources }) => sources.map(({ topic }) => topic)))
    return this
  }

  connect(context: Parameters<GraphPart['connect']>[0]): void {
    for (const topic of this.#topics) context.source(topic).subscribe((record) => this.#meet(record))
  }

  want(record: TaskRecord, want: Want): void {
    for (;;) {
      const { head } = this.#rows
      if (head === undefined || head.queryMs + this.waitMs >= record.timestampMs) return
      const row = this.#rows.take()
      this.#ahead.push(row)
      this.#wantRow(row, want)
    }
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  /** Rows later than the log: they see all of it. */
  async answerRest(database: Database): Promise<void> {
    this.throwFailure()
    for (;;) {
      const wanted = new Map<KeyedStore, Set<PackedKey>>()
      const want: Want = (store, key) => {
        const keys = wanted.get(store) ?? new Set()
        wanted.set(store, keys.add(key))
      }
      const rows = this.#ahead.splice(0)
      while (rows.length < 1_000 && this.#rows.head !== undefined) rows.push(this.#rows.take())
      if (rows.length === 0) return
      for (const row of rows) this.#wantRow(row, want)
      await Promise.all([...wanted].map(([store, keys]) => store.prefetch(database, [...keys])))
      for (const row of rows) this.#answer(row)
      this.throwFailure()
    }
  }

  #wantRow(row: WaitingRow, want: Want): void {
    const event = this.#eventOf(row)
    this.#model?.want(event, want)
    for (const { vector } of this.#readers) vector.want(event, want)
  }

  #meet(record: TaskRecord): void {
    if (this.#failure !== undefined) return
    const { timestampMs } = record
    if (timestampMs > this.#streamTimeMs) this.#streamTimeMs = timestampMs
    else if (timestampMs < this.#streamTimeMs - this.waitMs) this.#tally.lateRecords++
    try {
      for (;;) {
        const row = this.#ahead[0] ?? this.#rows.head
        if (row === undefined || row.queryMs + this.waitMs >= timestampMs) return
        this.#answer(this.#ahead.length > 0 ? this.#ahead.shift()! : this.#rows.take())
      }
    } catch (error) {
      this.#failure = error
    }
  }

  #eventOf({ values }: WaitingRow): object {
    return Object.fromEntries(this.#fields.map(({ field }, index) => [field, values[index]]))
  }

  #answer(row: WaitingRow): void {
    const { queryMs, index } = row
    const event = this.#eventOf(row)
    const tally = this.#tally
    if (queryMs < tally.firstEventMs) tally.beforeLog++
    else if (queryMs > this.#streamTimeMs) tally.afterLog++
    try {
      this.#model?.read(event, queryMs, this.#vector)
    } catch {
      // A function of the request that throws costs its row the model's columns, as it costs a live request its answer.
      tally.functionFailed++
      this.#vector.fill(Number.NaN, 0, this.#modelWidth)
    }
    let isKnown = this.#readers.length === 0
    for (const { at, state, vector } of this.#readers) {
      vector.read(event, queryMs, this.#vector, at)
      state.readOne(null, queryMs, this.#nobody, at)
      for (let place = at; !isKnown && place < at + vector.width; place++) {
        isKnown = !Object.is(this.#vector[place], this.#nobody[place])
      }
    }
    if (!isKnown) tally.unknownEntity++
    this.answers.put(index, this.#vector)
  }
}
