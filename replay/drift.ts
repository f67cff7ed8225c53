import type { Declaration } from '../models/declaration.ts'
import { adwin } from '../models/drift/adwin.ts'
import {
  type ColumnComparison,
  type ColumnTest,
  compareColumns,
  leastCount,
} from '../models/drift/compare-columns.ts'
import type { DriftDetector } from '../models/drift/drift-detector.ts'
import { hddmA } from '../models/drift/hddm-a.ts'
import { kswin } from '../models/drift/kswin.ts'
import { adjustedPvalues, type Correction } from '../models/drift/multiple-tests.ts'
import type { Model } from '../models/model.ts'
import type { SchemaRegistry } from '../state/contracts/schema-registry.ts'
import type { DurationMs, TimestampMs } from '../state/contracts/units.ts'
import type { Log } from '../state/log/log.ts'
import { modelOf } from './candidate.ts'
import { DecisionReader, type Outcome, type TimeRange } from './decision-reader.ts'
import { DriftSlice, subjectsOf } from './drift-slice.ts'

export interface DriftOptions {
  readonly declaration: Declaration
  readonly log: Log
  readonly registry: SchemaRegistry
  /** Name of the model; the only one unless given. */
  readonly model?: string
  /** What is normal; the first half of the predictions' time unless given, or with `everyMs` the last window before each that has 20 predictions. */
  readonly reference?: TimeRange
  /** What is judged; the second half unless given, or all with `everyMs`. */
  readonly current?: TimeRange
  /** Judges `current` window by window of this length, from its start. */
  readonly everyMs?: DurationMs
  /** Adjusted p-values at or below are findings; 0.01 unless given. */
  readonly alpha?: number
  /** Changes smaller than this are let pass, however sure; 0.1 unless given. */
  readonly leastEffect?: number
  /** Over the tests of one comparison; Benjamini and Hochberg's unless given. */
  readonly correction?: Correction
  /** Values of a column that are kept for the tests of a slice; 2000 unless given. */
  readonly sampleSize?: number
  /** Of the samples; 1 unless given. */
  readonly seed?: number
  /** Told how many events are read, now and then. */
  readonly onProgress?: (events: number) => void
}

/** One test of a subject with its verdict. */
export interface DriftTest extends ColumnTest {
  /** As if it were the only test of its comparison. */
  readonly adjusted: number
  readonly isDrift: boolean
}

export interface SubjectDrift extends Omit<ColumnComparison, 'tests'> {
  /** `feature <name>`, `output`, `label` or `error`. */
  readonly subject: string
  readonly tests: readonly DriftTest[]
  readonly reference: SubjectCounts
  readonly current: SubjectCounts
}

export interface SubjectCounts {
  readonly count: number
  readonly missing: number
  /** null where there is no value. */
  readonly mean: number | null
}

export interface DriftComparison {
  readonly reference: TimeRange
  readonly current: TimeRange
  readonly subjects: readonly SubjectDrift[]
}

/** Where a streaming detector over the error told a drift. */
export interface ErrorAlarm {
  readonly detector: string
  readonly atMs: TimestampMs
  /** Errors seen before it. */
  readonly index: number
}

export interface DriftReport {
  readonly app: string
  readonly model: string
  readonly alpha: number
  readonly leastEffect: number
  readonly correction: Correction
  readonly sampleSize: number
  readonly comparisons: readonly DriftComparison[]
  /** What the error is: 1 for a wrong class and 0 for the right one, or the absolute difference. */
  readonly error: 'wrong' | 'absolute'
  readonly errors: number
  readonly detectors: readonly string[]
  /** Oldest first, at most 1000. */
  readonly alarms: readonly ErrorAlarm[]
  /** Labels whose prediction was too far back, and predictions of another feature set: not compared. */
  readonly passedOver: number
  /** True where any test of any comparison says so, or a detector did. */
  readonly isDrift: boolean
}

const windowLimit = 2_000
const alarmLimit = 1_000

/** Predictions that wait for a label; older ones are let go. */
const waitingLimit = 200_000

