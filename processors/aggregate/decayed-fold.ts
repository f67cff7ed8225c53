import type { DurationMs } from '../../state/contracts/units.ts'
import type { ColumnFold } from './aggregate.ts'

/** 2^0, 2^-1, … 2^-1074, the smallest double. */
const powersOfHalf = Float64Array.from({ length: 1075 }, (_, index) => 2 ** -index)

/** 2^-halfLives for a number of half-lives not below 0; exact for whole ones, 0 past 1075. */
export function decay(halfLives: number): number {
  if (halfLives >= 1075) return 0
  // The whole part by table: exact, and four times as fast as Math.pow.
  const whole = Math.trunc(halfLives)
  return powersOfHalf[whole]! * Math.exp((whole - halfLives) * Math.LN2)
}

/** 2^halfLives for any sign: a query may also stand before the reference time. */
export const growth = (halfLives: number): number => (halfLives <= 0 ? decay(-halfLives) : 2 ** halfLives)

/**
 * Count and sum in which a value of age a weighs 2^-(a / halfLifeMs).
 * Columns: [reference time, count, sum]; both stand as they were at the
 * reference time, the newest event time seen, -Infinity where there was none.
 *
 *     value at t into state at r:   t > r   state × 2^-((t - r)/h), then + value, r := t
 *                                   t <= r  + value × 2^-((r - t)/h)
 *
 * So weights never exceed 1, nothing overflows with time, and merging is
 * moving the older of two states forward and adding: exact but for rounding.
 *
 * Source: G. Cormode, V. Shkapenyuk, D. Srivastava, B. Xu, "Forward Decay: A
 * Practical Time Decay Model for Streaming Systems", ICDE 2009.
 */
export function decayedFold(halfLifeMs: DurationMs): ColumnFold {
  if (!(halfLifeMs > 0) || !Number.isFinite(halfLifeMs)) {
    throw new RangeError(`halfLifeMs must be positive and finite, got ${halfLifeMs}`)
  }
  return {
    id: `decayed(${halfLifeMs})`,
    width: 3,
    init(columns, at) {
      columns[at] = Number.NEGATIVE_INFINITY
      columns[at + 1] = 0
      columns[at + 2] = 0
    },
    add(columns, at, value, atMs) {
      const aheadMs = atMs - columns[at]!
      if (aheadMs >= 0) {
        const weight = aheadMs === 0 ? 1 : decay(aheadMs / halfLifeMs)
        columns[at] = atMs
        columns[at + 1] = columns[at + 1]! * weight + 1
        columns[at + 2] = columns[at + 2]! * weight + value
      } else {
        const weight = decay(-aheadMs / halfLifeMs)
        columns[at + 1]! += weight
        columns[at + 2]! += value * weight
      }
    },
    mergeRows(into, at, rows, from, stride, count) {
      let referenceMs = into[at]!
      let weights = into[at + 1]!
      let sum = into[at + 2]!
      const end = from + count * stride
      for (let row = from; row < end; row += stride) {
        const rowMs = rows[row]!
        if (rowMs >= referenceMs) {
          // Where both are -Infinity the difference is NaN, and both are empty.
          const weight = rowMs === referenceMs ? 1 : decay((rowMs - referenceMs) / halfLifeMs)
          referenceMs = rowMs
          weights = weights * weight + rows[row + 1]!
          sum = sum * weight + rows[row + 2]!
        } else {
          const weight = decay((referenceMs - rowMs) / halfLifeMs)
          weights += rows[row + 1]! * weight
          sum += rows[row + 2]! * weight
        }
      }
      into[at] = referenceMs
      into[at + 1] = weights
      into[at + 2] = sum
    },
  }
}
