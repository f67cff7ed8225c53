import type { ColumnAggregate, ObjectAggregate } from './aggregate.ts'
import { StateReader } from './state-reader.ts'

export type ColumnState = Float64Array

/**
 * An aggregate of numbers where one with a state of its own is wanted, as
 * within `bucketBy`. null, NaN and infinities are left out, and an answer that
 * is NaN or infinite is null. State: 8 bytes a column.
 */
export function objectAggregateOf(
  aggregate: ColumnAggregate,
): ObjectAggregate<number | null | undefined, ColumnState, number> {
  const { name, folds, laws, asked } = aggregate
  const places: number[] = []
  let width = 0
  for (const fold of folds) {
    places.push(width)
    width += fold.width
  }
  const plain: ObjectAggregate<number | null | undefined, ColumnState, number> = {
    kind: 'object',
    answersNumber: true,
    name,
    id: `columns(${folds.map(({ id }) => id).join(' ')})`,
    laws,
    ...(asked === undefined ? {} : { asked }),
    init() {
      const row = new Float64Array(width)
      for (const [index, fold] of folds.entries()) fold.init(row, places[index]!)
      return row
    },
    add(row, input, atMs) {
      if (!Number.isFinite(input)) return row
      for (const [index, fold] of folds.entries()) fold.add(row, places[index]!, input as number, atMs)
      return row
    },
    merge(older, newer) {
      const row = older.slice()
      for (const [index, fold] of folds.entries()) {
        fold.mergeRows(row, places[index]!, newer, places[index]!, width, 1)
      }
      return row
    },
    finish(row, queryMs) {
      const value = aggregate.finish(row, places, queryMs)
      return Number.isFinite(value) ? value : null
    },
    write(row, out) {
      for (const value of row) out.double(value)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      return Float64Array.from({ length: width }, () => from.double())
    },
  }
  if (!laws.invertible) return plain
  return {
    ...plain,
    remove(row, input, atMs) {
      if (!Number.isFinite(input)) return row
      for (const [index, fold] of folds.entries()) fold.remove!(row, places[index]!, input as number, atMs)
      return row
    },
  }
}
