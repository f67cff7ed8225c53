import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Decision, type DecisionOptions, epsilonGreedy, softmax } from '../../../models/policy/decision.ts'

const actions = ['wait', 'mail', 'call'] as const
/** Values at output 1: 0, 1 and 2. */
const options: DecisionOptions = {
  actions,
  value: (output, action) => output * actions.indexOf(action as 'wait'),
  explore: epsilonGreedy(0.3),
}

test('epsilon-greedy takes the best, and any alike in its share', () => {
  const decision = new Decision('offer', options)
  const [wait, mail, call] = decision.probabilities(1)
  expect([wait, mail]).toEqual([0.3 / 3, 0.3 / 3])
  expect(call).toBeCloseTo(0.8, 15)
  expect(decision.values(1)).toEqual([0, 1, 2])
  // Of equal values the first is the best.
  expect(decision.probabilities(0)[0]).toBeCloseTo(0.8, 15)
})

test('softmax takes actions by their values, however large they are', () => {
  const decision = new Decision('offer', { ...options, explore: softmax(2) })
  const sum = 1 + Math.exp(0.5) + Math.exp(1)
  for (const [index, probability] of decision.probabilities(1).entries()) {
    expect(probability).toBeCloseTo(Math.exp(index / 2) / sum, 14)
  }
  expect(decision.probabilities(1e300)).toEqual([0, 0, 1])
})

test('where a value is unknown all actions are alike', () => {
  expect(new Decision('offer', options).probabilities(Number.NaN)).toEqual([1 / 3, 1 / 3, 1 / 3])
})

test('probabilities add up to one, and what is taken is logged with its own', () => {
  const explore = fc.oneof(
    fc.double({ min: 0, max: 1, noNaN: true }).map(epsilonGreedy),
    fc.double({ min: 0.01, max: 100, noNaN: true }).map(softmax),
  )
  fc.assert(
    fc.property(
      explore,
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string(),
      (how, output, id) => {
        const decision = new Decision('offer', { ...options, explore: how })
        const probabilities = decision.probabilities(output)
        expect(probabilities.reduce((sum, each) => sum + each, 0)).toBeCloseTo(1, 12)
        const { action, propensity } = decision.decide(output, id)
        expect(propensity).toBe(probabilities[decision.actions.indexOf(action)])
        expect(propensity).toBeGreaterThan(0)
        expect(decision.decide(output, id)).toEqual(decision.decide(output, id))
      },
    ),
  )
})

test('over many requests each action is taken as often as its propensity says; another seed draws otherwise', () => {
  const of = (seed: number) => {
    const decision = new Decision('offer', { ...options, explore: softmax(1.5), seed })
    return Array.from({ length: 20_000 }, (_, index) => decision.decide(1, `request-${index}`).action)
  }
  const taken = of(0)
  const expected = new Decision('offer', { ...options, explore: softmax(1.5) }).probabilities(1)
  for (const [index, action] of actions.entries()) {
    const share = taken.filter((each) => each === action).length / taken.length
    // Four standard errors.
    expect(Math.abs(share - expected[index]!)).toBeLessThan(4 * Math.sqrt(0.25 / taken.length))
  }
  expect(of(1)).not.toEqual(taken)
})

test('a reward is the label unless it is said otherwise', () => {
  expect(new Decision('offer', options).reward(0.5, 'call')).toBe(0.5)
  const paid = { ...options, reward: (label: number, action: string) => label - (action === 'call' ? 1 : 0) }
  expect(new Decision('offer', paid).reward(3, 'call')).toBe(2)
})

test('what is no decision is refused', () => {
  for (const wrong of [['one'], ['twice', 'twice'], ['', 'named'], []]) {
    expect(() => new Decision('offer', { ...options, actions: wrong })).toThrow(
      'model "offer" decides between two or more actions',
    )
  }
  expect(() => epsilonGreedy(1.1)).toThrow('got 1.1')
  expect(() => epsilonGreedy(Number.NaN)).toThrow('got NaN')
  expect(() => softmax(0)).toThrow('got 0')
})
