import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { TimestampMs } from '../../state/contracts/units.ts'
import { type Category, compareCategories, readCategory, writeCategory } from './category.ts'
import { StateReader } from './state-reader.ts'

/** One time for each of at most `bound` categories. */
export type DatedCategories = Map<Category, TimestampMs>

/**
 * `first`: a category's earliest time, and of too many the earliest are kept.
 * `last`: its latest time, and the latest are kept.
 */
export type Kept = 'first' | 'last'

/** To be kept first, first. Of one instant the smaller category: arrival is not looked at, so no order matters. */
export function inKeptOrder(dated: DatedCategories, kept: Kept): [category: Category, atMs: TimestampMs][] {
  return [...dated].sort((a, b) => compareDated(a, b, kept))
}

function compareDated(
  [category, atMs]: readonly [Category, TimestampMs],
  [otherCategory, otherMs]: readonly [Category, TimestampMs],
  kept: Kept,
): number {
  const byTime = kept === 'first' ? atMs - otherMs : otherMs - atMs
  return byTime !== 0 ? byTime : compareCategories(category, otherCategory)
}

/**
 * Takes a category in, in place, and drops the one to keep last when there are
 * more than `bound`. One that was dropped has `bound` others before it, and
 * their times only move further before it: so what is left in the end does not
 * depend on when it was dropped, nor on how events were split and merged.
 */
export function addDated(
  dated: DatedCategories,
  category: Category,
  atMs: TimestampMs,
  kept: Kept,
  bound: number,
): void {
  const known = dated.get(category)
  if (known !== undefined) {
    if (kept === 'first' ? atMs < known : atMs > known) dated.set(category, atMs)
    return
  }
  dated.set(category, atMs)
  if (dated.size > bound) dated.delete(lastKept(dated, kept))
}

function lastKept(dated: DatedCategories, kept: Kept): Category {
  let last: [Category, TimestampMs] | undefined
  for (const entry of dated) {
    if (last === undefined || compareDated(entry, last, kept) > 0) last = entry
  }
  return last![0]
}

export function mergeDated(
  older: DatedCategories,
  newer: DatedCategories,
  kept: Kept,
  bound: number,
): DatedCategories {
  const merged = new Map(older)
  for (const [category, atMs] of newer) addDated(merged, category, atMs, kept, bound)
  return merged
}

/** In kept order, each a time of 8 bytes and a category. */
export function writeDated(dated: DatedCategories, kept: Kept, out: ByteWriter): void {
  for (const [category, atMs] of inKeptOrder(dated, kept)) {
    out.double(atMs)
    writeCategory(category, out)
  }
}

export function readDated(bytes: Uint8Array): DatedCategories {
  const from = new StateReader(bytes)
  const dated: DatedCategories = new Map()
  while (!from.isDone) {
    const atMs = from.double()
    dated.set(readCategory(from), atMs)
  }
  return dated
}

export function requireBound(bound: number): void {
  if (!Number.isSafeInteger(bound) || bound < 1) {
    throw new RangeError(`bound must be a whole number from 1, got ${bound}`)
  }
}
