import { expect, test } from 'vitest'
import type { Category } from '../../../processors/aggregate/category.ts'
import { hashCategory, hashed } from '../../../processors/aggregate/hash-category.ts'

const hashOf = (category: Category): string => {
  hashCategory(category)
  return [hashed.high, hashed.low].map((half) => half.toString(16).padStart(8, '0')).join('')
}

test('the hash is the one that sketches on disk were made with', () => {
  expect(['', 'a', 'user-1', 0, 1, 0.5].map(hashOf)).toEqual([
    'f03afad0bdabfa1e',
    'b3e3ab2878d50cb8',
    '851819f5a6fe9ced',
    '66fd872d6e0f5fff',
    'dc2bd18cb815f1a9',
    'e631886ffaa0b7ce',
  ])
})

test('a quarter of a million inputs that differ little have different hashes', () => {
  const hashes = new Set<string>()
  for (let index = 0; index < 125_000; index++) {
    hashes.add(hashOf(index))
    hashes.add(hashOf(`${index}`))
  }
  expect(hashes.size).toBe(250_000)
})
