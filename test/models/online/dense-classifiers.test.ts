import { describe, expect, test } from 'vitest'
import type { Classifier } from '../../../models/learner.ts'
import { almaClassifier } from '../../../models/online/alma-classifier.ts'
import { hoeffdingTree } from '../../../models/online/hoeffding-tree.ts'
import { classPrior, noChange, targetMean } from '../../../models/online/label-baselines.ts'
import {
  bernoulliNaiveBayes,
  gaussianNaiveBayes,
  multinomialNaiveBayes,
} from '../../../models/online/naive-bayes.ts'
import {
  passiveAggressiveClassifier,
  passiveAggressiveRegression,
} from '../../../models/online/passive-aggressive.ts'
import { softmaxRegression } from '../../../models/online/softmax-regression.ts'
import { type Example, learnerSuite } from '../../conformance/learner.suite.ts'
import { learningExamples } from '../../support/learning-examples.ts'

const binary = learningExamples({ count: 90, features: 4, classes: 2 })
const values = learningExamples({ count: 90, features: 4, classes: 0 })
const many = learningExamples({ count: 300, features: 4, classes: 3 })
const counts = learningExamples({ count: 120, features: 4, classes: 3, levels: 4 })
const shape = { featureCount: 4, classCount: 3 }
const eager = { gracePeriod: 20, tau: 0.5, delta: 0.05 }

const classifiers: readonly (readonly [string, Classifier, readonly Example[]])[] = [
  ['softmax', softmaxRegression(shape), many],
  [
    'softmax, nesterov',
    softmaxRegression({ ...shape, optimizer: { kind: 'nesterov', rate: 0.01 }, l2: 0.01 }),
    many,
  ],
  ['softmax, adam', softmaxRegression({ ...shape, optimizer: { kind: 'adam', rate: 0.01 } }), many],
  [
    'softmax over several pages of state',
    softmaxRegression({ featureCount: 100, classCount: 3, optimizer: { kind: 'adam', rate: 0.01 } }),
    learningExamples({ count: 60, features: 100, classes: 3 }),
  ],
  ['gaussian naive Bayes', gaussianNaiveBayes(shape), many],
  ['multinomial naive Bayes', multinomialNaiveBayes(shape), counts],
  ['bernoulli naive Bayes', bernoulliNaiveBayes({ ...shape, threshold: 1 }), counts],
  ['Hoeffding tree', hoeffdingTree({ ...shape, ...eager }), many],
  ['Hoeffding tree of shares', hoeffdingTree({ ...shape, ...eager, leaves: 'majority' }), many],
  [
    'small Hoeffding tree by Gini',
    hoeffdingTree({ ...shape, ...eager, leaves: 'bayes', criterion: 'gini', maxDepth: 2, maxLeaves: 3 }),
    many,
  ],
  ['no change', noChange(shape), many],
  ['class prior', classPrior(shape), many],
]

for (const [title, learner, examples] of classifiers) {
  learnerSuite(title, learner, examples)

  describe(`classifier ${title}`, () => {
    test('probabilities are all 0 before the first example, and add up to 1 after it', () => {
      const state = learner.init()
      const shares = new Float64Array(learner.classCount).fill(9)
      learner.probabilities(state, examples[0]!.features, shares)
      expect([...shares]).toEqual([0, 0, 0])
      for (const { features, label, weight } of examples) {
        learner.learn(state, features, label, weight)
        learner.probabilities(state, features, shares)
        expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
        expect(shares.every((share) => share >= 0)).toBe(true)
      }
    })

    test('a label that is no class is passed over', () => {
      const state = learner.init()
      const before = Buffer.from(state.snapshot())
      for (const label of [-1, 3, 0.5, 1e9]) learner.learn(state, examples[0]!.features, label)
      expect(Buffer.from(state.snapshot())).toEqual(before)
    })
  })
}

learnerSuite('alma', almaClassifier({ featureCount: 4 }), binary)
learnerSuite('alma, p = 4', almaClassifier({ featureCount: 4, p: 4 }), binary)
for (const mode of [1, 2] as const) {
  learnerSuite(
    `passive-aggressive, mode ${mode}`,
    passiveAggressiveClassifier({ featureCount: 4, mode }),
    binary,
  )
  const regression = passiveAggressiveRegression({ featureCount: 4, mode, c: 0.1 })
  learnerSuite(`passive-aggressive regression, mode ${mode}`, regression, values)
}
learnerSuite('target mean', targetMean({ featureCount: 4 }), values)

describe('passiveAggressiveRegression', () => {
  test('leaves an error within epsilon alone and moves a larger one just to its edge', () => {
    const learner = passiveAggressiveRegression({ featureCount: 1, c: 100, epsilon: 0.5, scaling: 'none' })
    const state = learner.init()
    const features = Float64Array.of(1)
    learner.learn(state, features, 0.4)
    expect(learner.predict(state, features)).toBe(0)
    learner.learn(state, features, 4.5)
    // The whole step is the loss over the squared norm; the constant takes the same step again.
    expect([learner.weights(state)[0], learner.intercept(state)]).toEqual([4, 4])
  })
})

describe('hoeffdingTree', () => {
  const learner = hoeffdingTree({ featureCount: 2, classCount: 2, gracePeriod: 50 })
  const examples = learningExamples({ count: 3_000, features: 2, classes: 0, missing: 0 }).map(
    ({ features }) => ({ features, label: Math.abs(features[0]! - 0.3) < 0.8 && features[1]! > -1 ? 1 : 0 }),
  )

  test('learns what no straight line can: whether a feature lies in the middle', () => {
    const state = learner.init()
    let right = 0
    for (const [index, { features, label }] of examples.entries()) {
      if (index >= 2_000 && learner.predict(state, features) > 0.5 === (label === 1)) right++
      learner.learn(state, features, label)
    }
    expect(state.parts[0]!.leafCount).toBeGreaterThan(2)
    expect(right).toBeGreaterThan(900)
  })

  test('a snapshot that is cut short is refused', () => {
    const state = learner.init()
    for (const { features, label } of examples) learner.learn(state, features, label)
    const snapshot = state.snapshot()
    for (let size = 0; size < snapshot.length; size += 7) {
      expect(() => learner.init().load(snapshot.slice(0, size))).toThrow(/cannot be used/)
    }
  })

  test('a snapshot with a class that does not exist is refused', () => {
    const wide = hoeffdingTree({ featureCount: 2, classCount: 5 })
    const narrow = hoeffdingTree({ featureCount: 2, classCount: 2 })
    const state = wide.init()
    wide.learn(state, Float64Array.of(1, 2), 4)
    const pages = state.save()
    expect(() => narrow.init().restore(pages)).toThrow(/class 4 of 2/)
  })
})
