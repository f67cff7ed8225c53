import type fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bottomK } from '../../../processors/aggregate/bottom-k.ts'
import type { Category, CategoryInput } from '../../../processors/aggregate/category.ts'
import { firstK } from '../../../processors/aggregate/first-k.ts'
import { lastK } from '../../../processors/aggregate/last-k.ts'
import { topK } from '../../../processors/aggregate/top-k.ts'
import { objectAggregateSuite, type Timed } from '../../conformance/aggregate.suite.ts'
import { categories, leftOutCategories } from '../../support/category-arbitraries.ts'

const k = 3
const listOf = (events: readonly Timed<CategoryInput>[]): Category[] | null =>
  events.length === 0 ? null : events.slice(0, k).map(({ input }) => input as Category)

/** Numbers first, each kind in its own order. */
const ranked = (events: readonly Timed<CategoryInput>[]): Category[] => {
  const inputs = events.map(({ input }) => input as Category)
  const numbers = inputs.filter((input) => typeof input === 'number').sort((a, b) => a - b)
  const strings = inputs.filter((input) => typeof input === 'string').sort()
  return [...numbers, ...strings]
}

const shared = {
  input: categories as fc.Arbitrary<CategoryInput>,
  isCanonical: true,
  leftOut: leftOutCategories,
  maxBytes: k * (8 + 16),
}

objectAggregateSuite({
  ...shared,
  aggregate: firstK(k),
  oracle: (events) => listOf([...events].sort((a, b) => a.atMs - b.atMs)),
})
objectAggregateSuite({
  ...shared,
  aggregate: lastK(k),
  oracle: (events) => listOf([...events].reverse().sort((a, b) => b.atMs - a.atMs)),
})
objectAggregateSuite({
  ...shared,
  aggregate: topK(k),
  oracle: (events) => (events.length === 0 ? null : ranked(events).reverse().slice(0, k)),
})
objectAggregateSuite({
  ...shared,
  aggregate: bottomK(k),
  oracle: (events) => (events.length === 0 ? null : ranked(events).slice(0, k)),
})

describe('lists of at most k', () => {
  // airbnb/chronon, RowAggregatorTest.scala and TileCodecTest.scala.
  const titles = ['A', 'B', 'D', 'A', 'B']

  test.each([
    [lastK(2), ['B', 'A']],
    [firstK(2), ['A', 'B']],
    [topK(2), ['D', 'B']],
    [bottomK(2), ['A', 'A']],
  ] as const)('$0.id answers as Chronon does', (aggregate, wanted) => {
    let state = aggregate.init()
    for (const [index, title] of titles.entries()) state = aggregate.add(state, title, index + 1)
    expect(aggregate.finish(state, 10)).toEqual(wanted)
  })

  test('a k that is not a whole number from 1 is refused', () => {
    for (const wrong of [0, -1, 1.5, Number.NaN]) expect(() => firstK(wrong)).toThrow(RangeError)
  })
})
