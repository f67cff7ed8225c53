import { boundedList, type ListAggregate } from './bounded-list.ts'

/**
 * The values of the k earliest events, earliest first; of those at one instant
 * the ones that arrived earlier. Repeated values stand repeatedly. Null where
 * there were none. State: k values with their times.
 *
 * @throws RangeError for a k that is not a whole number from 1.
 */
export function firstK(k: number): ListAggregate {
  return boundedList(k, {
    name: 'firstK',
    laws: { orderInsensitive: false, invertible: false },
    isTimed: true,
    precedes: (item, other) => item.atMs < other.atMs,
  })
}
