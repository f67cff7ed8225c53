import { describe, expect, test } from 'vitest'
import {
  linearRegression,
  logisticRegression,
  type RegressionLoss,
} from '../../../models/online/linear-model.ts'
import type { VectorOptimizerOptions } from '../../../models/online/vector-optimizer.ts'
import { learnerSuite } from '../../conformance/learner.suite.ts'
import { draws, learningExamples } from '../../support/learning-examples.ts'

const optimizers: readonly VectorOptimizerOptions[] = [
  { kind: 'sgd', rate: 0.05 },
  { kind: 'momentum', rate: 0.01 },
  { kind: 'nesterov', rate: 0.01 },
  { kind: 'adagrad', rate: 0.1 },
  { kind: 'rmsprop', rate: 0.01 },
  { kind: 'adadelta' },
  { kind: 'adam', rate: 0.01 },
  { kind: 'amsgrad', rate: 0.01 },
  { kind: 'ftrl', alpha: 0.1, l1: 0.01, l2: 0.1 },
  { kind: 'ftrl', alpha: 0.1, lagging: true },
]
const losses: readonly RegressionLoss[] = [
  { kind: 'squared' },
  { kind: 'absolute' },
  { kind: 'quantile', quantile: 0.9 },
  { kind: 'huber', delta: 1 },
]
const binary = learningExamples({ count: 90, features: 4, classes: 2 })
const values = learningExamples({ count: 90, features: 4, classes: 0 })

for (const optimizer of optimizers) {
  const options = { featureCount: 4, optimizer, l2: 0.001 }
  learnerSuite(`logistic regression, ${JSON.stringify(optimizer)}`, logisticRegression(options), binary)
}
for (const scaling of ['none', 'standard-with-self'] as const) {
  learnerSuite(`logistic regression, ${scaling}`, logisticRegression({ featureCount: 4, scaling }), binary)
}
for (const loss of losses) {
  learnerSuite(`linear regression, ${loss.kind}`, linearRegression({ featureCount: 4, loss }), values)
}

describe('linearRegression', () => {
  const fitted = (loss: RegressionLoss, noise: (draw: () => number) => number): number => {
    const learner = linearRegression({
      featureCount: 1,
      loss,
      optimizer: { kind: 'sgd', rate: 0.01 },
      interceptRate: 0.02,
    })
    const state = learner.init()
    const draw = draws(5)
    let tail = 0
    for (let row = 0; row < 20_000; row++) {
      const features = Float64Array.of(draw())
      learner.learn(state, features, 3 * features[0]! + noise(draw))
      if (row >= 10_000) tail += learner.predict(state, Float64Array.of(0.5)) / 10_000
    }
    return tail
  }

  test('the quantile loss finds the quantile, the absolute loss the median, the squared loss the mean', () => {
    const skewed = (draw: () => number): number => draw() ** 2
    expect(fitted({ kind: 'quantile', quantile: 0.9 }, skewed)).toBeCloseTo(1.5 + 0.81, 1)
    expect(fitted({ kind: 'absolute' }, skewed)).toBeCloseTo(1.5 + 0.25, 1)
    expect(fitted({ kind: 'squared' }, skewed)).toBeCloseTo(1.5 + 1 / 3, 1)
  })

  test('the Huber loss is not carried away by one label in a hundred that is broken', () => {
    const broken = (draw: () => number): number => (draw() < 0.01 ? 1_000 : 0)
    expect(fitted({ kind: 'huber', delta: 1 }, broken)).toBeCloseTo(1.5, 1)
    expect(fitted({ kind: 'squared' }, broken)).toBeGreaterThan(5)
  })

  test('contributions add up to the answer', () => {
    const learner = linearRegression({ featureCount: 4 })
    const state = learner.init()
    for (const { features, label } of values) learner.learn(state, features, label)
    const terms = new Float64Array(5)
    for (const { features } of values) {
      learner.contributions(state, features, terms)
      const sum = terms.reduce((total, term) => total + term, 0)
      expect(sum).toBeCloseTo(learner.predict(state, features), 12)
    }
  })
})
