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

  return {
    kind: 'object',
    name,
    id: `${name}(${k})`,
    laws,
    init: () => [],
    add(list, input, atMs) {
      const value = categoryOf(input)
      if (value === undefined) return list
      const item = { value, atMs: isTimed ? atMs : 0 }
      let at = list.length
      while (at > 0 && precedes(item, list[at - 1]!)) at--
      if (at >= k) return list
      list.splice(at, 0, item)
      if (list.length > k) list.pop()
      return list
    },
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