/**
 * Compares slices of a model's prediction and label events: each feature, the
 * output, the label and the error. One pass over each slice, in memory that
 * grows with the number of columns alone.
 *
 * A finding is a test whose adjusted p-value is at most `alpha` and whose
 * effect is at least `leastEffect`: the first keeps small slices from crying
 * out by chance and allows for many tests, the second keeps large ones from
 * reporting what does not matter.
 *
 * @throws EngineError `model-unknown`; RangeError for ranges that are empty
 */
export async function drift(options: DriftOptions): Promise<DriftReport> {
  const { declaration, log, registry } = options
  const model = modelOf(declaration, options.model)
  const reader = DecisionReader.openOutcomes(declaration.name, model.name, log, registry)
  const { fromMs, toMs } = (await reader.extent()) ?? { fromMs: 0, toMs: 0 }
  // An empty log has two empty halves, and a log of one instant one.
  const extent = { fromMs, toMs: Math.max(toMs, fromMs + 2) }
  const run = new DriftRun(model, reader, options)
  const comparisons = await (options.everyMs === undefined
    ? run.slices(extent)
    : run.windows(extent, options.everyMs))
  const settings = settingsOf(options)
  return {
    app: declaration.name,
    model: model.name,
    alpha: settings.alpha,
    leastEffect: settings.leastEffect,
    correction: settings.correction,
    sampleSize: settings.sampleSize,
    comparisons,
    error: run.isClassifier ? 'wrong' : 'absolute',
    errors: run.errors,
    detectors: run.detectors.map(({ kind }) => kind),
    alarms: run.alarms,
    passedOver: run.passedOver,
    isDrift:
      run.alarms.length > 0 ||
      comparisons.some(({ subjects }) => subjects.some(({ tests }) => tests.some(({ isDrift }) => isDrift))),
  }
}

const settingsOf = (options: DriftOptions) => {
  const settings = {
    alpha: options.alpha ?? 0.01,
    leastEffect: options.leastEffect ?? 0.1,
    correction: options.correction ?? ('benjamini-hochberg' as const),
    sampleSize: options.sampleSize ?? 2_000,
    seed: options.seed ?? 1,
  }
  if (!(settings.alpha > 0 && settings.alpha < 1)) {
    throw new RangeError(`alpha must lie between 0 and 1, got ${settings.alpha}`)
  }
  if (!(Number.isInteger(settings.sampleSize) && settings.sampleSize >= 20)) {
    throw new RangeError(`sampleSize must be a whole number from 20, got ${settings.sampleSize}`)
  }
  return settings
}

function checkRange(what: string, { fromMs, toMs }: TimeRange): TimeRange {
  if (!(fromMs < toMs)) throw new RangeError(`the ${what} slice is empty: from ${fromMs} to ${toMs}`)
  return { fromMs, toMs }
}

/**
 * Outputs that wait for their labels, the newest of them, at least as many as
 * the limit and less than twice that. In two halves: to take the oldest of
 * one map out again and again makes it walk over all that was taken before.
 */
class WaitingOutputs {
  readonly #limit: number
  #newer = new Map<string, number>()
  #older = new Map<string, number>()

  constructor(limit: number) {
    this.#limit = limit
  }

  put(requestId: string, output: number): void {
    this.#newer.set(requestId, output)
    if (this.#newer.size < this.#limit) return
    this.#older = this.#newer
    this.#newer = new Map()
  }

  take(requestId: string): number | undefined {
    const of = this.#newer.has(requestId) ? this.#newer : this.#older
    const output = of.get(requestId)
    of.delete(requestId)
    return output
  }
}

/** The passes over the log and what they leave. */
class DriftRun {
  readonly detectors: readonly { readonly kind: string; readonly detector: DriftDetector }[]
  readonly alarms: ErrorAlarm[] = []
  readonly isClassifier: boolean
  errors = 0
  passedOver = 0
  /** The detectors see each error once and in order: not those of a reference that is behind the current slice or overlaps it. */
  #isWatching = true
  #events = 0
  readonly #model: Model
  readonly #reader: ReturnType<typeof DecisionReader.openOutcomes>
  readonly #options: DriftOptions
  readonly #subjects: readonly string[]
  /** For the features of the prediction in hand. */
  readonly #room: { readonly numbers: Float64Array; readonly bytes: Uint8Array }

