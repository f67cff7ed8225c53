import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { approximateDistinct } from '../../../processors/aggregate/approximate-distinct.ts'
import type { CategoryInput } from '../../../processors/aggregate/category.ts'
import { hashCategory, hashed } from '../../../processors/aggregate/hash-category.ts'
import { ByteWriter } from '../../../state/contracts/byte-writer.ts'
import { objectAggregateSuite } from '../../conformance/aggregate.suite.ts'
import { categories, leftOutCategories } from '../../support/category-arbitraries.ts'

// 16 registers leave the sparse form after two values, 4096 never in these lists.
for (const precision of [4, 12]) {
  objectAggregateSuite<CategoryInput, Map<number, number> | Uint8Array, number>({
    aggregate: approximateDistinct({ precision }),
    input: fc.oneof(categories, fc.integer()),
    oracle(events) {
      const size = new Set(events.map(({ input }) => input)).size
      return size === 0 ? null : size
    },
    compare(got, wanted) {
      if (got === null || wanted === null) expect(got).toBe(wanted)
      else if (precision === 12) expect(got).toBe(wanted)
      // Three standard errors of 26 %, and one value for few.
      else expect(Math.abs(got - wanted)).toBeLessThanOrEqual(1 + 0.78 * wanted)
    },
    isCanonical: true,
    leftOut: leftOutCategories,
    maxBytes: precision === 4 ? 13 : 1 + 4 * 40,
  })
}

describe('the error of the estimate', () => {
  const kinds: [string, (index: number, run: number) => CategoryInput][] = [
    ['numbers in a row', (index, run) => run * 1_000_000 + index],
    ['fractions', (index, run) => (run * 1_000_000 + index) / 3],
    ['texts that differ at the end', (index, run) => `user-${run}-${index}`],
    ['texts that differ at the start', (index, run) => `${index}-${run}-user`],
  ]

  test.each(kinds)('stays within that of its definition, over %s', (_, inputOf) => {
    const aggregate = approximateDistinct({ precision: 10 })
    const standardError = 1.04 / Math.sqrt(1_024)
    const sizes = [200, 1_000, 2_500, 5_000, 40_000]
    const runs = 12
    const squares = sizes.map(() => 0)
    const biases = sizes.map(() => 0)
    for (let run = 0; run < runs; run++) {
      let state = aggregate.init()
      for (let index = 0; index < sizes.at(-1)!; index++) {
        state = aggregate.add(state, inputOf(index, run), 0)
        const at = sizes.indexOf(index + 1)
        if (at < 0) continue
        const error = aggregate.finish(state, 1)! / sizes[at]! - 1
        expect(Math.abs(error)).toBeLessThan(4.5 * standardError)
        squares[at]! += error ** 2
        biases[at]! += error
      }
    }
    for (const at of sizes.keys()) {
      expect(Math.sqrt(squares[at]! / runs)).toBeLessThan(1.8 * standardError)
      expect(Math.abs(biases[at]! / runs)).toBeLessThan(1.2 * standardError)
    }
  })

  test('is nothing while few values were seen, whatever the precision', () => {
    const aggregate = approximateDistinct({ precision: 14 })
    let state = aggregate.init()
    for (let value = 0; value < 1_000; value++) state = aggregate.add(state, `value ${value}`, 0)
    expect(aggregate.finish(state, 1)).toBe(1_000)
  })
})

test('registers are those of the definition, through the sparse form as well', () => {
  const precision = 16
  const aggregate = approximateDistinct({ precision })
  const wanted = new Uint8Array(2 ** precision)
  let state = aggregate.init()
  for (let value = 0; value < 60_000; value++) {
    state = aggregate.add(state, value, 0)
    hashCategory(value)
    const bits = ((BigInt(hashed.high) << 32n) | BigInt(hashed.low)).toString(2).padStart(64, '0')
    const cell = Number.parseInt(bits.slice(0, precision), 2)
    const run = bits.indexOf('1', precision) - precision + 1
    wanted[cell] = Math.max(wanted[cell]!, run)
  }
  expect(state instanceof Uint8Array && Buffer.from(state).equals(wanted)).toBe(true)
})

test('registers of every length are written and read', () => {
  const aggregate = approximateDistinct({ precision: 6 })
  const registers = Uint8Array.from({ length: 64 }, (_, cell) => (cell * 7) % 60)
  const out = new ByteWriter(16)
  aggregate.write(registers, out)
  expect(out.length).toBe(49)
  expect(aggregate.read(out.take())).toEqual(registers)
})

test('a precision without registers, or with too many, is refused', () => {
  for (const precision of [3, 17, 10.5]) expect(() => approximateDistinct({ precision })).toThrow(RangeError)
})
