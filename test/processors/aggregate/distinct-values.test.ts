import type fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Category,
  type CategoryInput,
  compareCategories,
} from '../../../processors/aggregate/category.ts'
import { distinctValues } from '../../../processors/aggregate/distinct-values.ts'
import { objectAggregateSuite, type Timed } from '../../conformance/aggregate.suite.ts'
import { categories, leftOutCategories } from '../../support/category-arbitraries.ts'

/** Sorts all events, and takes every value where it is met first. */
const oracle =
  (keep: 'first' | 'last', bound: number) =>
  (events: readonly Timed<CategoryInput>[]): Category[] | null => {
    const sorted = [...events].sort(
      (a, b) =>
        (keep === 'first' ? a.atMs - b.atMs : b.atMs - a.atMs) ||
        compareCategories(a.input as Category, b.input as Category),
    )
    const values = [...new Set(sorted.map(({ input }) => input as Category))]
    return values.length === 0 ? null : values.slice(0, bound)
  }

for (const keep of ['first', 'last'] as const) {
  for (const bound of [1, 4, 50]) {
    objectAggregateSuite({
      aggregate: distinctValues({ bound, keep }),
      input: categories as fc.Arbitrary<CategoryInput>,
      oracle: oracle(keep, bound),
      isCanonical: true,
      leftOut: leftOutCategories,
      maxBytes: bound * 24,
    })
  }
}

test('a value that comes again is the latest again', () => {
  const aggregate = distinctValues({ bound: 2 })
  let state = aggregate.init()
  for (const [atMs, value] of ['tea', 'milk', 'tea', 'bread'].entries())
    state = aggregate.add(state, value, atMs)
  expect(aggregate.finish(state, 9)).toEqual(['bread', 'tea'])
})