  constructor(model: Model, reader: ReturnType<typeof DecisionReader.openOutcomes>, options: DriftOptions) {
    this.#model = model
    this.#reader = reader
    this.#options = options
    this.#subjects = subjectsOf(model.columns)
    const numbers = new Float64Array(model.columns.length)
    this.#room = { numbers, bytes: new Uint8Array(numbers.buffer) }
    this.isClassifier = model.learner.task === 'classification'
    const seed = settingsOf(options).seed
    // Every value is a test: at the confidence usual for short streams, a long one is full of false alarms.
    this.detectors = this.isClassifier
      ? [
          { kind: 'adwin', detector: adwin() },
          { kind: 'hddm-a', detector: hddmA({ driftConfidence: 1e-6, warningConfidence: 1e-4 }) },
        ]
      : [
          { kind: 'adwin', detector: adwin() },
          { kind: 'kswin', detector: kswin({ alpha: 1e-6, seed }) },
        ]
  }

  /** One slice against another. */
  async slices(extent: TimeRange): Promise<DriftComparison[]> {
    const middle = Math.floor((extent.fromMs + extent.toMs) / 2)
    const reference = checkRange('reference', this.#options.reference ?? { ...extent, toMs: middle })
    const current = checkRange('current', this.#options.current ?? { ...extent, fromMs: middle })
    const [before, now] = [this.#slice(reference), this.#slice(current)]
    this.#isWatching = reference.toMs <= current.fromMs
    await this.#fill(reference, () => before)
    this.#isWatching = true
    await this.#fill(current, () => now)
    return [this.#compare(before, now)]
  }

  /** Each window against the reference, or against the last one before it that could be one. */
  async windows(extent: TimeRange, everyMs: DurationMs): Promise<DriftComparison[]> {
    const range = checkRange('current', this.#options.current ?? extent)
    const count = Math.ceil((range.toMs - range.fromMs) / everyMs)
    if (!(everyMs > 0 && count <= windowLimit)) {
      throw new RangeError(
        `windows of ${everyMs} ms would be ${count} of them; at most ${windowLimit}: take longer ones, or a shorter slice`,
      )
    }
    const comparisons: DriftComparison[] = []
    let before: DriftSlice | undefined
    if (this.#options.reference !== undefined) {
      const fixed = this.#slice(checkRange('reference', this.#options.reference))
      this.#isWatching = fixed.range.toMs <= range.fromMs
      await this.#fill(fixed.range, () => fixed)
      this.#isWatching = true
      before = fixed
    }
    let open = this.#slice(windowAt(range, everyMs, range.fromMs))
    const close = () => {
      if (open.predictions + open.labels === 0) return
      if (before !== undefined) comparisons.push(this.#compare(before, open))
      if (this.#options.reference === undefined && open.predictions >= leastCount) before = open
    }
    await this.#fill(range, (atMs) => {
      if (atMs >= open.range.toMs) {
        close()
        open = this.#slice(windowAt(range, everyMs, atMs))
      }
      // The merge is by time, but for events that came late within their partition.
      return atMs >= open.range.fromMs ? open : undefined
    })
    close()
    return comparisons
  }

  #slice(range: TimeRange): DriftSlice {
    return new DriftSlice(range, this.#subjects.length, settingsOf(this.#options))
  }

  /** Reads a range into the slices of its events' times. */
  async #fill(range: TimeRange, sliceAt: (atMs: TimestampMs) => DriftSlice | undefined): Promise<void> {
    // Without labels nothing waits for one.
    const waiting = (await this.#reader.hasLabels()) ? new WaitingOutputs(waitingLimit) : undefined
    for await (const batch of this.#reader.readBatches(range, this.#model.label.withinMs)) {
      for (const decision of batch) this.#take(decision, range, sliceAt, waiting)
      this.#events += batch.length
      this.#options.onProgress?.(this.#events)
    }
  }

  #take(
    decision: Outcome,
    range: TimeRange,
    sliceAt: (atMs: TimestampMs) => DriftSlice | undefined,
    waiting: WaitingOutputs | undefined,
  ): void {
    const { atMs } = decision
    if (decision.kind === 'prediction') {
      const { requestId, output, features } = decision.event
      waiting?.put(requestId, output)
      if (atMs < range.fromMs) return
      const slice = sliceAt(atMs)
      if (slice === undefined || features.byteLength !== this.#model.columns.length * 8) this.passedOver++
      else addPrediction(slice, features, output, this.#room)
    } else if (atMs >= range.fromMs) {
      const slice = sliceAt(atMs)
      const output = waiting?.take(decision.event.requestId)
      if (slice === undefined || output === undefined) this.passedOver++
      if (slice !== undefined) this.#addLabel(slice, decision.event.value, output, atMs)
    }
  }

  #addLabel(slice: DriftSlice, value: number, output: number | undefined, atMs: TimestampMs): void {
    const [, labels, errors] = slice.sketches.slice(-3)
    slice.labels++
    labels!.add(value)
    if (output === undefined) return
    const error = this.isClassifier ? Number(classOf(output) !== value) : Math.abs(output - value)
    errors!.add(error)
    if (!this.#isWatching) return
    for (const { kind, detector } of this.detectors) {
      if (detector.update(error) === 'drift' && this.alarms.length < alarmLimit) {
        this.alarms.push({ detector: kind, atMs, index: this.errors })
      }
    }
    this.errors++
  }

  #compare(reference: DriftSlice, current: DriftSlice): DriftComparison {
    const { alpha, leastEffect, correction } = settingsOf(this.#options)
    const compared = this.#subjects.map((_, index) =>
      compareColumns(reference.sketches[index]!, current.sketches[index]!),
    )
    const adjusted = adjustedPvalues(
      compared.flatMap(({ tests }) => tests.map(({ pValue }) => pValue)),
      correction,
    ).values()
    const subjects = compared.map((comparison, index) => ({
      subject: this.#subjects[index]!,
      ...comparison,
      tests: comparison.tests.map((test) => {
        const p = adjusted.next().value ?? 1
        return { ...test, adjusted: p, isDrift: p <= alpha && test.effect >= leastEffect }
      }),
      reference: countsOf(reference, index),
      current: countsOf(current, index),
    }))
    return { reference: reference.range, current: current.range, subjects }
  }
}

function windowAt({ fromMs, toMs }: TimeRange, everyMs: DurationMs, atMs: TimestampMs): TimeRange {
  const start = fromMs + Math.floor((atMs - fromMs) / everyMs) * everyMs
  return { fromMs: start, toMs: Math.min(toMs, start + everyMs) }
}

/** `numbers` has room for the features, and `bytes` is the same memory. */
function addPrediction(
  slice: DriftSlice,
  features: Uint8Array,
  output: number,
  { numbers, bytes }: { readonly numbers: Float64Array; readonly bytes: Uint8Array },
): void {
  // A loop over the bytes of a few numbers costs less than to make a view of them.
  for (let at = 0; at < features.length; at++) bytes[at] = features[at]!
  const { sketches } = slice
  slice.predictions++
  for (let index = 0; index < numbers.length; index++) sketches[index]!.add(numbers[index]!)
  sketches[numbers.length]!.add(output)
}

/** A probability of class 1, or a class. */
const classOf = (output: number): number => (output >= 0 && output <= 1 ? Number(output >= 0.5) : output)

const countsOf = ({ sketches }: DriftSlice, index: number): SubjectCounts => {
  const { count, missing, mean } = sketches[index]!
  return { count, missing, mean: count === 0 ? null : mean }
}
