import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/** Largest value. Columns: [maximum], -Infinity where there was none. */
export const maxFold: ColumnFold = {
  id: 'max',
  width: 1,
  init(columns, at) {
    columns[at] = Number.NEGATIVE_INFINITY
  },
  add(columns, at, value) {
    // Adding 0 turns -0 into 0, so that the order of the two does not show.
    if (value > columns[at]!) columns[at] = value + 0
  },
  mergeRows(into, at, rows, from, stride, count) {
    let largest = into[at]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) {
      const value = rows[row]!
      if (value > largest) largest = value
    }
    into[at] = largest
  },
  addValues(into, at, values, from, stride, count) {
    let largest = into[at]!
    for (let index = 0, cell = from; index < count; index++, cell += stride) {
      const value = values[cell]!
      if (value > largest) largest = value + 0
    }
    into[at] = largest
  },
}

/** Largest value present; null where there were none. */
export function max(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'max',
    folds: [maxFold],
    laws: { orderInsensitive: true, invertible: false },
    form: 'column',
    finish: (columns, at) => {
      const value = columns[at[0]!]!
      return value === Number.NEGATIVE_INFINITY ? Number.NaN : value
    },
  }
}
