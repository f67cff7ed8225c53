import { boundedList, type ListAggregate } from './bounded-list.ts'
import { compareCategories } from './category.ts'

/**
 * The k smallest values, smallest first; numbers are smaller than strings,
 * which compare by UTF-16 code units. Repeated values stand repeatedly. Null
 * where there were none. State: k values.
 *
 * @throws RangeError for a k that is not a whole number from 1.
 */
export function bottomK(k: number): ListAggregate {
  return boundedList(k, {
    name: 'bottomK',
    laws: { orderInsensitive: true, invertible: false },
    isTimed: false,
    precedes: (item, other) => compareCategories(item.value, other.value) < 0,
  })
}
