import type { ColumnAggregate, ColumnFold } from '../aggregate/aggregate.ts'
import { summaryFold } from '../aggregate/summary-fold.ts'
import type { WindowColumns, WindowFold } from './window.ts'

type NumberInput = number | boolean | null | undefined

/** Folds of one input, side by side in a row; aggregates that name the same fold share it. */
interface ColumnRow {
  readonly width: number
  readonly folds: readonly { readonly fold: ColumnFold; readonly at: number }[]
  /** By aggregate: where each of its folds stands. */
  readonly places: readonly (readonly number[])[]
}

/**
 * An aggregate of numbers as the fold of a stream's windows: the same columns
 * as in a feature's tiles, one row a window. null, NaN and infinities are left
 * out.
 */
export function windowFold(aggregate: ColumnAggregate): WindowFold<NumberInput, Float64Array, number> {
  const row = rowOf([aggregate])
  return overColumns(row, {
    ...columnsOf(row),
    finish: (cells, at, queryMs) => finite(aggregate, cells, placesAt(row.places[0]!, at), queryMs),
  })
}

/**
 * Several aggregates of one input as one fold, whose result has their answers
 * by name. What they share (mean is count and sum) is folded once.
 */
export function windowFolds<Name extends string>(
  aggregates: Readonly<Record<Name, ColumnAggregate>>,
): WindowFold<NumberInput, Float64Array, Readonly<Record<Name, number | null>>> {
  const entries = Object.entries<ColumnAggregate>(aggregates) as [Name, ColumnAggregate][]
  const row = rowOf(entries.map(([, aggregate]) => aggregate))
  const places = row.places.map((place) => [...place])
  return overColumns(row, {
    ...columnsOf(row),
    finish(cells, at, queryMs) {
      const answers = {} as Record<Name, number | null>
      for (let index = 0; index < entries.length; index++) {
        const [name, aggregate] = entries[index]!
        const moved = places[index]!
        for (let fold = 0; fold < moved.length; fold++) moved[fold] = at + row.places[index]![fold]!
        answers[name] = finite(aggregate, cells, moved, queryMs)
      }
      return answers
    },
  })
}

function rowOf(aggregates: readonly ColumnAggregate[]): ColumnRow {
  const wanted = new Set(aggregates.flatMap((aggregate) => aggregate.folds.map(({ id }) => id)))
  const isSummary = summaryFold.parts.every(({ fold }) => wanted.has(fold.id))
  const folds: { fold: ColumnFold; at: number }[] = []
  let width = 0
  const placeOf = (fold: ColumnFold): number => {
    const part = isSummary ? summaryFold.parts.find((each) => each.fold.id === fold.id) : undefined
    if (part !== undefined) return placeOf(summaryFold) + part.at
    const known = folds.find((each) => each.fold.id === fold.id)
    if (known !== undefined) return known.at
    const at = width
    folds.push({ fold, at })
    width += fold.width
    return at
  }
  const places = aggregates.map((aggregate) => aggregate.folds.map(placeOf))
  return { width, folds, places }
}

function columnsOf({ folds, width }: ColumnRow): Omit<WindowColumns<NumberInput, never>, 'finish'> {
  return {
    id: folds.map(({ fold }) => fold.id).join(' '),
    width,
    init(cells, at) {
      for (const each of folds) each.fold.init(cells, at + each.at)
    },
    add(cells, at, input, atMs) {
      const value = input === null || input === undefined ? Number.NaN : Number(input)
      if (!Number.isFinite(value)) return
      for (let index = 0; index < folds.length; index++) {
        const each = folds[index]!
        each.fold.add(cells, at + each.at, value, atMs)
      }
    },
  }
}

/** The fold whose state is a row of its own, and which others may keep in theirs. */
function overColumns<Output>(
  { width, folds }: ColumnRow,
  columns: WindowColumns<NumberInput, Output>,
): WindowFold<NumberInput, Float64Array, Output> {
  return {
    columns,
    init() {
      const row = new Float64Array(width)
      columns.init(row, 0)
      return row
    },
    add(row, input, atMs) {
      columns.add(row, 0, input, atMs)
      return row
    },
    merge(older, newer) {
      const row = older.slice()
      for (const { fold, at } of folds) fold.mergeRows(row, at, newer, at, width, 1)
      return row
    },
    finish: (row, queryMs) => columns.finish(row, 0, queryMs),
  }
}

const placesAt = (places: readonly number[], at: number): readonly number[] =>
  at === 0 ? places : places.map((place) => at + place)

function finite(
  aggregate: ColumnAggregate,
  cells: Float64Array,
  places: readonly number[],
  queryMs: number,
): number | null {
  const value = aggregate.finish(cells, places, queryMs)
  return Number.isFinite(value) ? value : null
}
