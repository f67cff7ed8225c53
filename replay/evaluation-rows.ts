import type { Model } from '../models/model.ts'
import { SeededGenerator } from '../models/policy/seeded-generator.ts'
import type { PredictionEvent } from '../state/contracts/engine-contracts.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { type Decision, DecisionReader } from './decision-reader.ts'
import { PositionFilter, type PositionRange } from './replay-range.ts'

/** What rows are told apart by: a feature, a part of an entity's key, or one of the words. */
export type SliceBy = string

/** Rows whose features are kept, drawn evenly. */
const sampledRows = 20_000
/** Slices told of; the rest is one. */
const mostSlices = 12

interface RowsRequest {
  readonly model: Model
  readonly declaration: { readonly name: string }
  readonly log: Log
  readonly registry: SchemaRegistry
  readonly fromMs?: TimestampMs
  readonly toMs?: TimestampMs
  readonly positions?: PositionRange
  readonly by?: SliceBy
  readonly ranking?: { readonly groupBy: string }
  readonly onProgress?: (events: number) => void
}

/** Labelled predictions of a slice, in the order of the predictions on the log. */
export class EvaluationRows {
  readonly fromMs: TimestampMs
  readonly toMs: TimestampMs
  readonly requestIds: readonly string[]
  readonly labels: Float64Array
  readonly predictions: Float64Array
  readonly predictedAt: Float64Array
  readonly labeledAt: Float64Array
  /** What the rows are sliced by; absent unless asked for. */
  readonly sliceOf: readonly (string | number)[] | undefined
  readonly groups: readonly string[] | undefined
  /** Some of the rows with their features. */
  readonly sample: readonly { readonly row: number; readonly features: Float64Array }[]
  readonly unlabelled: number
  readonly corrected: number

  constructor(rows: Omit<EvaluationRows, 'count' | 'answeredBy' | 'meanSoFar' | 'slices'>) {
    this.fromMs = rows.fromMs
    this.toMs = rows.toMs
    this.requestIds = rows.requestIds
    this.labels = rows.labels
    this.predictions = rows.predictions
    this.predictedAt = rows.predictedAt
    this.labeledAt = rows.labeledAt
    this.sliceOf = rows.sliceOf
    this.groups = rows.groups
    this.sample = rows.sample
    this.unlabelled = rows.unlabelled
    this.corrected = rows.corrected
  }

  get count(): number {
    return this.labels.length
  }

  /** Only the rows that somebody else answered too. */
  answeredBy(others: ReadonlyMap<string, number>): EvaluationRows {
    const kept = [...this.requestIds.keys()].filter((row) => others.has(this.requestIds[row]!))
    if (kept.length === this.count) return this
    const places = new Map(kept.map((row, place) => [row, place]))
    const pick = (values: Float64Array) => Float64Array.from(kept, (row) => values[row]!)
    return new EvaluationRows({
      ...this,
      requestIds: kept.map((row) => this.requestIds[row]!),
      labels: pick(this.labels),
      predictions: pick(this.predictions),
      predictedAt: pick(this.predictedAt),
      labeledAt: pick(this.labeledAt),
      sliceOf: this.sliceOf && kept.map((row) => this.sliceOf![row]!),
      groups: this.groups && kept.map((row) => this.groups![row]!),
      sample: this.sample.flatMap(({ row, features }) => {
        const place = places.get(row)
        return place === undefined ? [] : [{ row: place, features }]
      }),
    })
  }

  /** The trivial answer: the mean of the labels that were known when each row was predicted. */
  meanSoFar(before: number): Float64Array {
    const byLabelTime = [...this.labeledAt.keys()].sort((a, b) => this.labeledAt[a]! - this.labeledAt[b]!)
    const byTime = [...this.predictedAt.keys()].sort((a, b) => this.predictedAt[a]! - this.predictedAt[b]!)
    const answers = new Float64Array(this.count)
    let known = 0
    let sum = 0
    for (const row of byTime) {
      for (; known < byLabelTime.length; known++) {
        const label = byLabelTime[known]!
        if (this.labeledAt[label]! >= this.predictedAt[row]!) break
        sum += this.labels[label]!
      }
      answers[row] = known === 0 ? before : sum / known
    }
    return answers
  }

