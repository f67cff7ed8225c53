import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ColumnFold } from '../../../processors/aggregate/aggregate.ts'
import { type FusedFold, summaryFold } from '../../../processors/aggregate/summary-fold.ts'

const values = fc.array(
  fc.oneof(fc.double({ noDefaultInfinity: true, noNaN: true }), fc.constantFrom(0, -0, 1, Number.NaN)),
  { maxLength: 20 },
)

/** What a fold makes of events added one by one, then of rows merged behind them. */
function outcome(
  fold: ColumnFold,
  added: readonly number[],
  rows: readonly (readonly number[])[],
): Float64Array {
  const row = new Float64Array(fold.width)
  const addAll = (into: Float64Array, at: number, list: readonly number[]) => {
    fold.init(into, at)
    for (const value of list) if (!Number.isNaN(value)) fold.add(into, at, value, 0)
  }
  addAll(row, 0, added)
  const block = new Float64Array(rows.length * fold.width)
  for (const [index, list] of rows.entries()) addAll(block, index * fold.width, list)
  fold.mergeRows(row, 0, block, 0, fold.width, rows.length)
  return row
}

const parts = ({ parts: each }: FusedFold, row: Float64Array): Float64Array[] =>
  each.map(({ fold, at }) => row.slice(at, at + fold.width))

describe('several folds in one', () => {
  test('give the bits that each gives by itself, added and merged', () => {
    fc.assert(
      fc.property(values, fc.array(values, { maxLength: 5 }), (added, rows) => {
        expect(parts(summaryFold, outcome(summaryFold, added, rows))).toEqual(
          summaryFold.parts.map(({ fold }) => outcome(fold, added, rows)),
        )
      }),
    )
  })

  test('a run of values is the values one by one, for every fold that takes runs', () => {
    fc.assert(
      fc.property(values, values, fc.integer({ min: 1, max: 3 }), (before, run, stride) => {
        for (const fold of [summaryFold, ...summaryFold.parts.map((part) => part.fold)]) {
          const cells = new Float64Array(1 + run.length * stride).fill(7)
          for (const [index, value] of run.entries()) cells[1 + index * stride] = value
          const got = outcome(fold, before, [])
          fold.addValues!(got, 0, cells, 1, stride, run.length)
          expect(got).toEqual(outcome(fold, [...before, ...run], []))
        }
      }),
    )
  })

  test('a run of stride 0 is the one value again and again', () => {
    const [{ fold: count }] = summaryFold.parts as [(typeof summaryFold.parts)[0]]
    const row = new Float64Array(1)
    count.addValues!(row, 0, Float64Array.of(1), 0, 0, 5)
    count.addValues!(row, 0, Float64Array.of(Number.NaN), 0, 0, 5)
    expect(row).toEqual(Float64Array.of(5))
  })
})
