import { describe, expect, test } from 'vitest'
import {
  adaptiveForest,
  hoeffdingTree,
  linearRegression,
  logisticRegression,
  naiveBayes,
  passiveAggressiveRegression,
} from '../../models/dense-specs.ts'
import {
  factorizationLogistic,
  factorizationRegression,
  hashedLogistic,
  hashedRegression,
} from '../../models/learner-specs.ts'
import { draws } from '../support/learning-examples.ts'

const columns = ['x', 'y']
const specs = {
  adaptiveForest: adaptiveForest({ trees: 3, seed: 5 }),
  hoeffdingTree: hoeffdingTree({ gracePeriod: 50 }),
  logisticRegression: logisticRegression({ optimizer: { kind: 'adagrad', rate: 0.1 } }),
  naiveBayes: naiveBayes(),
  factorizationLogistic: factorizationLogistic({ bits: 4, factors: 2 }),
  hashedLogistic: hashedLogistic({ bits: 4 }),
  linearRegression: linearRegression({ loss: { kind: 'huber', delta: 10 } }),
  passiveAggressiveRegression: passiveAggressiveRegression({ epsilon: 0.01 }),
  factorizationRegression: factorizationRegression({ bits: 4, factors: 2 }),
  hashedRegression: hashedRegression({ bits: 4 }),
}

describe('learners that a model can name', () => {
  test.each(Object.entries(specs))('%s learns a simple stream', (_name, spec) => {
    const learner = spec.build(columns)
    const state = learner.init()
    const draw = draws(3)
    let error = 0
    for (let step = 0; step < 4_000; step++) {
      const features = Float64Array.of(draw(), draw())
      const label = spec.task === 'regression' ? features[0]! - features[1]! : features[0]! > 0.5 ? 1 : 0
      if (step >= 3_000) error += Math.abs(learner.predict(state, features) - label) / 1_000
      learner.learn(state, features, label)
    }
    // The best constant is off by a third in a regression, by a half in a classification.
    expect(error).toBeLessThan(0.25)
  })

  test('they have the model’s columns and names that tell their parameters', () => {
    for (const spec of Object.values(specs)) expect(spec.build(columns).featureCount).toBe(2)
    const names = Object.values(specs).map((spec) => spec.build(columns).name)
    expect(new Set(names).size).toBe(names.length)
    expect(adaptiveForest({ trees: 3, seed: 6 }).build(columns).name).not.toBe(names[0])
  })
})
