import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/** The latest value. Columns: [its time, value], [-Infinity, 0] where there was none. */
export const lastFold: ColumnFold = {
  id: 'last',
  width: 2,
  init(columns, at) {
    columns[at] = Number.NEGATIVE_INFINITY
    columns[at + 1] = 0
  },
  add(columns, at, value, atMs) {
    if (atMs >= columns[at]!) {
      columns[at] = atMs
      columns[at + 1] = value
    }
  },
  mergeRows(into, at, rows, from, stride, count) {
    let timeMs = into[at]!
    let value = into[at + 1]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) {
      const rowMs = rows[row]!
      if (rowMs >= timeMs) {
        timeMs = rowMs
        value = rows[row + 1]!
      }
    }
    into[at] = timeMs
    into[at + 1] = value
  },
}

/**
 * The value with the greatest (event time, arrival): of two at the same
 * instant the one that arrived later. Null where there were none.
 */
export function last(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'last',
    folds: [lastFold],
    laws: { orderInsensitive: false, invertible: false },
    finish: (columns, at) => {
      const from = at[0]!
      return columns[from] === Number.NEGATIVE_INFINITY ? Number.NaN : columns[from + 1]!
    },
  }
}
