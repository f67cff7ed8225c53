import type { ByteWriter } from '../../state/contracts/byte-writer.ts'
import type { StateReader } from './state-reader.ts'

/** What values are told apart by: a name or a number. Numbers come before strings. */
export type Category = number | string

/** What an event may hold where a category is wanted. */
export type CategoryInput = Category | bigint | boolean | null | undefined

/**
 * The category of an input; undefined where there is none: null, NaN and
 * infinities are left out. A boolean is 0 or 1, a bigint its decimal digits,
 * -0 is 0, and half of a surrogate pair, which has no UTF-8, is U+FFFD.
 */
export function categoryOf(input: CategoryInput): Category | undefined {
  switch (typeof input) {
    case 'string':
      return input.toWellFormed()
    case 'number':
      return Number.isFinite(input) ? input + 0 : undefined
    case 'boolean':
      return input ? 1 : 0
    case 'bigint':
      return input.toString()
    default:
      return undefined
  }
}

/** Numbers by size, then strings by UTF-16 code units. */
export function compareCategories(a: Category, b: Category): number {
  if (typeof a !== typeof b) return typeof a === 'number' ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

const numberTag = 0
const wholeTag = 1
const stringTag = 2

/** A tag, then 8 bytes, 1 to 8 for whole numbers, or UTF-8 and its length. */
export function writeCategory(category: Category, out: ByteWriter): void {
  if (typeof category === 'string') {
    out.byte(stringTag)
    out.string(category)
  } else if (Number.isSafeInteger(category)) {
    out.byte(wholeTag)
    out.varint(category)
  } else {
    out.byte(numberTag)
    out.double(category)
  }
}

export function readCategory(from: StateReader): Category {
  switch (from.byte()) {
    case stringTag:
      return from.string()
    case wholeTag:
      return from.varint()
    default:
      return from.double()
  }
}
