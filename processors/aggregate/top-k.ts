import { boundedList, type ListAggregate } from './bounded-list.ts'
import { compareCategories } from './category.ts'

/**
 * The k largest values, largest first; strings are larger than numbers, and
 * compare by UTF-16 code units. Repeated values stand repeatedly. Null where
 * there were none. State: k values.
 *
 * @throws RangeError for a k that is not a whole number from 1.
 */
export function topK(k: number): ListAggregate {
  return boundedList(k, {
    name: 'topK',
    laws: { orderInsensitive: true, invertible: false },
    isTimed: false,
    precedes: (item, other) => compareCategories(item.value, other.value) > 0,
  })
}
