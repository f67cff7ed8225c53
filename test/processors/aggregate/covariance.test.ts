import fc from 'fast-check'
import { expect } from 'vitest'
import {
  correlation,
  covariance,
  type NumberPair,
  type PairAggregate,
  slope,
} from '../../../processors/aggregate/covariance.ts'
import { objectAggregateSuite, type Timed } from '../../conformance/aggregate.suite.ts'

/** Sums about the means in two passes: [squares of x, squares of y, products]. */
function sums(events: readonly Timed<NumberPair>[]): [number, number, number] {
  const meanOf = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length
  const xs = events.map(({ input }) => input[0]!)
  const ys = events.map(({ input }) => input[1]!)
  const [xMean, yMean] = [meanOf(xs), meanOf(ys)]
  const about = (one: number[], oneMean: number, other: number[], otherMean: number): number =>
    one.reduce((sum, value, index) => sum + (value - oneMean) * (other[index]! - otherMean), 0)
  return [about(xs, xMean, xs, xMean), about(ys, yMean, ys, yMean), about(xs, xMean, ys, yMean)]
}

const coordinate = fc.integer({ min: -1_000, max: 1_000 }).map((value) => value / 8)
const varies = (events: readonly Timed<NumberPair>[], at: 0 | 1): boolean =>
  events.some(({ input }) => input[at] !== events[0]!.input[at])

function pairs(
  aggregate: PairAggregate,
  oracle: (events: readonly Timed<NumberPair>[]) => number | null,
): void {
  objectAggregateSuite({
    aggregate,
    input: fc.tuple(coordinate, coordinate),
    oracle,
    compare(got, wanted) {
      if (got === null || wanted === null) expect(got).toBe(wanted)
      else expect(Math.abs(got - wanted)).toBeLessThanOrEqual(1e-11 * Math.max(1, Math.abs(wanted)))
    },
    isCanonical: false,
    leftOut: [
      [null, 1],
      [1, undefined],
      [Number.NaN, 1],
      [1, Number.NEGATIVE_INFINITY],
    ],
    maxBytes: 48,
  })
}

pairs(covariance(), (events) => (events.length < 2 ? null : sums(events)[2] / (events.length - 1)))
pairs(covariance({ of: 'population' }), (events) =>
  events.length === 0 ? null : sums(events)[2] / events.length,
)
pairs(correlation(), (events) => {
  if (!varies(events, 0) || !varies(events, 1)) return null
  const [xx, yy, xy] = sums(events)
  return xy / Math.sqrt(xx * yy)
})
pairs(slope(), (events) => (varies(events, 0) ? sums(events)[2] / sums(events)[0] : null))
