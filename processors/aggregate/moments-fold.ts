import type { ColumnFold } from './aggregate.ts'

/**
 * Sums of the second to fourth powers of deviations from the mean.
 * Columns: [count, mean, squares, cubes, fourth powers].
 *
 * A value is added as a row of count 1 is merged, with the terms of its own
 * moments, which are 0, left out.
 *
 * Source: P. Pébay, "Formulas for Robust, One-Pass Parallel Computation of
 * Covariances and Arbitrary-Order Statistical Moments", Sandia SAND2008-6212,
 * 2008.
 */
export const momentsFold: ColumnFold = {
  id: 'moments',
  width: 5,
  init(columns, at) {
    columns.fill(0, at, at + 5)
  },
  add(columns, at, value) {
    const before = columns[at]!
    const count = before + 1
    const off = value - columns[at + 1]!
    const step = off / count
    const squaresAdded = off * step * before
    const squares = columns[at + 2]!
    const cubes = columns[at + 3]!
    columns[at] = count
    columns[at + 1]! += step
    columns[at + 4]! +=
      squaresAdded * step * step * (count * count - 3 * count + 3) +
      6 * step * step * squares -
      4 * step * cubes
    columns[at + 3] = cubes + squaresAdded * step * (count - 2) - 3 * step * squares
    columns[at + 2] = squares + squaresAdded
  },
  mergeRows(into, at, rows, from, stride, rowCount) {
    const end = from + rowCount * stride
    for (let row = from; row < end; row += stride) {
      const added = rows[row]!
      if (added === 0) continue
      const before = into[at]!
      if (before === 0) {
        for (let column = 0; column < 5; column++) into[at + column] = rows[row + column]!
      } else {
        mergeMoments(into, at, rows, row)
      }
    }
  },
}

/** Both states hold values. */
function mergeMoments(into: Float64Array, at: number, rows: Float64Array, row: number): void {
  const before = into[at]!
  const added = rows[row]!
  const total = before + added
  const off = rows[row + 1]! - into[at + 1]!
  // Shares of the whole, so that no product of counts grows large.
  const shareBefore = before / total
  const shareAdded = added / total
  const squaresBefore = into[at + 2]!
  const squaresAdded = rows[row + 2]!
  const cubesBefore = into[at + 3]!
  const cubesAdded = rows[row + 3]!
  const between = off * off * shareBefore * added

  into[at + 4]! +=
    rows[row + 4]! +
    between * off * off * (shareBefore * shareBefore - shareBefore * shareAdded + shareAdded * shareAdded) +
    6 * off * off * (shareBefore * shareBefore * squaresAdded + shareAdded * shareAdded * squaresBefore) +
    4 * off * (shareBefore * cubesAdded - shareAdded * cubesBefore)
  into[at + 3] =
    cubesBefore +
    cubesAdded +
    between * off * (shareBefore - shareAdded) +
    3 * off * (shareBefore * squaresAdded - shareAdded * squaresBefore)
  into[at + 2] = squaresBefore + squaresAdded + between
  into[at + 1]! += off * shareAdded
  into[at] = total
}
