import { describe, expect, test } from 'vitest'
import {
  type FactorizationOptions,
  factorizationLogistic,
  factorizationRegression,
} from '../../../models/online/factorization-machine.ts'
import { learnerSuite } from '../../conformance/learner.suite.ts'
import { draws, learningExamples } from '../../support/learning-examples.ts'

const columns = [
  { name: 'amount', kind: 'numeric' },
  { name: 'hour', kind: 'bucketed', edges: [-1, 0, 1] },
  { name: 'city', kind: 'categorical' },
  { name: 'share', kind: 'numeric', scale: 'none' },
] as const
const binary = learningExamples({ count: 120, features: 4, classes: 2 })
const values = learningExamples({ count: 120, features: 4, classes: 0 })

const variants: readonly Partial<FactorizationOptions>[] = [
  {},
  { optimizer: { kind: 'sgd', rate: 0.01, l2: 0.001 }, factors: 3, start: { kind: 'sine', scale: 0.1 } },
  { optimizer: { kind: 'ftrl', alpha: 0.1 }, factorOptimizer: { kind: 'adagrad', rate: 0.05 } },
]
for (const variant of variants) {
  const options = { columns, bits: 8, ...variant }
  learnerSuite(`factorisation ${JSON.stringify(variant)}`, factorizationLogistic(options), binary)
  learnerSuite(`factorisation of values ${JSON.stringify(variant)}`, factorizationRegression(options), values)
}

describe('factorizationLogistic', () => {
  const sides = [
    { name: 'user', kind: 'categorical' },
    { name: 'item', kind: 'categorical' },
  ] as const

  test('foretells a pair it has never seen from pairs that share its sides', () => {
    const learner = factorizationLogistic({
      columns: sides,
      bits: 10,
      factors: 4,
      start: { kind: 'normal', deviation: 0.3 },
    })
    const state = learner.init()
    const draw = draws(11)
    // Users and items of one parity like each other; every seventh pair is kept back.
    const isKept = (user: number, item: number): boolean => (user * 31 + item * 17) % 7 === 0
    for (let step = 0; step < 30_000; step++) {
      const user = Math.floor(draw() * 20)
      const item = Math.floor(draw() * 20)
      if (!isKept(user, item))
        learner.learn(state, Float64Array.of(user, item), (user + item) % 2 === 0 ? 1 : 0)
    }
    const kept = Array.from(
      { length: 400 },
      (_, index) => [Math.floor(index / 20), index % 20] as const,
    ).filter(([user, item]) => isKept(user, item))
    const right = kept.filter(
      ([user, item]) =>
        learner.predict(state, Float64Array.of(user, item)) > 0.5 === ((user + item) % 2 === 0),
    )
    expect(kept.length).toBeGreaterThan(40)
    // A weight for each user and item alone would do no better than a coin.
    expect(right.length / kept.length).toBeGreaterThan(0.85)
  })

  test('with factors started by slot, the first answer about an input does not depend on who came before', () => {
    const learner = factorizationLogistic({ columns: sides, bits: 10 })
    const crowded = learner.init()
    for (let user = 10; user < 20; user++)
      learner.learn(crowded, Float64Array.of(user, Number.NaN), 1, 1e-300)
    const pair = Float64Array.of(1, 2)
    expect(learner.predict(crowded, pair)).toBeCloseTo(learner.predict(learner.init(), pair), 12)
  })

  test('a declaration that makes no sense is refused', () => {
    expect(() => factorizationLogistic({ columns: sides, factors: 0 })).toThrow(/from 1 to 64/)
    expect(() => factorizationLogistic({ columns: sides, optimizer: { kind: 'ftrl', alpha: 1 } })).toThrow(
      /factorOptimizer/,
    )
    expect(() => factorizationLogistic({ columns: sides, start: { kind: 'normal', deviation: 0 } })).toThrow(
      /deviation/,
    )
  })
})
