import { expect, test } from 'vitest'
import { ColumnSketch } from '../../../models/drift/column-sketch.ts'
import { SeededGenerator } from '../../../models/policy/seeded-generator.ts'

test('keeps every value until it is full, and then as many of all that came', () => {
  const sketch = new ColumnSketch(20, SeededGenerator.of(1))
  for (let value = 19; value >= 0; value--) sketch.add(value)
  expect(sketch.isSampled).toBe(false)
  expect([...sketch.sample()]).toEqual(Array.from({ length: 20 }, (_, value) => value))
  for (let value = 20; value < 1_000; value++) sketch.add(value)
  const sample = [...sketch.sample()]
  expect(sample).toHaveLength(20)
  expect(new Set(sample).size).toBe(20)
  expect({ isSampled: sketch.isSampled, count: sketch.count, mean: sketch.mean.toFixed(6) }).toEqual({
    isSampled: true,
    count: 1_000,
    mean: '499.500000',
  })
})

test('of a column every value is as likely to be in the sample, the first, the last and any between', () => {
  const [values, size, runs] = [200, 20, 20_000]
  const kept = new Float64Array(values)
  const generator = SeededGenerator.of(7)
  for (let run = 0; run < runs; run++) {
    const sketch = new ColumnSketch(size, generator)
    for (let value = 0; value < values; value++) sketch.add(value)
    for (const value of sketch.sample()) kept[value]!++
  }
  const expected = (runs * size) / values
  const deviation = Math.sqrt(runs * (size / values) * (1 - size / values))
  // Five standard deviations: one of 200 values is beyond it once in ten thousand such tests.
  for (const [value, count] of kept.entries()) {
    expect({ value, isLikely: Math.abs(count - expected) < 5 * deviation }).toEqual({ value, isLikely: true })
  }
  const squares = kept.reduce((sum, count) => sum + (count - expected) ** 2 / deviation ** 2, 0)
  // Chi-square of about 199 degrees: mean 199, standard deviation 20.
  expect(squares).toBeGreaterThan(100)
  expect(squares).toBeLessThan(300)
})
