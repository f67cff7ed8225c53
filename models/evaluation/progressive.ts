import type { Database, DatabaseWrite } from '../../state/store/database.ts'
import type { StateStore } from '../../state/store/state-store.ts'
import { binnedAuc } from '../metrics/auc.ts'
import { calibrationError } from '../metrics/calibration.ts'
import type { Metric, MetricFold } from '../metrics/metric.ts'
import { logLoss } from '../metrics/probability-metrics.ts'
import { meanAbsoluteError, rootMeanSquaredError } from '../metrics/regression-metrics.ts'

/** Quality of one scorer by metric; NaN where a metric has no value yet. */
export type Quality = Readonly<Record<string, number>>

/** Cumulative quality when so many labels had been seen. */
export interface QualityPoint {
  readonly count: number
  readonly atMs: number
  readonly byScorer: Readonly<Record<string, Quality>>
}

/** 16,384 bins in log odds keep the error of the AUC well below 1e-4. */
const classificationMetrics: Readonly<Record<string, Metric>> = {
  auc: binnedAuc(1 << 14),
  logLoss: logLoss(),
  mae: meanAbsoluteError,
  ece: calibrationError(),
}

const regressionMetrics: Readonly<Record<string, Metric>> = {
  mae: meanAbsoluteError,
  rmse: rootMeanSquaredError,
}

const valueKey = Buffer.from('folds')

/**
 * Test-then-train evaluation of a model and its baselines: each prediction is
 * judged when its label comes, before the model learns from it. A fold of
 * fixed size, so it costs the same after a billion labels.
 *
 * Source: A. Blum, A. Kalai and J. Langford, "Beating the hold-out: bounds for
 * k-fold and progressive cross-validation", COLT 1999.
 */
export class ProgressiveEvaluation implements StateStore {
  readonly name: string
  readonly scorers: readonly string[]
  readonly metricNames: readonly string[]
  dirtyBytes = 0
  readonly #metrics: readonly Metric[]
  readonly #pointEvery: number
  /** By scorer, then by metric. */
  #folds: MetricFold[][] = []
  /** Points as rows of doubles: count, instant, then each scorer's metrics. */
  #points: number[][] = []
  #count = 0

  constructor(name: string, scorers: readonly string[], classification: boolean, pointEvery = 10_000) {
    const metrics = classification ? classificationMetrics : regressionMetrics
    this.name = name
    this.scorers = scorers
    this.metricNames = Object.keys(metrics)
    this.#metrics = Object.values(metrics)
    this.#pointEvery = pointEvery
    this.clear()
  }

  /** Labels seen. */
  get count(): number {
    return this.#count
  }

  /** `scores[i]` is the prediction of scorer i; `label` is 0 or 1 for classification. */
  add(scores: ArrayLike<number>, label: number, atMs: number): void {
    for (const [index, folds] of this.#folds.entries()) {
      for (const fold of folds) fold.add(label, scores[index]!)
    }
    this.#count++
    this.dirtyBytes += 64
    if (this.#count % this.#pointEvery === 0) {
      this.#points.push([this.#count, atMs, ...this.#folds.flat().map((fold) => fold.value())])
    }
  }

  /** Cumulative quality by scorer. */
  quality(): Readonly<Record<string, Quality>> {
    return this.#byScorer(this.#folds.flat().map((fold) => fold.value()))
  }

  /** Cumulative quality after every so many labels. */
  points(): readonly QualityPoint[] {
    return this.#points.map(([count = 0, atMs = 0, ...values]) => ({
      count,
      atMs,
      byScorer: this.#byScorer(values),
    }))
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    const [bytes] = await database.getMany(this.name, [valueKey])
    if (bytes === undefined) return
    const saved = new Float64Array(bytes.length / 8)
    new Uint8Array(saved.buffer).set(bytes)
    this.#count = saved[0]!
    let at = 1
    for (const fold of this.#folds.flat()) {
      const size = saved[at++]!
      fold.restore(saved.slice(at, at + size))
      at += size
    }
    const width = 2 + this.#folds.flat().length
    for (; at < saved.length; at += width) this.#points.push([...saved.subarray(at, at + width)])
  }

  collect(into: DatabaseWrite[]): void {
    if (this.dirtyBytes === 0) return
    const folds = this.#folds.flat().map((fold) => fold.save())
    const cells = [this.#count, ...folds.flatMap((fold) => [fold.length, ...fold]), ...this.#points.flat()]
    into.push({ space: this.name, key: valueKey, value: Buffer.from(Float64Array.from(cells).buffer) })
    this.dirtyBytes = 0
  }

  clear(): void {
    this.#folds = this.scorers.map(() => this.#metrics.map((metric) => metric.start()))
    this.#points = []
    this.#count = 0
    this.dirtyBytes = 0
  }

  #byScorer(values: readonly number[]): Readonly<Record<string, Quality>> {
    const width = this.metricNames.length
    return Object.fromEntries(
      this.scorers.map((scorer, index) => [
        scorer,
        Object.fromEntries(
          this.metricNames.map((metric, offset) => [metric, values[index * width + offset] ?? Number.NaN]),
        ),
      ]),
    )
  }
}
