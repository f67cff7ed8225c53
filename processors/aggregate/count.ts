import type { ColumnAggregate, ColumnFold } from './aggregate.ts'

/** Number of values. Columns: [count]. */
export const countFold: ColumnFold = {
  id: 'count',
  width: 1,
  init(columns, at) {
    columns[at] = 0
  },
  add(columns, at) {
    columns[at]!++
  },
  mergeRows(into, at, rows, from, stride, count) {
    let total = into[at]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) total += rows[row]!
    into[at] = total
  },
  addValues(into, at, values, from, stride, count) {
    let total = into[at]!
    if (stride === 0) {
      // The same value again and again: that of an input that every event has.
      if (!Number.isNaN(values[from])) into[at] = total + count
      return
    }
    for (let index = 0, cell = from; index < count; index++, cell += stride) {
      if (!Number.isNaN(values[cell])) total++
    }
    into[at] = total
  },
  remove(columns, at) {
    columns[at]!--
  },
}

/**
 * How many values were present; 0, not null, where there were none. Over an
 * input that every event has (a constant 1) it counts events.
 */
export function count(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'count',
    folds: [countFold],
    laws: { orderInsensitive: true, invertible: true },
    form: 'column',
    finish: (columns, at) => columns[at[0]!]!,
  }
}
