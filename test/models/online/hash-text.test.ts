import { describe, expect, test } from 'vitest'
import { hashText } from '../../../models/online/hash-text.ts'

describe('hashText', () => {
  test('is the same for ever', () => {
    expect(['', 'a', 'ATL', 'Zürich', '日本'].map(hashText)).toEqual([
      4146724756653964, 4197184191579962, 2577583492445442, 4170561507165984, 813969713680839,
    ])
  })

  test('gives whole numbers below 2^52, all different for a hundred thousand texts', () => {
    const seen = new Set<number>()
    for (let index = 0; index < 100_000; index++) seen.add(hashText(`user-${index}`))
    expect(seen.size).toBe(100_000)
    for (const hash of seen)
      if (!(Number.isInteger(hash) && hash >= 0 && hash < 2 ** 52)) throw new Error(`${hash}`)
  })

  test('spreads evenly over the low bits', () => {
    const counts = new Float64Array(64)
    for (let index = 0; index < 64_000; index++) counts[hashText(`item:${index}`) % 64]! += 1
    const chi2 = counts.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(chi2).toBeLessThan(110)
  })
})
