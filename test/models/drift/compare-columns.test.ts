import { describe, expect, test } from 'vitest'
import { ColumnSketch, categoryLimit } from '../../../models/drift/column-sketch.ts'
import { compareColumns } from '../../../models/drift/compare-columns.ts'
import { SeededGenerator } from '../../../models/policy/seeded-generator.ts'

function sketchOf(values: readonly number[], sampleSize = 1_000, seed = 1): ColumnSketch {
  const sketch = new ColumnSketch(sampleSize, SeededGenerator.of(seed))
  for (const value of values) sketch.add(value)
  return sketch
}

const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, index) => index + from)

describe('a sketch of a column', () => {
  test('keeps all values while there is room, and counts those that are not there', () => {
    const sketch = sketchOf([3, Number.NaN, 1, 2, Number.POSITIVE_INFINITY])
    expect([...sketch.sample()]).toEqual([1, 2, 3])
    expect(sketch).toMatchObject({ count: 3, missing: 2, missingShare: 0.4, mean: 2, isSampled: false })
    expect([...sketch.categories!]).toEqual([
      [3, 1],
      [1, 1],
      [2, 1],
    ])
  })

  test('counts different values up to a limit, and then takes them for numbers', () => {
    expect(sketchOf(numbers(categoryLimit)).categories?.size).toBe(categoryLimit)
    expect(sketchOf(numbers(categoryLimit + 1)).categories).toBeUndefined()
  })

  test('keeps each value with the same chance, whenever it came', () => {
    const kept = new Float64Array(4)
    for (let seed = 1; seed <= 400; seed++) {
      const sketch = sketchOf(numbers(200), 20, seed)
      expect(sketch.isSampled).toBe(true)
      for (const value of sketch.sample()) kept[Math.floor(value / 50)]!++
    }
    // 8000 in four quarters; the deviation of each is about 37.
    for (const quarter of kept) expect(Math.abs(quarter - 2_000)).toBeLessThan(190)
  })

  test('keeps the same values for the same seed', () => {
    const [left, right] = [sketchOf(numbers(500), 20, 9), sketchOf(numbers(500), 20, 9)]
    expect(left.sample()).toEqual(right.sample())
    expect(sketchOf(numbers(500), 20, 8).sample()).not.toEqual(right.sample())
  })
})

describe('two sketches', () => {
  test('of numbers are compared as such, with bins that hold every value', () => {
    const compared = compareColumns(sketchOf(numbers(400)), sketchOf(numbers(400, 100)))
    expect(compared).toMatchObject({ kind: 'number', newCategories: null, isApproximate: false })
    expect(compared.tests.map(({ test: name }) => name)).toEqual(['ks'])
    expect(compared.tests[0]!.effect).toBeCloseTo(0.25, 12)
    expect(compared.wasserstein).toBeCloseTo(100 / 115.47, 3)
    const { at, reference, current } = compared.bins
    expect([at.length - 1, reference.length, current.length]).toEqual([24, 24, 24])
    for (const counts of [reference, current]) expect(counts.reduce((a, b) => a + b)).toBe(400)
  })

  test('of few different values are compared by category, with the share of new ones', () => {
    const repeated = (value: number, count: number) => Array<number>(count).fill(value)
    const before = sketchOf([...repeated(1, 60), ...repeated(2, 40)])
    const now = sketchOf([...repeated(1, 30), ...repeated(2, 40), ...repeated(7, 30)])
    const compared = compareColumns(before, now)
    expect(compared).toMatchObject({ kind: 'category', newCategories: 0.3, wasserstein: null })
    expect(compared.bins).toEqual({ at: [1, 2, 7], reference: [60, 40, 0], current: [30, 40, 30] })
    expect(compared.tests[0]).toMatchObject({ test: 'chi-square', statistic: 40 })
    expect(compared.tests[0]!.effect).toBeCloseTo(0.3, 12)
  })

  test('differ in how many values are missing, even where there are none left', () => {
    const compared = compareColumns(sketchOf(numbers(100)), sketchOf(Array<number>(100).fill(Number.NaN)))
    expect(compared.tests.map(({ test: name, effect }) => [name, effect])).toEqual([['missing', 1]])
    expect(Object.values(compared).some(Number.isNaN)).toBe(false)
  })

  test('with fewer than 20 values say nothing', () => {
    expect(compareColumns(sketchOf(numbers(19)), sketchOf(numbers(500))).tests).toEqual([])
    expect(compareColumns(sketchOf([]), sketchOf([])).tests).toEqual([])
  })
})
