import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type Category,
  categoryOf,
  compareCategories,
  readCategory,
  writeCategory,
} from '../../../processors/aggregate/category.ts'
import { StateReader } from '../../../processors/aggregate/state-reader.ts'
import { ByteWriter } from '../../../state/contracts/byte-writer.ts'

const anyCategory = fc
  .oneof(
    fc.string({ unit: 'binary' }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.maxSafeInteger(),
  )
  .map((input) => categoryOf(input)!)

test('what is written is read, in a row, to the end', () => {
  fc.assert(
    fc.property(fc.array(anyCategory), (given) => {
      const out = new ByteWriter(16)
      for (const category of given) writeCategory(category, out)
      const from = new StateReader(out.take())
      const read: Category[] = []
      while (!from.isDone) read.push(readCategory(from))
      expect(read).toEqual(given)
    }),
    { seed: 20_251_123 },
  )
})

test('the order is total: numbers by size, then texts by code units', () => {
  expect(['b', 10, 'a', -1, '', 9, 'B'].sort(compareCategories)).toEqual([-1, 9, 10, '', 'B', 'a', 'b'])
  fc.assert(
    fc.property(anyCategory, anyCategory, anyCategory, (a, b, c) => {
      expect(Math.sign(compareCategories(a, b)) + Math.sign(compareCategories(b, a))).toBe(0)
      expect(compareCategories(a, b) === 0).toBe(a === b)
      const [low, middle, high] = [a, b, c].sort(compareCategories) as [Category, Category, Category]
      expect(compareCategories(low, high)).toBeLessThanOrEqual(0)
      expect(compareCategories(middle, high)).toBeLessThanOrEqual(0)
    }),
    { seed: 20_251_123 },
  )
})

test('inputs that are the same are one category, and nothing is none', () => {
  expect([-0, true, false, 2n ** 60n, 'a\ud800'].map(categoryOf)).toEqual([
    0,
    1,
    0,
    '1152921504606846976',
    'a\ufffd',
  ])
  expect([null, undefined, Number.NaN, Infinity, -Infinity].map(categoryOf)).toEqual(
    Array.from({ length: 5 }, () => undefined),
  )
})

test('bytes that end early are refused', () => {
  const out = new ByteWriter(16)
  writeCategory('abc', out)
  const torn = out.take().subarray(0, 3)
  expect(() => readCategory(new StateReader(torn))).toThrow('passes the end')
  expect(() => readCategory(new StateReader(new Uint8Array(0)))).toThrow(RangeError)
  expect(() => new StateReader(new Uint8Array(3)).raw(4)).toThrow('ends early')
})
