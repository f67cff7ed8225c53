import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/** Smallest value. Columns: [minimum], Infinity where there was none. */
export const minFold: ColumnFold = {
  id: 'min',
  width: 1,
  init(columns, at) {
    columns[at] = Number.POSITIVE_INFINITY
  },
  add(columns, at, value) {
    // Adding 0 turns -0 into 0, so that the order of the two does not show.
    if (value < columns[at]!) columns[at] = value + 0
  },
  mergeRows(into, at, rows, from, stride, count) {
    let smallest = into[at]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) {
      const value = rows[row]!
      if (value < smallest) smallest = value
    }
    into[at] = smallest
  },
  addValues(into, at, values, from, stride, count) {
    let smallest = into[at]!
    for (let index = 0, cell = from; index < count; index++, cell += stride) {
      const value = values[cell]!
      if (value < smallest) smallest = value + 0
    }
    into[at] = smallest
  },
}

/** Smallest value present; null where there were none. */
export function min(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'min',
    folds: [minFold],
    laws: { orderInsensitive: true, invertible: false },
    form: 'column',
    finish: (columns, at) => {
      const value = columns[at[0]!]!
      return value === Number.POSITIVE_INFINITY ? Number.NaN : value
    },
  }
}
