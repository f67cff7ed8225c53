import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type QuantileSketch, quantile, quantiles } from '../../../processors/aggregate/quantiles.ts'
import { objectAggregateSuite, type Timed } from '../../conformance/aggregate.suite.ts'

const shares = [0, 0.25, 0.5, 0.9, 1]

const exact = (events: readonly Timed<number | null | undefined>[]): number[] | null => {
  const sorted = events.map(({ input }) => input!).sort((a, b) => a - b)
  return sorted.length === 0 ? null : shares.map((share) => sorted[Math.floor(share * (sorted.length - 1))]!)
}

for (const relativeError of [0.01, 0.2]) {
  objectAggregateSuite<number | null | undefined, QuantileSketch, number[]>({
    aggregate: quantiles(shares, { relativeError }),
    input: fc.oneof(
      fc.integer({ min: -50, max: 50 }),
      fc
        .double({ min: -1e6, max: 1e6, noNaN: true })
        .filter((value) => value === 0 || Math.abs(value) > 1e-9),
    ),
    oracle: exact,
    compare(got, wanted) {
      if (got === null || wanted === null) {
        expect(got).toBe(wanted)
        return
      }
      expect(got).toHaveLength(shares.length)
      for (const [index, value] of wanted.entries()) {
        expect(Math.abs(got[index]! - value)).toBeLessThanOrEqual((relativeError + 1e-12) * Math.abs(value))
      }
    },
    isCanonical: true,
    leftOut: [null, undefined, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
    maxBytes: 16 + 6 + 40 * 6,
  })
}

// So few bins that magnitudes fall together: the laws hold, the bound only at the large end.
objectAggregateSuite<number | null | undefined, QuantileSketch, number>({
  label: 'with four bins',
  aggregate: quantile(1, { relativeError: 0.1, bins: 4 }),
  input: fc.integer({ min: -1_000, max: 1_000 }),
  oracle: (events) => (events.length === 0 ? null : Math.max(...events.map(({ input }) => input!))),
  compare(got, wanted, events) {
    if (events.every(({ input }) => input! > 0) && wanted !== null) {
      expect(Math.abs(got! - wanted)).toBeLessThanOrEqual(0.1 * wanted + 1e-9)
    } else expect(got === null).toBe(wanted === null)
  },
  isCanonical: true,
  maxBytes: 16 + 6 + 8 * 4,
})

test('numbers at the ends of the range of doubles do not leave it', () => {
  const aggregate = quantiles([0, 0.5, 1])
  let state = aggregate.init()
  for (const value of [Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE])
    state = aggregate.add(state, value, 0)
  expect(aggregate.finish(state, 1)).toEqual([-Number.MAX_VALUE, 0, Number.MAX_VALUE])
})

test('a single value is its own quantile, exactly', () => {
  const aggregate = quantile(0.5)
  expect(aggregate.finish(aggregate.add(aggregate.init(), 123.456, 0), 1)).toBe(123.456)
})

test('shares, errors and bins that mean nothing are refused', () => {
  expect(() => quantiles([])).toThrow(RangeError)
  expect(() => quantile(1.1)).toThrow(RangeError)
  expect(() => quantile(0.5, { relativeError: 0 })).toThrow(RangeError)
  expect(() => quantile(0.5, { bins: 1 })).toThrow(RangeError)
})
