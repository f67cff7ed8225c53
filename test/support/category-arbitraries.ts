import fc from 'fast-check'
import type { Category, CategoryInput } from '../../processors/aggregate/category.ts'

/** Few enough that they repeat; numbers whole, broken and large, and texts that look like keys of objects. */
export const categories: fc.Arbitrary<Category> = fc.oneof(
  fc.constantFrom<Category>('a', 'b', 'ab', '', '1', '__proto__', 'constructor', 'zażółć', '\u{1f600}'),
  fc.constantFrom<Category>(0, 1, -1, 2, 10, 0.5, -0.25, 1e300, 2 ** 60),
)

export const leftOutCategories: readonly CategoryInput[] = [
  null,
  undefined,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
]
