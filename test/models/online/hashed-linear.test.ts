import { describe, expect, test } from 'vitest'
import { hashText } from '../../../models/online/hash-text.ts'
import { hashedLogistic, hashedRegression } from '../../../models/online/hashed-linear.ts'
import type { SlotOptimizerOptions } from '../../../models/online/slot-optimizer.ts'
import { learnerSuite } from '../../conformance/learner.suite.ts'
import { draws, learningExamples } from '../../support/learning-examples.ts'

const columns = [
  { name: 'amount', kind: 'numeric' },
  { name: 'hour', kind: 'bucketed', edges: [-1, 0, 1] },
  { name: 'city', kind: 'categorical' },
  { name: 'id', kind: 'unused' },
  { name: 'share', kind: 'numeric', scale: 'none' },
] as const

const optimizers: readonly SlotOptimizerOptions[] = [
  { kind: 'sgd', rate: 0.1, l2: 0.001 },
  { kind: 'adagrad', rate: 0.1 },
  { kind: 'ftrl', alpha: 0.2, beta: 1, l1: 0.01, l2: 0.1 },
]

const binary = learningExamples({ count: 120, features: 5, classes: 2 })
const values = learningExamples({ count: 120, features: 5, classes: 0 })

for (const optimizer of optimizers) {
  const options = { columns, crosses: [['hour', 'city']], bits: 12, optimizer } as const
  learnerSuite(`hashed logistic, ${optimizer.kind}`, hashedLogistic(options), binary)
  learnerSuite(`hashed regression, ${optimizer.kind}`, hashedRegression(options), values)
}

describe('hashedLogistic', () => {
  const one = (features: number[]) => Float64Array.from(features)

  test('a value of a column has its own weight, and so has a combination in a cross', () => {
    const learner = hashedLogistic({
      columns: [
        { name: 'city', kind: 'categorical' },
        { name: 'device', kind: 'categorical' },
      ],
      crosses: [['city', 'device']],
      bits: 16,
      optimizer: { kind: 'sgd', rate: 0.5 },
    })
    const state = learner.init()
    const terms = new Float64Array(4)
    learner.learn(state, one([hashText('Rome'), 1]), 1)
    learner.contributions(state, one([hashText('Rome'), 1]), terms)
    expect(learner.termNames).toEqual(['constant', 'city', 'device', 'city*device'])
    expect([...terms]).toEqual([0.25, 0.25, 0.25, 0.25])
    learner.contributions(state, one([hashText('Rome'), 2]), terms)
    expect([...terms]).toEqual([0.25, 0.25, 0, 0])
    learner.contributions(state, one([hashText('Oslo'), 1]), terms)
    expect([...terms]).toEqual([0.25, 0, 0.25, 0])
  })

  test('a missing identifier uses no weight, its crosses neither', () => {
    const learner = hashedLogistic({
      columns: [
        { name: 'city', kind: 'categorical' },
        { name: 'device', kind: 'categorical' },
      ],
      crosses: [['city', 'device']],
      optimizer: { kind: 'sgd', rate: 0.5 },
    })
    const state = learner.init()
    learner.learn(state, one([Number.NaN, 1]), 1)
    const terms = new Float64Array(4)
    learner.contributions(state, one([Number.NaN, 1]), terms)
    expect([...terms]).toEqual([0.25, 0, 0.25, 0])
  })

  test('a bucket is the number of edges at or below the value', () => {
    const learner = hashedLogistic({
      columns: [{ name: 'distance', kind: 'bucketed', edges: [10, 20] }],
      optimizer: { kind: 'sgd', rate: 0.5 },
    })
    const state = learner.init()
    learner.learn(state, one([10]), 1)
    const bucketWeight = (value: number): number => {
      const terms = new Float64Array(2)
      learner.contributions(state, one([value]), terms)
      return terms[1]!
    }
    expect([9.9, 10, 19.9, 20].map(bucketWeight)).toEqual([0, 0.25, 0.25, 0])
  })

  test('a checkpoint writes the pages that changed, not the whole table', () => {
    const learner = hashedLogistic({ columns: [{ name: 'city', kind: 'categorical' }], bits: 20 })
    const state = learner.init()
    learner.learn(state, one([1]), 1)
    state.save()
    learner.learn(state, one([2]), 1)
    const pages = state.save()
    expect(pages.length).toBeLessThanOrEqual(2)
    expect(pages.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeLessThan(200)
    expect(state.snapshot().length).toBeLessThan(400)
  })

  test('the synthetic stream of thirty features gives the log loss and weights of River', () => {
    const rows = 20_000
    const draw = draws(42)
    const learner = hashedLogistic({
      columns: Array.from({ length: 30 }, (_, index) => ({ name: `f${index}`, kind: 'numeric' as const })),
      bits: 1,
      optimizer: { kind: 'sgd', rate: 0.01 },
    })
    const state = learner.init()
    const features = new Float64Array(30)
    let loss = 0
    for (let row = 0; row < rows; row++) {
      let logit = -1
      for (let index = 0; index < 30; index++) {
        const centred = draw() - 0.5
        features[index] = (index % 5) - 2 + 2 ** (index % 6) * centred
        logit += ((((7 * index) % 11) - 5) / 10) * (centred * Math.sqrt(12))
      }
      const label = draw() < 1 / (1 + Math.exp(-logit)) ? 1 : 0
      const p = learner.predict(state, features)
      loss -= Math.log(label === 1 ? p : 1 - p)
      learner.learn(state, features, label)
    }
    const weightsAt = 4 + 90
    const weights = [1, 2, 30, 0].map((slot) => Number(state.cells[weightsAt + slot]!.toFixed(8)))
    expect(Number((loss / rows).toFixed(8))).toBe(0.47273858)
    expect(weights).toEqual([-0.52663747, 0.19731152, 0.02682641, -1.02852368])
  })

  test('a declaration that makes no sense is refused', () => {
    const city = { name: 'city', kind: 'categorical' } as const
    expect(() => hashedLogistic({ columns: [city, city] })).toThrow(/two columns named "city"/)
    expect(() => hashedLogistic({ columns: [city], crosses: [['city', 'town']] })).toThrow(/"town" is none/)
    expect(() => hashedLogistic({ columns: [city], bits: 30 })).toThrow(/from 1 to 26/)
    expect(() => hashedLogistic({ columns: [{ name: 'x', kind: 'bucketed', edges: [2, 1] }] })).toThrow(
      /ascend/,
    )
    expect(() => hashedLogistic({ columns: [city], optimizer: { kind: 'sgd', rate: 0 } })).toThrow(/rate/)
  })
})

describe('hashedRegression', () => {
  test('the unit of the label does not matter', () => {
    const columnsOfOne = [{ name: 'x', kind: 'numeric' }] as const
    const learn = (unit: number): number => {
      const learner = hashedRegression({ columns: columnsOfOne })
      const state = learner.init()
      const draw = draws(3)
      for (let row = 0; row < 2_000; row++) {
        const x = draw()
        learner.learn(state, Float64Array.of(x), unit * (5 + 3 * x))
      }
      return learner.predict(state, Float64Array.of(0.5)) / unit
    }
    expect(learn(1)).toBeCloseTo(6.5, 1)
    expect(learn(1000)).toBeCloseTo(learn(1), 9)
  })
})
