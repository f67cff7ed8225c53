import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { fromSnapshot, type Learner } from '../../../models/learner.ts'
import { adaptiveForest } from '../../../models/online/adaptive-forest.ts'
import { hoeffdingTree } from '../../../models/online/hoeffding-tree.ts'
import { learnerSuite } from '../../conformance/learner.suite.ts'
import { goldenData } from '../../golden/golden-data.ts'
import { multiclassMetrics, replay, scoredOf } from '../../golden/learner-replay.ts'
import { draws, learningExamples } from '../../support/learning-examples.ts'

const shape = { featureCount: 4, classCount: 3 }
const many = learningExamples({ count: 150, features: 4, classes: 3 })
const eager = { gracePeriod: 10, tau: 0.5, delta: 0.05 }

learnerSuite('adaptive forest', adaptiveForest({ ...shape, ...eager, trees: 3 }), many)
learnerSuite(
  'adaptive forest of one feature',
  adaptiveForest({ ...shape, featuresPerLeaf: 1, trees: 2 }),
  many,
)

describe('adaptiveForest', () => {
  const accuracy = (learner: Learner): number => {
    const data = goldenData(
      'Phishing',
      fileURLToPath(new URL('../../golden/online-learning', import.meta.url)),
    )!
    return multiclassMetrics(
      classesOf(
        scoredOf(
          replay(() => learner, data),
          data,
        ),
      ),
    )['Accuracy']!
  }

  test('knows phishing better than a single tree does, whatever the seed', () => {
    const single = accuracy(hoeffdingTree({ featureCount: 9, classCount: 2 }))
    for (const seed of [1, 2, 3]) {
      expect(accuracy(adaptiveForest({ featureCount: 9, classCount: 2, seed }))).toBeGreaterThan(single)
    }
  })

  test('recovers when the classes swap places, while a single tree does not', () => {
    const swapped = (learner: Learner): number => {
      const state = learner.init()
      const draw = draws(9)
      let right = 0
      for (let step = 0; step < 4_000; step++) {
        const features = Float64Array.of(draw(), draw(), draw())
        const label = features[0]! > 0.5 === step < 2_000 ? 1 : 0
        if (step >= 2_500) right += learner.predict(state, features) > 0.5 === (label === 1) ? 1 : 0
        learner.learn(state, features, label)
      }
      return right / 1_500
    }
    expect(swapped(adaptiveForest({ featureCount: 3, classCount: 2, trees: 5 }))).toBeGreaterThan(0.9)
    expect(swapped(hoeffdingTree({ featureCount: 3, classCount: 2 }))).toBeLessThan(0.8)
  })

  test('a snapshot at any time around a change keeps every bit, successors included', () => {
    const learner = adaptiveForest({ featureCount: 2, classCount: 2, trees: 3, ...eager })
    const state = learner.init()
    const draw = draws(4)
    const example = (step: number): [Float64Array, number] => {
      const features = Float64Array.of(draw(), draw())
      return [features, features[0]! > 0.5 === step < 300 ? 1 : 0]
    }
    const sizes = new Set<number>()
    let restored = learner.init()
    for (let step = 0; step < 450; step++) {
      if (step % 10 === 0) restored = fromSnapshot(learner, state.snapshot())
      const [features, label] = example(step)
      learner.learn(state, features, label)
      learner.learn(restored, features, label)
      sizes.add(state.snapshot().length)
      expect(Buffer.compare(restored.snapshot(), state.snapshot())).toBe(0)
    }
    expect(sizes.size).toBeGreaterThan(10)
  })

  test('a declaration that makes no sense is refused', () => {
    expect(() => adaptiveForest({ ...shape, trees: 0 })).toThrow(/trees/)
    expect(() => adaptiveForest({ ...shape, featuresPerLeaf: 5 })).toThrow(/featuresPerLeaf/)
    expect(() => adaptiveForest({ ...shape, lambda: 0 })).toThrow(/lambda/)
  })
})

function classesOf({ labels, predictions }: { labels: number[]; predictions: number[] }): {
  labels: number[]
  predictions: number[]
} {
  return { labels, predictions: predictions.map((p) => (p > 0.5 ? 1 : 0)) }
}
