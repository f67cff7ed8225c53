import type { ObjectAggregate } from './aggregate.ts'
import {
  type Category,
  type CategoryInput,
  categoryOf,
  compareCategories,
  readCategory,
  writeCategory,
} from './category.ts'
import { StateReader } from './state-reader.ts'

/** The values seen; `full` once there were `bound` of them, which are then let go. */
export type DistinctCountState = Set<Category> | 'full'

export type DistinctCount = ObjectAggregate<CategoryInput, DistinctCountState, number>

/**
 * Number of different values, exact below `bound`; `bound` stands for "that
 * many or more". Null where there were none. State: fewer than `bound` values,
 * and one byte from there on. For many values use `approximateDistinct`.
 *
 * @throws RangeError for a bound that is not a whole number from 1.
 */
export function distinctCount(bound: number): DistinctCount {
  if (!Number.isSafeInteger(bound) || bound < 1) {
    throw new RangeError(`bound must be a whole number from 1, got ${bound}`)
  }
  const whole = (values: Set<Category>): DistinctCountState => (values.size >= bound ? 'full' : values)
  return {
    kind: 'object',
    answersNumber: true,
    name: 'distinctCount',
    id: `distinctCount(${bound})`,
    laws: { orderInsensitive: true, invertible: false },
    init: () => new Set<Category>(),
    add(state, input) {
      const value = categoryOf(input)
      return state === 'full' || value === undefined ? state : whole(state.add(value))
    },
    merge(older, newer) {
      if (older === 'full' || newer === 'full') return 'full'
      const union = new Set(older)
      for (const value of newer) union.add(value)
      return whole(union)
    },
    finish(state) {
      if (state === 'full') return bound
      return state.size === 0 ? null : state.size
    },
    write(state, out) {
      out.byte(state === 'full' ? 1 : 0)
      if (state === 'full') return
      for (const value of [...state].sort(compareCategories)) writeCategory(value, out)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      if (from.byte() === 1) return 'full'
      const values = new Set<Category>()
      while (!from.isDone) values.add(readCategory(from))
      return values
    },
  }
}
