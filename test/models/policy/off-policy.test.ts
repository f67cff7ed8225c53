import fc from 'fast-check'
import { expect, test } from 'vitest'
import { estimateOffPolicy, requireSupport } from '../../../models/policy/off-policy.ts'

test('a policy judged by its own log has the mean reward, with every choice counting fully', () => {
  const choice = fc.record({
    reward: fc.integer({ min: -5, max: 5 }),
    propensity: fc.double({ min: 0.01, max: 1, noNaN: true }),
  })
  fc.assert(
    fc.property(fc.array(choice, { minLength: 1, maxLength: 50 }), (log) => {
      const own = log.map((each) => ({ ...each, targetProbability: each.propensity }))
      const mean = log.reduce((sum, { reward }) => sum + reward, 0) / log.length
      const { ips, snips, replay, effectiveSampleSize, matched } = estimateOffPolicy(own)
      for (const value of [ips, snips, replay]) expect(value).toBeCloseTo(mean, 10)
      expect(effectiveSampleSize).toBeCloseTo(log.length, 8)
      expect(matched).toBe(log.length)
    }),
  )
})

/** Two choices: weights 4 and 0.5, rewards 1 and 3. */
const pair = [
  { reward: 1, propensity: 0.2, targetProbability: 0.8, estimate: 0.5, targetEstimate: 2 },
  { reward: 3, propensity: 0.8, targetProbability: 0.4, estimate: 2.5, targetEstimate: 1 },
]

test('each estimate is what its paper says, worked out by hand', () => {
  expect(estimateOffPolicy(pair, { clip: 2, switchAt: 1 })).toEqual({
    count: 2,
    matched: 2,
    replay: 2,
    meanWeight: 2.25,
    maxWeight: 4,
    effectiveSampleSize: 4.5 ** 2 / 16.25,
    ips: 2.75,
    // Weighted rewards 4 and 1.5.
    ipsError: Math.sqrt(3.125 / 2),
    snips: 5.5 / 4.5,
    clipped: 1.75,
    clippedCount: 1,
    direct: 1.5,
    doublyRobust: (3 + 4 * 0.5 + 0.5 * 0.5) / 2,
    switched: (3 + 0.5 * 0.5) / 2,
  })
})

test('estimates that need a model are left out where a choice has none', () => {
  const [first, second] = pair
  const { estimate: _, targetEstimate: __, ...bare } = second!
  expect(estimateOffPolicy([first!, bare])).not.toHaveProperty('doublyRobust')
})

test('a log that cannot support the answer is refused with the number', () => {
  expect(() => requireSupport(estimateOffPolicy(pair), 10)).toThrow(
    'the 2 logged choices are worth 1.2 of the policy in question, at least 10 are needed',
  )
  expect(() => requireSupport(estimateOffPolicy(pair), 1)).not.toThrow()
  expect(() => estimateOffPolicy([])).toThrow('at least one logged choice')
  expect(() => estimateOffPolicy([{ reward: 1, propensity: 0, targetProbability: 1 }])).toThrow('propensity')
})
