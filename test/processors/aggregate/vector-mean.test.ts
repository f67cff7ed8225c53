import fc from 'fast-check'
import { expect, test } from 'vitest'
import { vectorMean } from '../../../processors/aggregate/vector-mean.ts'
import { objectAggregateSuite } from '../../conformance/aggregate.suite.ts'

const component = fc.integer({ min: -1_000, max: 1_000 }).map((value) => value / 8)

objectAggregateSuite<ArrayLike<number> | null | undefined, Float64Array, number[]>({
  aggregate: vectorMean(3),
  input: fc.tuple(component, component, component),
  oracle: (events) =>
    events.length === 0
      ? null
      : [0, 1, 2].map((at) => events.reduce((sum, { input }) => sum + input![at]!, 0) / events.length + 0),
  compare: (got, wanted) =>
    expect(got?.map((value) => value + 0) ?? null).toEqual(wanted?.map((value) => value + 0) ?? null),
  isCanonical: true,
  leftOut: [null, undefined, [1, 2], [1, 2, 3, 4], [1, Number.NaN, 2], [Number.POSITIVE_INFINITY, 1, 2]],
  maxBytes: 10 + 16 * 3,
})

test('embeddings have the mean that Chronon gives, of typed arrays too', () => {
  // airbnb/chronon, RowAggregatorTest.scala: four vectors, and one without.
  const aggregate = vectorMean(2)
  let state = aggregate.init()
  for (const vector of [[1, 2], Float32Array.of(3, 4), null, [5, 6], [7, 8]])
    state = aggregate.add(state, vector, 0)
  for (const vector of [
    [1, 2],
    [3, 4],
  ])
    state = aggregate.remove!(state, vector, 0)
  expect(aggregate.finish(state, 1)).toEqual([6, 7])
})

test('a dimension that is not a whole number from 1 is refused', () => {
  for (const wrong of [0, 1.5]) expect(() => vectorMean(wrong)).toThrow(RangeError)
})
