import { aucOf } from '../models/metrics/auc.ts'
import type { EvaluationRows } from './evaluation-rows.ts'

/** A sign that the evaluation is too good to be true, with the number that says so. */
export interface Leak {
  readonly kind: 'feature' | 'label-time'
  readonly subject: string
  readonly detail: string
}

/** AUC, or share of the variance, that one feature alone reaches in honest data only where the label all but is the feature. */
const tooGoodAuc = 0.98
const tooGoodVariance = 0.98
const leastSample = 100

/**
 * Features that tell the label by themselves, in a sample of the rows, and
 * labels that were known when they were asked for.
 */
export function leaksOf(
  rows: EvaluationRows,
  columns: readonly string[],
  isClassifier: boolean,
): readonly Leak[] {
  const leaks: Leak[] = []
  let early = 0
  for (let row = 0; row < rows.count; row++) if (rows.labeledAt[row]! < rows.predictedAt[row]!) early++
  if (early > 0) {
    leaks.push({
      kind: 'label-time',
      subject: 'label',
      detail: `${early} of ${rows.count} labels have an event time before that of their prediction`,
    })
  }
  for (const [column, name] of columns.entries()) {
    const labels: number[] = []
    const values: number[] = []
    for (const { row, features } of rows.sample) {
      if (Number.isNaN(features[column]!)) continue
      labels.push(rows.labels[row]!)
      values.push(features[column]!)
    }
    if (labels.length < leastSample) continue
    if (isClassifier) {
      const auc = aucOf({
        labels: Float64Array.from(labels),
        predictions: Float64Array.from(values),
        weights: new Float64Array(labels.length).fill(1),
      })
      const either = Math.max(auc, 1 - auc)
      if (either >= tooGoodAuc) {
        leaks.push({ kind: 'feature', subject: name, detail: `alone it has an AUC of ${either.toFixed(4)}` })
      }
    } else {
      const share = correlation(labels, values) ** 2
      if (share >= tooGoodVariance) {
        const percent = (100 * share).toFixed(1)
        leaks.push({
          kind: 'feature',
          subject: name,
          detail: `alone it explains ${percent} % of the label's variance`,
        })
      }
    }
  }
  return leaks
}

/** Pearson's, NaN where one of them never varies. */
function correlation(left: readonly number[], right: readonly number[]): number {
  const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length
  const [leftMean, rightMean] = [mean(left), mean(right)]
  let both = 0
  let leftSquares = 0
  let rightSquares = 0
  for (const [index, value] of left.entries()) {
    const a = value - leftMean
    const b = right[index]! - rightMean
    both += a * b
    leftSquares += a * a
    rightSquares += b * b
  }
  return both / Math.sqrt(leftSquares * rightSquares)
}
