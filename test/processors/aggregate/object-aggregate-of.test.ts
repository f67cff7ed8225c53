import fc from 'fast-check'
import { expect } from 'vitest'
import { mean } from '../../../processors/aggregate/mean.ts'
import { objectAggregateOf } from '../../../processors/aggregate/object-aggregate-of.ts'
import { variance } from '../../../processors/aggregate/variance.ts'
import { objectAggregateSuite } from '../../conformance/aggregate.suite.ts'

const leftOut = [null, undefined, Number.NaN, Number.NEGATIVE_INFINITY]

objectAggregateSuite<number | null | undefined, Float64Array, number>({
  aggregate: objectAggregateOf(mean()),
  input: fc.integer({ min: -100, max: 100 }),
  oracle: (events) =>
    events.length === 0 ? null : events.reduce((sum, { input }) => sum + input!, 0) / events.length,
  compare: (got, wanted) => expect(got === null ? null : got + 0).toBe(wanted === null ? null : wanted + 0),
  isCanonical: true,
  leftOut,
  maxBytes: 24,
})

objectAggregateSuite<number | null | undefined, Float64Array, number>({
  aggregate: objectAggregateOf(variance({ of: 'population' })),
  input: fc.integer({ min: -100, max: 100 }),
  oracle(events) {
    if (events.length === 0) return null
    const average = events.reduce((sum, { input }) => sum + input!, 0) / events.length
    return events.reduce((sum, { input }) => sum + (input! - average) ** 2, 0) / events.length
  },
  compare(got, wanted) {
    if (got === null || wanted === null) expect(got).toBe(wanted)
    else expect(Math.abs(got - wanted)).toBeLessThanOrEqual(1e-10)
  },
  isCanonical: false,
  leftOut,
  maxBytes: 24,
})
