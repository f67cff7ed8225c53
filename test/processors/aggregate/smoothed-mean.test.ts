import { expect, test } from 'vitest'
import { smoothedMean } from '../../../processors/aggregate/smoothed-mean.ts'
import { columnAggregateSuite, type TimedNumber } from '../../conformance/aggregate.suite.ts'

const smoothed = (events: readonly TimedNumber[], alpha: number): number =>
  events
    .slice(1)
    .reduce((mean, { input }) => alpha * input + (1 - alpha) * mean, events[0]?.input ?? Number.NaN)

for (const alpha of [0.1, 0.5, 1]) {
  columnAggregateSuite({
    aggregate: smoothedMean(alpha),
    label: `alpha ${alpha}`,
    isExactOnIntegers: false,
    oracle: (events) => smoothed(events, alpha),
  })
}

test('a weight outside of (0, 1] is refused', () => {
  for (const alpha of [0, -0.1, 1.1, Number.NaN]) expect(() => smoothedMean(alpha)).toThrow(RangeError)
})
