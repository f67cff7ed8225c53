import type { ColumnAggregate, ColumnFold } from './aggregate.ts'
import { countFold } from './count.ts'

/** Earliest event time. Columns: [time], Infinity where there was none. */
export const earliestFold: ColumnFold = {
  id: 'earliest',
  width: 1,
  init(columns, at) {
    columns[at] = Number.POSITIVE_INFINITY
  },
  add(columns, at, _value, atMs) {
    if (atMs < columns[at]!) columns[at] = atMs
  },
  mergeRows(into, at, rows, from, stride, count) {
    let earliest = into[at]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) if (rows[row]! < earliest) earliest = rows[row]!
    into[at] = earliest
  },
}

/** Latest event time. Columns: [time], -Infinity where there was none. */
export const latestFold: ColumnFold = {
  id: 'latest',
  width: 1,
  init(columns, at) {
    columns[at] = Number.NEGATIVE_INFINITY
  },
  add(columns, at, _value, atMs) {
    if (atMs > columns[at]!) columns[at] = atMs
  },
  mergeRows(into, at, rows, from, stride, count) {
    let latest = into[at]!
    const end = from + count * stride
    for (let row = from; row < end; row += stride) if (rows[row]! > latest) latest = rows[row]!
    into[at] = latest
  },
}

/**
 * Milliseconds from the latest event to the query; null where there was none.
 * It grows as time passes, with no new event needed.
 */
export function timeSinceLast(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'timeSinceLast',
    folds: [latestFold],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at, queryMs) {
      const latestMs = columns[at[0]!]!
      return latestMs === Number.NEGATIVE_INFINITY ? Number.NaN : queryMs - latestMs
    },
  }
}

/** Milliseconds from the earliest event, of those in the window, to the query; null where there was none. */
export function timeSinceFirst(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'timeSinceFirst',
    folds: [earliestFold],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at, queryMs) {
      const earliestMs = columns[at[0]!]!
      return earliestMs === Number.POSITIVE_INFINITY ? Number.NaN : queryMs - earliestMs
    },
  }
}

/**
 * Mean milliseconds between one event and the next: the time from the earliest
 * to the latest over the number of gaps. Null for fewer than two events; 0
 * where all are of one instant.
 */
export function meanInterval(): ColumnAggregate {
  return {
    kind: 'columns',
    name: 'meanInterval',
    folds: [countFold, earliestFold, latestFold],
    laws: { orderInsensitive: true, invertible: false },
    finish(columns, at) {
      const gaps = columns[at[0]!]! - 1
      return gaps > 0 ? (columns[at[2]!]! - columns[at[1]!]!) / gaps : Number.NaN
    },
  }
}
