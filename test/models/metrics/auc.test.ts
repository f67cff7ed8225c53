import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bootstrapIntervals } from '../../../models/evaluation/bootstrap.ts'
import { binnedAuc, exactAuc } from '../../../models/metrics/auc.ts'
import { averagePrecision, binnedAveragePrecision } from '../../../models/metrics/average-precision.ts'
import { evaluate } from '../../../models/metrics/metric.ts'
import { SeededGenerator } from '../../../models/policy/seeded-generator.ts'

const scored = fc.array(fc.record({ label: fc.constantFrom(0, 1), score: fc.integer({ min: 0, max: 20 }) }), {
  minLength: 1,
  maxLength: 60,
})
const labelsOf = (examples: readonly { label: number }[]): number[] => examples.map(({ label }) => label)
const scoresOf = (examples: readonly { score: number }[]): number[] => examples.map(({ score }) => score / 20)

describe('exactAuc', () => {
  test('is the share of pairs in the right order, ties one half', () => {
    fc.assert(
      fc.property(scored, (examples) => {
        const positives = examples.filter(({ label }) => label === 1)
        const negatives = examples.filter(({ label }) => label === 0)
        const wins = positives.flatMap((positive) =>
          negatives.map((negative) => (Math.sign(positive.score - negative.score) + 1) / 2),
        )
        const naive = wins.reduce((sum, win) => sum + win, 0) / wins.length
        expect(evaluate(exactAuc, labelsOf(examples), scoresOf(examples))).toBe(naive)
      }),
    )
  })

  test('has no value while a class is missing', () => {
    expect(evaluate(exactAuc, [1, 1], [0.1, 0.2])).toBeNaN()
  })
})

describe('binnedAuc', () => {
  test('is as near to the exact one as it says', () => {
    fc.assert(
      fc.property(scored, fc.integer({ min: 2, max: 64 }), (examples, bins) => {
        const metric = binnedAuc(bins)
        const fold = metric.start()
        for (const { label, score } of examples) fold.add(label, (score + 1) / 22)
        const exact = evaluate(exactAuc, labelsOf(examples), scoresOf(examples))
        if (Number.isNaN(exact)) expect(fold.value()).toBeNaN()
        else
          expect(Math.abs(fold.value() - exact)).toBeLessThanOrEqual(metric.errorBound(fold.save()) + 1e-12)
      }),
    )
  })

  test('takes certain predictions', () => {
    expect(evaluate(binnedAuc(), [0, 1], [0, 1])).toBe(1)
  })
})

describe('averagePrecision', () => {
  test('is the mean precision at the positives when no score is tied', () => {
    expect(evaluate(averagePrecision, [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])).toBeCloseTo((1 + 2 / 3) / 2, 15)
  })

  test('takes equal scores as one step', () => {
    expect(evaluate(averagePrecision, [1, 0, 0, 1], [0.5, 0.5, 0.5, 0.5])).toBe(0.5)
  })

  test('by bins it is the exact one where different scores lie in different bins', () => {
    fc.assert(
      fc.property(scored, (examples) => {
        const scores = examples.map(({ score }) => 0.05 + 0.045 * score)
        const exact = evaluate(averagePrecision, labelsOf(examples), scores)
        const binned = evaluate(binnedAveragePrecision(), labelsOf(examples), scores)
        if (Number.isNaN(exact)) expect(binned).toBeNaN()
        else expect(binned).toBeCloseTo(exact, 12)
      }),
    )
  })

  test('its resamples give the interval that those of the exact one give', () => {
    const generator = SeededGenerator.of(3)
    const labels = Float64Array.from({ length: 400 }, () => Number(generator.uniform() < 0.3))
    const scores = labels.map((label) => 1 / (1 + Math.exp(-(generator.normal() + label))))
    const metrics = [averagePrecision, binnedAveragePrecision()]
    const options = { resamples: 200, confidence: 0.9, seed: 1 }
    const [[exact, binned] = []] = bootstrapIntervals(
      { labels, predictions: [scores] },
      metrics,
      options,
    ).values
    const value = evaluate(averagePrecision, labels, scores)
    expect(exact!.lower).toBeLessThan(value)
    expect(exact!.upper).toBeGreaterThan(value)
    expect(binned!.lower).toBeCloseTo(exact!.lower, 2)
    expect(binned!.upper).toBeCloseTo(exact!.upper, 2)
  })
})
