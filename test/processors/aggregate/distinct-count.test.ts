import type fc from 'fast-check'
import { expect, test } from 'vitest'
import type { CategoryInput } from '../../../processors/aggregate/category.ts'
import { distinctCount } from '../../../processors/aggregate/distinct-count.ts'
import { objectAggregateSuite } from '../../conformance/aggregate.suite.ts'
import { categories, leftOutCategories } from '../../support/category-arbitraries.ts'

for (const bound of [1, 5, 100]) {
  objectAggregateSuite({
    aggregate: distinctCount(bound),
    input: categories as fc.Arbitrary<CategoryInput>,
    oracle(events) {
      const size = new Set(events.map(({ input }) => input)).size
      return size === 0 ? null : Math.min(size, bound)
    },
    isCanonical: true,
    leftOut: leftOutCategories,
    maxBytes: 1 + 16 * bound,
  })
}

// airbnb/chronon, BoundedUniqueCountTest.scala, k = 5.
test.each([
  [[[1, 1, 2]], 2],
  [
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    5,
  ],
])('partials %j have a bounded count of %i', (partials, wanted) => {
  const aggregate = distinctCount(5)
  const merged = partials
    .map((values) => values.reduce((state, value) => aggregate.add(state, value, 0), aggregate.init()))
    .reduce(aggregate.merge, aggregate.init())
  expect(aggregate.finish(merged, 1)).toBe(wanted)
})

test('a bound that is not a whole number from 1 is refused', () => {
  for (const wrong of [0, 2.5, Number.NaN]) expect(() => distinctCount(wrong)).toThrow(RangeError)
})
