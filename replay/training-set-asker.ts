import type { Model } from '../models/model.ts'
import { ModelVector } from '../models/serving/model-vector.ts'
import type { FeatureView } from '../processors/feature/feature-view.ts'
import type { ViewState } from '../processors/feature/view-state.ts'
import { ViewVector } from '../processors/feature/view-vector.ts'
import type { GraphPart, Want } from '../processors/graph.ts'
import type { TaskRecord } from '../processors/task-input.ts'
import type { DurationMs } from '../state/contracts/units.ts'
import type { Database } from '../state/store/database.ts'
import type { KeyedStore } from '../state/store/keyed-store.ts'
import type { PackedKey } from '../state/store/packed-key.ts'
import type { InputTally } from './training-set-input.ts'
import type { AnswerFile, SortedRows, WaitingRow } from './training-set-spill.ts'
import type { RowField } from './training-set-time-fields.ts'

/** Answers each row just before the first record that is later than it waits for. */
export class RowAsker implements GraphPart {
  readonly stores = []
  readonly waitMs: DurationMs
  answers!: AnswerFile
  width = 0
  readonly #rows: SortedRows
  readonly #fields: readonly RowField[]
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
  readonly #event: Record<string, unknown> = {}
  #failure: unknown

  constructor(rows: SortedRows, fields: readonly RowField[], waitMs: DurationMs, tally: InputTally) {
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
    // What an entity without events has does not depend on the time.
    for (const { at: place, state } of this.#readers) state.readOne(null, 0, this.#nobody, place)
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

  /** The row as its views read it; the object is that of the row before. */
  #eventOf({ values }: WaitingRow): object {
    const event = this.#event
    for (let index = 0; index < this.#fields.length; index++)
      event[this.#fields[index]!.field] = values[index]
    return event
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
    for (const { at, vector } of this.#readers) {
      vector.read(event, queryMs, this.#vector, at)
      for (let place = at; !isKnown && place < at + vector.width; place++) {
        isKnown = !Object.is(this.#vector[place], this.#nobody[place])
      }
    }
    if (!isKnown) tally.unknownEntity++
    this.answers.put(index, this.#vector)
  }
}