  /** The rows of each slice, the largest first, dates in their order; many numbers are cut into quarters. */
  slices(): readonly { readonly slice: string; readonly places: readonly number[] }[] {
    const { sliceOf } = this
    if (sliceOf === undefined) return []
    const nameOf = sliceNames(sliceOf)
    const places = new Map<string, number[]>()
    for (const [row, value] of sliceOf.entries()) {
      const slice = nameOf(value)
      const list = places.get(slice)
      if (list) list.push(row)
      else places.set(slice, [row])
    }
    const sorted = [...places].sort(([a, left], [b, right]) => right.length - left.length || (a < b ? -1 : 1))
    const told = sorted.slice(0, mostSlices).map(([slice, rows]) => ({ slice, places: rows }))
    // Dates read best in their order.
    if (told.every(({ slice }) => /\d{4}-\d\d/.test(slice))) told.sort((a, b) => (a.slice < b.slice ? -1 : 1))
    const rest = sorted.slice(mostSlices).flatMap(([, rows]) => rows)
    return rest.length === 0
      ? told
      : [...told, { slice: `${sorted.length - mostSlices} others`, places: rest }]
  }
}

function sliceNames(values: readonly (string | number)[]): (value: string | number) => string {
  const numbers = values.filter((value): value is number => typeof value === 'number' && !Number.isNaN(value))
  if (new Set(numbers).size <= mostSlices) {
    return (value) => (Number.isNaN(value) ? 'null' : String(value))
  }
  const sorted = Float64Array.from(numbers).sort()
  const cuts = [0.25, 0.5, 0.75].map((share) => sorted[Math.floor(share * sorted.length)]!)
  const figure = (value: number) => String(Number(value.toPrecision(4)))
  return (value) => {
    if (typeof value === 'string') return value
    if (Number.isNaN(value)) return 'null'
    const quarter = cuts.filter((cut) => value >= cut).length
    if (quarter === 0) return `below ${figure(cuts[0]!)}`
    if (quarter === 3) return `from ${figure(cuts[2]!)}`
    return `${figure(cuts[quarter - 1]!)} to ${figure(cuts[quarter]!)}`
  }
}

/** Reads a model's predictions of the slice and joins the labels, whenever they came; the last one counts. */
export async function readEvaluationRows(request: RowsRequest): Promise<EvaluationRows> {
  const { model, declaration, log, registry, by, ranking, onProgress } = request
  const reader = await DecisionReader.open(declaration.name, model.name, log, registry)
  const extent = await reader.extent()
  const fromMs = request.fromMs ?? extent?.fromMs ?? 0
  const toMs = request.toMs ?? extent?.toMs ?? fromMs
  if (request.fromMs !== undefined && request.toMs !== undefined && !(fromMs < toMs)) {
    throw new RangeError(`the slice is empty: from ${fromMs} to ${toMs}`)
  }
  const filter =
    request.positions &&
    (await PositionFilter.open(request.positions, { app: declaration.name, log, registry }))
  const isAsked = ({ atMs, event }: Decision & { readonly kind: 'prediction' }): boolean =>
    atMs >= fromMs && atMs < toMs && (filter?.includes(event.position.offsets) ?? true)
  const collector = new RowCollector(model, by, ranking?.groupBy)
  let events = 0
  const lastMs = toMs + model.label.withinMs
  for await (const decision of reader.read({ fromMs, toMs: lastMs + 1 }, 0)) {
    if (decision.kind === 'label' || isAsked(decision)) collector.take(decision)
    onProgress?.(++events)
  }
  return collector.rows(fromMs, toMs)
}

class RowCollector {
  readonly #places = new Map<string, number>()
  /** Labels whose prediction was not met. */
  readonly #early = new Map<string, { readonly value: number; readonly labeledAt: TimestampMs }>()
  readonly #predictions: number[] = []
  readonly #predictedAt: number[] = []
  readonly #labels: number[] = []
  readonly #labeledAt: number[] = []
  readonly #slices: (string | number)[] | undefined
  readonly #groups: string[] | undefined
  readonly #sample: { row: number; features: Float64Array }[] = []
  readonly #generator = SeededGenerator.of(1)
  readonly #columns: number
  readonly #sliceOf: (event: PredictionEvent) => string | number
  readonly #groupOf: (event: PredictionEvent) => string
  #corrected = 0

