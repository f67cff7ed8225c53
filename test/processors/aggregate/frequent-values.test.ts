import type fc from 'fast-check'
import { expect, test } from 'vitest'
import { type CategoryInput, compareCategories } from '../../../processors/aggregate/category.ts'
import { type FrequentValue, frequentValues } from '../../../processors/aggregate/frequent-values.ts'
import { objectAggregateSuite, type Timed } from '../../conformance/aggregate.suite.ts'
import { categories, leftOutCategories } from '../../support/category-arbitraries.ts'

function counted(events: readonly Timed<CategoryInput>[], k: number): FrequentValue[] | null {
  const values = [...new Set(events.map(({ input }) => input as string | number))]
  const counts = values.map((value) => ({
    value,
    count: events.filter(({ input }) => input === value).length,
    error: 0,
  }))
  counts.sort((a, b) => b.count - a.count || compareCategories(a.value, b.value))
  return counts.length === 0 ? null : counts.slice(0, k)
}

const shared = { input: categories as fc.Arbitrary<CategoryInput>, leftOut: leftOutCategories }

// As many counters as there are values: exact.
objectAggregateSuite({
  ...shared,
  label: 'with a counter for every value',
  aggregate: frequentValues({ k: 3, counters: 20 }),
  oracle: (events) => counted(events, 3),
  isCanonical: true,
  maxBytes: 20 * 20,
})

const counters = 5
objectAggregateSuite({
  ...shared,
  label: 'with few counters',
  aggregate: frequentValues({ k: counters, counters }),
  oracle: (events) => counted(events, counters),
  compare(got, wanted, events) {
    if (got === null || wanted === null) {
      expect(got).toBe(wanted)
      return
    }
    const most = events.length / counters
    for (const { value, count, error } of got) {
      const truth = events.filter(({ input }) => input === value).length
      expect(error).toBeLessThanOrEqual(most)
      expect(truth).toBeLessThanOrEqual(count)
      expect(truth).toBeGreaterThanOrEqual(count - error)
    }
    // Whoever occurs more often than the bound is there. (`wanted` may be another way's answer.)
    const answered = got.map(({ value }) => value)
    const frequent = counted(events, counters)!.filter(({ count }) => count > most)
    expect(frequent.filter(({ value }) => !answered.includes(value))).toEqual([])
  },
  isCanonical: false,
  maxBytes: counters * 20,
})

test('merged counts are those that Chronon gives for its histograms', () => {
  // airbnb/chronon, ApproxHistogramTest.scala, k = 3.
  const aggregate = frequentValues({ k: 3, counters: 10 })
  const fold = (counts: Record<string, number>) =>
    Object.entries(counts)
      .flatMap(([value, count]) => Array.from({ length: count }, () => value))
      .reduce((state, value) => aggregate.add(state, value, 0), aggregate.init())
  const merged = aggregate.merge(fold({ 5: 5, 4: 4, 2: 2, 1: 1 }), fold({ 6: 6, 4: 4, 2: 2, 1: 1 }))
  expect(aggregate.finish(merged, 1)?.map(({ value, count }) => [value, count])).toEqual([
    ['4', 8],
    ['6', 6],
    ['5', 5],
  ])
})

test('a heavy value is found among twenty thousand others, through merges', () => {
  const aggregate = frequentValues({ k: 1, counters: 50 })
  let merged = aggregate.init()
  for (let part = 0; part < 20; part++) {
    let state = aggregate.init()
    for (let index = 0; index < 1_000; index++) {
      state = aggregate.add(state, index % 20 === 0 ? 'heavy' : part * 1_000 + index, 0)
    }
    merged = aggregate.merge(merged, state)
  }
  const [top] = aggregate.finish(merged, 1)!
  expect(top?.value).toBe('heavy')
  expect(top!.count - top!.error).toBeLessThanOrEqual(1_000)
  expect(top!.count).toBeGreaterThanOrEqual(1_000)
})

test('fewer counters than answers are refused', () => {
  expect(() => frequentValues({ k: 0 })).toThrow(RangeError)
  expect(() => frequentValues({ k: 5, counters: 4 })).toThrow(RangeError)
})
