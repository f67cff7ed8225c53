import { expect, test } from 'vitest'
import { trend } from '../../../processors/aggregate/trend.ts'
import { hours } from '../../../state/contracts/units.ts'
import { columnAggregateSuite, type TimedNumber } from '../../conformance/aggregate.suite.ts'

const perMs = 1_000

function slope(events: readonly TimedNumber[]): number {
  const count = events.length
  const start = events[0]?.atMs ?? 0
  const meanTime = events.reduce((sum, { atMs }) => sum + (atMs - start), 0) / count
  const meanValue = events.reduce((sum, { input }) => sum + input, 0) / count
  let squares = 0
  let products = 0
  for (const { input, atMs } of events) {
    squares += (atMs - start - meanTime) ** 2
    products += (atMs - start - meanTime) * (input - meanValue)
  }
  return (products / squares) * perMs
}

columnAggregateSuite({
  aggregate: trend(perMs),
  isExactOnIntegers: false,
  oracle: (events) => (events.every(({ atMs }) => atMs === events[0]!.atMs) ? Number.NaN : slope(events)),
  // A slope between neighbouring instants takes rounding of the values times four.
  scale: (events) => 8 * Math.max(1, ...events.map(({ input }) => Math.abs(input))),
})

test('a line is found again, in the unit asked for, however far from the epoch', () => {
  const { folds, finish } = trend(hours(1))
  const row = new Float64Array(folds[0]!.width)
  folds[0]!.init(row, 0)
  const startMs = 1_700_000_000_000
  for (let ms = 0; ms < 5; ms++) folds[0]!.add(row, 0, 20 + ms * 0.25, startMs + ms)
  expect(finish(row, [0], startMs + 10)).toBeCloseTo(0.25 * 3_600_000, 6)
})

test('a unit of time that is not positive is refused', () => {
  expect(() => trend(0)).toThrow(RangeError)
  expect(() => trend(Number.POSITIVE_INFINITY)).toThrow(RangeError)
})
