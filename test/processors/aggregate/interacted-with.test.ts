import type fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Category,
  type CategoryInput,
  compareCategories,
} from '../../../processors/aggregate/category.ts'
import { interactedWith } from '../../../processors/aggregate/interacted-with.ts'
import { minutes } from '../../../state/contracts/units.ts'
import { objectAggregateSuite } from '../../conformance/aggregate.suite.ts'
import { categories, leftOutCategories } from '../../support/category-arbitraries.ts'

for (const [withinMs, bound] of [
  [1_000, 50],
  [2_000, 3],
] as const) {
  objectAggregateSuite<CategoryInput, Map<Category, number>, ReadonlySet<Category>>({
    aggregate: interactedWith({ withinMs, bound }),
    input: categories as fc.Arbitrary<CategoryInput>,
    oracle(events, queryMs) {
      const latest = [...events].sort(
        (a, b) => b.atMs - a.atMs || compareCategories(a.input as Category, b.input as Category),
      )
      const known = [...new Set(latest.map(({ input }) => input as Category))].slice(0, bound)
      const recent = known.filter((value) =>
        events.some(({ input, atMs }) => input === value && atMs >= queryMs - withinMs),
      )
      return recent.length === 0 ? null : new Set(recent)
    },
    isCanonical: true,
    leftOut: leftOutCategories,
    maxBytes: bound * 24,
  })
}

test('an interaction counts from its own instant on, for so long, the last instant included', () => {
  const aggregate = interactedWith({ withinMs: minutes(5), bound: 10 })
  const state = aggregate.add(aggregate.init(), 'film-7', 60_000)
  const known = [60_000, 60_001, 360_000, 360_001].map((queryMs) =>
    aggregate.finish(state, queryMs)?.has('film-7'),
  )
  expect(known).toEqual([undefined, true, true, undefined])
})

test('bounds that bound nothing are refused', () => {
  expect(() => interactedWith({ withinMs: 0, bound: 1 })).toThrow(RangeError)
  expect(() => interactedWith({ withinMs: 1, bound: 0 })).toThrow(RangeError)
})
