import { describe, expect, test } from 'vitest'
import type { Metric, MetricFold } from '../../models/metrics/metric.ts'

export interface Judged {
  readonly label: number
  readonly prediction: number
  readonly weight?: number
}

/** The laws in `models/metrics/metric.ts`, for any metric. */
export function metricSuite(metric: Metric, examples: readonly Judged[]): void {
  const fold = (slice: readonly Judged[], into: MetricFold = metric.start()): MetricFold => {
    for (const { label, prediction, weight } of slice) into.add(label, prediction, weight)
    return into
  }
  const half = Math.floor(examples.length / 2)

  describe(`metric ${metric.name}`, () => {
    test('a fresh fold has no value, a full one has', () => {
      expect(metric.start().value()).toBeNaN()
      expect(fold(examples).value()).not.toBeNaN()
    })

    test('the fold of a list is the merge of the folds of its halves', () => {
      const merged = fold(examples.slice(0, half))
      const right = fold(examples.slice(half))
      const before = right.save()
      merged.merge(right)
      const value = fold(examples).value()
      expect(merged.value() / value).toBeCloseTo(1, 10)
      expect(right.save()).toEqual(before)
    })

    test('a fold merged into a fresh one is itself', () => {
      const merged = metric.start()
      merged.merge(fold(examples))
      merged.merge(metric.start())
      expect(merged.value() / fold(examples).value()).toBeCloseTo(1, 12)
    })

    test('saving and restoring half way changes no bit', () => {
      const restored = metric.start()
      restored.add(1, 0.25)
      restored.restore(fold(examples.slice(0, half)).save())
      expect(fold(examples.slice(half), restored).save()).toEqual(fold(examples).save())
    })

    test('NaN is seen, not hidden', () => {
      const broken = fold(examples)
      broken.add(1, Number.NaN)
      expect(broken.value()).toBeNaN()
    })
  })
}