  constructor(model: Model, by: SliceBy | undefined, groupBy: string | undefined) {
    this.#columns = model.columns.length
    this.#slices = by === undefined ? undefined : []
    this.#groups = groupBy === undefined ? undefined : []
    this.#sliceOf = by === undefined ? () => '' : sliceReader(model, by)
    this.#groupOf = ({ entityKeys }) => {
      const key = entityKeys[groupBy!]
      if (key !== undefined) return key
      throw unknownField('--group-by', groupBy!, Object.keys(entityKeys))
    }
  }

  take(decision: Decision): void {
    if (decision.kind === 'label') {
      const { requestId, value, labeledAt } = decision.event
      const row = this.#places.get(requestId)
      if (row === undefined) {
        // Its event time may be before that of its prediction: then the prediction is still to come.
        this.#early.set(requestId, { value, labeledAt: Number(labeledAt) })
        return
      }
      if (!Number.isNaN(this.#labels[row]!)) this.#corrected++
      this.#labels[row] = value
      this.#labeledAt[row] = Number(labeledAt)
      return
    }
    const { event, atMs } = decision
    const row = this.#predictions.length
    this.#places.set(event.requestId, row)
    this.#predictions.push(event.output)
    this.#predictedAt.push(atMs)
    const early = this.#early.get(event.requestId)
    this.#early.delete(event.requestId)
    this.#labels.push(early?.value ?? Number.NaN)
    this.#labeledAt.push(early?.labeledAt ?? Number.NaN)
    this.#slices?.push(this.#sliceOf(event))
    this.#groups?.push(this.#groupOf(event))
    this.#keepSome(row, event)
  }

  /** Reservoir sampling: every row is as likely to be in it. */
  #keepSome(row: number, event: PredictionEvent): void {
    const features = featuresOf(event)
    // Of another feature set: its columns are others.
    if (features.length !== this.#columns) return
    if (this.#sample.length < sampledRows) {
      this.#sample.push({ row, features: features.slice() })
      return
    }
    const place = this.#generator.below(row + 1)
    if (place < sampledRows) this.#sample[place] = { row, features: features.slice() }
  }

  rows(fromMs: TimestampMs, toMs: TimestampMs): EvaluationRows {
    const ids = [...this.#places.keys()]
    const labelled = [...this.#places.values()].filter((row) => !Number.isNaN(this.#labels[row]!))
    const places = new Map(labelled.map((row, place) => [row, place]))
    const idOf = new Map([...this.#places.values()].map((row, index) => [row, ids[index]!]))
    const pick = (values: readonly number[]) => Float64Array.from(labelled, (row) => values[row]!)
    return new EvaluationRows({
      fromMs,
      toMs,
      requestIds: labelled.map((row) => idOf.get(row)!),
      labels: pick(this.#labels),
      predictions: pick(this.#predictions),
      predictedAt: pick(this.#predictedAt),
      labeledAt: pick(this.#labeledAt),
      sliceOf: this.#slices && labelled.map((row) => this.#slices![row]!),
      groups: this.#groups && labelled.map((row) => this.#groups![row]!),
      sample: this.#sample.flatMap(({ row, features }) => {
        const place = places.get(row)
        return place === undefined ? [] : [{ row: place, features }]
      }),
      unlabelled: this.#predictions.length - labelled.length,
      corrected: this.#corrected,
    })
  }
}

function featuresOf({ features }: PredictionEvent): Float64Array {
  const doubles = new Float64Array(features.byteLength / 8)
  new Uint8Array(doubles.buffer).set(features)
  return doubles
}

const dayMs = 86_400_000

function sliceReader(model: Model, by: SliceBy): (event: PredictionEvent) => string | number {
  const dateOf = (ms: number) => new Date(ms).toISOString()
  switch (by) {
    case 'variant':
      return ({ variant }) => variant
    case 'version':
      return ({ modelVersion }) => Number(modelVersion)
    case 'day':
      return ({ predictedAt }) => dateOf(Number(predictedAt)).slice(0, 10)
    case 'week':
      return ({ predictedAt }) => {
        // Weeks begin on Monday; 1970-01-01 was a Thursday.
        const day = Math.floor(Number(predictedAt) / dayMs)
        return `week of ${dateOf((day - ((day + 3) % 7)) * dayMs).slice(0, 10)}`
      }
    case 'month':
      return ({ predictedAt }) => dateOf(Number(predictedAt)).slice(0, 7)
  }
  const column = model.columns.indexOf(by)
  if (column >= 0) return (event) => featuresOf(event)[column] ?? Number.NaN
  return ({ entityKeys }) => {
    const key = entityKeys[by]
    if (key !== undefined) return key
    const known = ['variant', 'version', 'day', 'week', 'month', ...Object.keys(entityKeys), ...model.columns]
    throw unknownField('by', by, known)
  }
}

const unknownField = (what: string, found: string, known: readonly string[]): RangeError =>
  new RangeError(`${what} "${found}" is not known; there are ${known.join(', ')}`)
