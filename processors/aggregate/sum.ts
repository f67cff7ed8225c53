import type { ColumnAggregate, ColumnFold } from './aggregate.ts'
import { countFold } from './count.ts'

/**
 * Sum with the rounding errors kept apart. Columns: [sum, error]; the value
 * is their sum, as if added up with twice the digits of a double.
 *
 * Each addition splits off its exact rounding error (TwoSum, without a
 * branch), and the errors are added up on their own.
 *
 * Source: A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation
 * endlicher Summen", ZAMM 54, 1974; D. E. Knuth, "The Art of Computer
 * Programming" 2, 4.2.2 (TwoSum); T. Ogita, S. M. Rump, S. Oishi, "Accurate
 * Sum and Dot Product", SIAM J. Sci. Comput. 26(6), 2005 (error bound).
 */
export const sumFold: ColumnFold = {
  id: 'sum',
  width: 2,
  init(columns, at) {
    columns[at] = 0
    columns[at + 1] = 0
  },
  add: addCompensated,
  mergeRows(into, at, rows, from, stride, count) {
    let sum = into[at]!
    let error = into[at + 1]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) {
      const value = rows[row]!
      const next = sum + value
      const used = next - sum
      error += sum - (next - used) + (value - used) + rows[row + 1]!
      sum = next
    }
    into[at] = sum
    into[at + 1] = error
  },
  addValues(into, at, values, from, stride, count) {
    let sum = into[at]!
    let error = into[at + 1]!
    for (let index = 0, cell = from; index < count; index++, cell += stride) {
      const value = values[cell]!
      if (Number.isNaN(value)) continue
      const next = sum + value
      const used = next - sum
      error += sum - (next - used) + (value - used)
      sum = next
    }
    into[at] = sum
    into[at + 1] = error
  },
  remove(columns, at, value) {
    addCompensated(columns, at, -value)
  },
}

/** Adds `value` to the pair [sum, error] at `at`. */
export function addCompensated(columns: Float64Array, at: number, value: number): void {
  const sum = columns[at]!
  const next = sum + value
  const used = next - sum
  columns[at + 1]! += sum - (next - used) + (value - used)
  columns[at] = next
}

/**
 * Sum of the values present; null where there were none, unless `whenEmpty`
 * says what to give instead. A sum that overflows is null.
 */
export function sum({ whenEmpty = Number.NaN }: { whenEmpty?: number } = {}): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'sum',
    folds: [countFold, sumFold],
    ...(Number.isNaN(whenEmpty) ? {} : { asked: `${whenEmpty} of nothing` }),
    laws: { orderInsensitive: true, invertible: true },
    ...(Number.isNaN(whenEmpty) ? { form: 'sum' } : {}),
    finish: (columns, at) => sumAt(columns, at[0]!, at[1]!, whenEmpty),
  }
}

/** Value of the pair [sum, error]; NaN once it has overflowed. */
export const pairAt = (columns: Float64Array, at: number): number => columns[at]! + columns[at + 1]!

/** Of the count at `count` and the pair [sum, error] at `total`. */
export const sumAt = (columns: Float64Array, count: number, total: number, whenEmpty: number): number =>
  columns[count] === 0 ? whenEmpty : pairAt(columns, total)
