import type { Database, DatabaseWrite } from '../../state/store/database.ts'
import type { StateStore } from '../../state/store/state-store.ts'

/** Quality of one scorer so far. Absent values have no meaning for the task, or no data yet. */
export interface Quality {
  readonly count: number
  readonly auc?: number
  readonly logLoss?: number
  readonly mae: number
  readonly rmse: number
  /** Mean prediction less mean label. */
  readonly bias: number
  /** Expected calibration error over ten bins of equal width. */
  readonly ece?: number
}

export interface QualityPoint {
  /** Labels seen when the point was taken. */
  readonly count: number
  readonly atMs: number
  /** Cumulative quality by scorer. */
  readonly byScorer: Readonly<Record<string, Quality>>
}

/** Bins of the score for AUC: with scores spread over them the error stays below 1e-4. */
const aucBins = 1 << 14
const calibrationBins = 10
/** count, log loss, absolute error, squared error, predictions, labels, positives, then (n, p, y) for each calibration bin. */
const sumCells = 7 + 3 * calibrationBins

const epsilon = 1e-15

/**
 * Test-then-train evaluation of a model and its baselines: each prediction is
 * judged when its label comes, before the model learns from it. A fold of
 * fixed size, so it costs the same after a billion labels.
 *
 * AUC by the Mann-Whitney statistic over a histogram of scores, ties one
 * half: J. Hanley and B. McNeil, "The meaning and use of the area under a
 * receiver operating characteristic (ROC) curve", Radiology 143, 1982.
 * Progressive validation: A. Blum, A. Kalai and J. Langford, "Beating the
 * hold-out", COLT 1999.
 */
export class ProgressiveEvaluation implements StateStore {
  readonly name: string
  readonly scorers: readonly string[]
  readonly classification: boolean
  dirtyBytes = 0
  readonly #sums: Float64Array
  readonly #positives: Float64Array
  readonly #negatives: Float64Array
  readonly #pointEvery: number
  #points: QualityPoint[] = []
  #count = 0

  constructor(name: string, scorers: readonly string[], classification: boolean, pointEvery = 10_000) {
    this.name = name
    this.scorers = scorers
    this.classification = classification
    this.#pointEvery = pointEvery
    this.#sums = new Float64Array(scorers.length * sumCells)
    this.#positives = new Float64Array(classification ? scorers.length * aucBins : 0)
    this.#negatives = new Float64Array(classification ? scorers.length * aucBins : 0)
  }

  /** Labels seen. */
  get count(): number {
    return this.#count
  }

  /** `scores[at + i]` is the prediction of scorer i; `label` 0 or 1 for classification. */
  add(scores: Float64Array, at: number, label: number, atMs: number): void {
    for (let index = 0; index < this.scorers.length; index++) this.#addOne(index, scores[at + index]!, label)
    this.#count++
    this.dirtyBytes = (this.#sums.length + this.#positives.length * 2) * 8
    if (this.#count % this.#pointEvery === 0) {
      this.#points.push({ count: this.#count, atMs, byScorer: this.quality() })
    }
  }

  /** Cumulative quality, by scorer. */
  quality(): Record<string, Quality> {
    return Object.fromEntries(this.scorers.map((scorer, index) => [scorer, this.#qualityOf(index)]))
  }

  /** Cumulative quality after every so many labels. */
  points(): readonly QualityPoint[] {
    return this.#points
  }

  async restore(database: Database): Promise<void> {
    this.clear()
    const [numbers, points] = await database.getMany(this.name, [
      Buffer.from('numbers'),
      Buffer.from('points'),
    ])
    if (numbers === undefined || points === undefined) return
    const saved = new Float64Array(numbers.length / 8)
    new Uint8Array(saved.buffer).set(numbers)
    this.#count = saved[0]!
    let at = 1
    for (const array of [this.#sums, this.#positives, this.#negatives]) {
      array.set(saved.subarray(at, at + array.length))
      at += array.length
    }
    this.#points = JSON.parse(Buffer.from(points).toString('utf8')) as QualityPoint[]
  }

  collect(into: DatabaseWrite[]): void {
    if (this.dirtyBytes === 0) return
    const saved = new Float64Array(1 + this.#sums.length + this.#positives.length * 2)
    saved[0] = this.#count
    let at = 1
    for (const array of [this.#sums, this.#positives, this.#negatives]) {
      saved.set(array, at)
      at += array.length
    }
    into.push({ space: this.name, key: Buffer.from('numbers'), value: Buffer.from(saved.buffer) })
    into.push({
      space: this.name,
      key: Buffer.from('points'),
      value: Buffer.from(JSON.stringify(this.#points)),
    })
    this.dirtyBytes = 0
  }

  clear(): void {
    this.#sums.fill(0)
    this.#positives.fill(0)
    this.#negatives.fill(0)
    this.#points = []
    this.#count = 0
    this.dirtyBytes = 0
  }

  #addOne(scorer: number, score: number, label: number): void {
    const sums = this.#sums
    const at = scorer * sumCells
    const error = score - label
    sums[at] = sums[at]! + 1
    sums[at + 2] = sums[at + 2]! + Math.abs(error)
    sums[at + 3] = sums[at + 3]! + error * error
    sums[at + 4] = sums[at + 4]! + score
    sums[at + 5] = sums[at + 5]! + label
    if (!this.classification) return
    const positive = label > 0.5
    const clipped = Math.min(1 - epsilon, Math.max(epsilon, score))
    sums[at + 1] = sums[at + 1]! - Math.log(positive ? clipped : 1 - clipped)
    if (positive) sums[at + 6] = sums[at + 6]! + 1
    const bin = scorer * aucBins + Math.min(aucBins - 1, Math.max(0, Math.floor(score * aucBins)))
    const histogram = positive ? this.#positives : this.#negatives
    histogram[bin] = histogram[bin]! + 1
    const calibration =
      at + 7 + 3 * Math.min(calibrationBins - 1, Math.max(0, Math.floor(score * calibrationBins)))
    sums[calibration] = sums[calibration]! + 1
    sums[calibration + 1] = sums[calibration + 1]! + score
    sums[calibration + 2] = sums[calibration + 2]! + label
  }

  #qualityOf(scorer: number): Quality {
    const sums = this.#sums.subarray(scorer * sumCells, (scorer + 1) * sumCells)
    const count = sums[0]!
    const regression = {
      count,
      mae: sums[2]! / count,
      rmse: Math.sqrt(sums[3]! / count),
      bias: (sums[4]! - sums[5]!) / count,
    }
    if (!this.classification || count === 0) return regression
    let ece = 0
    for (let bin = 0; bin < calibrationBins; bin++) {
      ece += Math.abs(sums[7 + 3 * bin + 1]! - sums[7 + 3 * bin + 2]!)
    }
    return { ...regression, auc: this.#auc(scorer), logLoss: sums[1]! / count, ece: ece / count }
  }

  /** NaN while one of the classes has not been seen. */
  #auc(scorer: number): number {
    let below = 0
    let positives = 0
    let wins = 0
    for (let bin = scorer * aucBins; bin < (scorer + 1) * aucBins; bin++) {
      const positive = this.#positives[bin]!
      const negative = this.#negatives[bin]!
      wins += positive * (below + negative / 2)
      below += negative
      positives += positive
    }
    return wins / (below * positives)
  }
}
