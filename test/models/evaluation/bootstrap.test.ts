import { describe, expect, test } from 'vitest'
import { bootstrapIntervals } from '../../../models/evaluation/bootstrap.ts'
import { meanAbsoluteError } from '../../../models/metrics/regression-metrics.ts'
import { SeededGenerator } from '../../../models/policy/seeded-generator.ts'

const settings = { resamples: 400, confidence: 0.9, seed: 7 }

/** Rows whose absolute error is a draw of the unit interval: its mean is a half. */
function uniformErrors(count: number, seed: number) {
  const generator = SeededGenerator.of(seed)
  return {
    labels: new Float64Array(count),
    predictions: Float64Array.from({ length: count }, () => generator.uniform()),
  }
}

describe('bootstrap intervals', () => {
  test('hold the truth about as often as they say', () => {
    let held = 0
    for (let seed = 1; seed <= 200; seed++) {
      const { labels, predictions } = uniformErrors(80, seed)
      const { values } = bootstrapIntervals({ labels, predictions: [predictions] }, [meanAbsoluteError], {
        ...settings,
        seed,
      })
      const { lower, upper } = values[0]![0]!
      if (lower <= 0.5 && 0.5 <= upper) held++
    }
    // Nine in ten of 200, and three standard deviations of that.
    expect(held).toBeGreaterThan(167)
    expect(held).toBeLessThan(193)
  })

  test('are as wide as the standard error says', () => {
    const { labels, predictions } = uniformErrors(2_000, 3)
    const { values } = bootstrapIntervals(
      { labels, predictions: [predictions] },
      [meanAbsoluteError],
      settings,
    )
    const { lower, upper } = values[0]![0]!
    const standardError = Math.sqrt(1 / 12 / 2_000)
    expect((upper - lower) / (2 * 1.645 * standardError)).toBeGreaterThan(0.85)
    expect((upper - lower) / (2 * 1.645 * standardError)).toBeLessThan(1.15)
  })

  test('of a difference are those of pairs: a scorer that is worse by the same everywhere is worse for sure', () => {
    const { labels, predictions } = uniformErrors(50, 5)
    const worse = predictions.map((value) => value + 0.25)
    const { differences } = bootstrapIntervals(
      { labels, predictions: [predictions, worse] },
      [meanAbsoluteError],
      settings,
    )
    expect(differences[0]![0]).toEqual({ lower: 0, upper: 0 })
    expect(differences[1]![0]!.lower).toBeCloseTo(0.25, 12)
    expect(differences[1]![0]!.upper).toBeCloseTo(0.25, 12)
  })

  test('are the same for the same seed, and refuse what is no confidence', () => {
    const { labels, predictions } = uniformErrors(30, 9)
    const rows = { labels, predictions: [predictions] }
    const once = bootstrapIntervals(rows, [meanAbsoluteError], settings)
    expect(bootstrapIntervals(rows, [meanAbsoluteError], settings)).toEqual(once)
    expect(bootstrapIntervals(rows, [meanAbsoluteError], { ...settings, seed: 8 })).not.toEqual(once)
    expect(() => bootstrapIntervals(rows, [meanAbsoluteError], { ...settings, confidence: 95 })).toThrow(
      'confidence must lie between 0 and 1, got 95',
    )
  })
})
