import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import type { AggregateLaws, ObjectAggregate } from './aggregate.ts'
import { type Category, type CategoryInput, categoryOf, readCategory, writeCategory } from './category.ts'
import { StateReader } from './state-reader.ts'

/** A value, and when it happened; 0 in lists that do not look at time. */
export interface ListItem {
  readonly value: Category
  readonly atMs: TimestampMs
}

/** At most k items, the one to keep longest first. */
export type ListState = ListItem[]

export type ListAggregate = ObjectAggregate<CategoryInput, ListState, Category[]>

interface ListOrder {
  readonly name: string
  readonly laws: AggregateLaws
  /** Items carry their event time. */
  readonly isTimed: boolean
  /** `item`, which came later than `other`, stands before it. */
  precedes(item: ListItem, other: ListItem): boolean
}

/**
 * The first k items of an order, as a list in that order. The ends of two
 * lists that are merged fall off as they would have in one.
 *
 * @throws RangeError for a k that is not a whole number from 1.
 */
export function boundedList(k: number, { name, laws, isTimed, precedes }: ListOrder): ListAggregate {
  if (!Number.isSafeInteger(k) || k < 1) throw new RangeError(`k must be a whole number from 1, got ${k}`)

  /** A full list knows of a value behind its last that it is not in it; of any other it does not know what would follow. */
  function forgetOldest(list: ListState, input: CategoryInput): ListState | undefined {
    const value = categoryOf(input)
    if (value === undefined) return list
    const item = { value, atMs: 0 }
    if (list.length === k) return precedes(list[k - 1]!, item) ? list : undefined
    list.splice(
      list.findIndex((each) => each.value === value),
      1,
    )
    return list
  }

  return {
    kind: 'object',
    name,
    id: `${name}(${k})`,
    laws,
    isTimeless: true,
    init: () => [],
    add(list, input, atMs) {
      const value = categoryOf(input)
      if (value === undefined) return list
      const item = { value, atMs: isTimed ? atMs : 0 }
      const { length } = list
      if (length === 0 || !precedes(item, list[length - 1]!)) {
        if (length < k) list.push(item)
        return list
      }
      if (length === k) list.pop()
      let low = 0
      let high = list.length
      while (low < high) {
        const middle = (low + high) >>> 1
        if (precedes(item, list[middle]!)) high = middle
        else low = middle + 1
      }
      list.splice(low, 0, item)
      return list
    },
    ...(isTimed ? {} : { forgetOldest }),
    merge(older, newer) {
      const merged: ListState = []
      let fromOlder = 0
      let fromNewer = 0
      while (merged.length < k && fromOlder + fromNewer < older.length + newer.length) {
        const old = older[fromOlder]
        const late = newer[fromNewer]
        const takesLate = late !== undefined && (old === undefined || precedes(late, old))
        merged.push((takesLate ? late : old)!)
        if (takesLate) fromNewer++
        else fromOlder++
      }
      return merged
    },
    finish: (list) => (list.length === 0 ? null : list.map(({ value }) => value)),
    write(list, out) {
      for (const item of list) writeItem(item, isTimed, out)
    },
    read(bytes) {
      const from = new StateReader(bytes)
      const list: ListState = []
      while (!from.isDone) {
        const atMs = isTimed ? from.double() : 0
        list.push({ value: readCategory(from), atMs })
      }
      return list
    },
  }
}

function writeItem({ value, atMs }: ListItem, isTimed: boolean, out: ByteWriter): void {
  if (isTimed) out.double(atMs)
  writeCategory(value, out)
}
