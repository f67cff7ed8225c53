import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readRuns, runsOf } from '../../../models/online/double-runs.ts'

const cell = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.double() })

describe('runs of doubles', () => {
  test('give back every bit, NaN and -0 included, and zero what they do not name', () => {
    fc.assert(
      fc.property(fc.array(cell, { maxLength: 200 }), (values) => {
        const cells = Float64Array.from(values)
        const read = new Float64Array(cells.length).fill(9)
        readRuns(runsOf(cells), read, 0, read.length)
        expect(Buffer.from(read.buffer)).toEqual(Buffer.from(cells.buffer))
      }),
    )
  })

  test('of zeros are no bytes', () => {
    expect(runsOf(new Float64Array(512)).length).toBe(0)
  })

  test('that do not fit, or are cut short, are refused', () => {
    const runs = runsOf(Float64Array.of(0, 0, 1, 2))
    expect(() => readRuns(runs, new Float64Array(3), 0, 3)).toThrow(/do not fit/)
    expect(() => readRuns(runs.subarray(0, 9), new Float64Array(4), 0, 4)).toThrow(RangeError)
  })
})
