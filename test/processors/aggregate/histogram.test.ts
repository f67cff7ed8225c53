import fc from 'fast-check'
import { expect, test } from 'vitest'
import { histogram } from '../../../processors/aggregate/histogram.ts'
import { objectAggregateSuite } from '../../conformance/aggregate.suite.ts'

const edges = [-10, 0, 0.5, 10, 1_000]

objectAggregateSuite<number | null | undefined, Float64Array, number[]>({
  aggregate: histogram(edges),
  input: fc.oneof(fc.integer({ min: -20, max: 20 }), fc.constantFrom(...edges, 0.499, 1e9, -0)),
  oracle(events) {
    if (events.length === 0) return null
    const borders = [Number.NEGATIVE_INFINITY, ...edges, Number.POSITIVE_INFINITY]
    return borders
      .slice(1)
      .map((high, bin) => events.filter(({ input }) => input! >= borders[bin]! && input! < high).length)
  },
  isCanonical: true,
  leftOut: [null, undefined, Number.NaN, Number.POSITIVE_INFINITY],
  maxBytes: 6,
})

test('edges that are not ascending numbers are refused', () => {
  for (const wrong of [[], [1, 1], [2, 1], [Number.NaN], [0, Number.POSITIVE_INFINITY]]) {
    expect(() => histogram(wrong)).toThrow(RangeError)
  }
})
