import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PackedKey } from '../../../state/store/packed-key.ts'
import { SlotIndex } from '../../../state/store/slot-index.ts'

/** Few of them, so that the same come again; of every kind that a key may have. */
const key: fc.Arbitrary<PackedKey> = fc.oneof(
  fc.integer({ min: 0, max: 3_000 }),
  fc.integer({ min: 0, max: 40 }).map((part) => part * 0x4000000 + 7),
  fc.integer({ min: -30, max: 30 }).map((part) => part / 4),
  fc.constantFrom<PackedKey>(-0, Number.NaN, Infinity, -Infinity, 2 ** 53 - 1, '', '0', 0n, 1n, 'key'),
)

test('it is a map from keys to slots, whatever comes and goes', () => {
  const steps = fc.array(fc.record({ key, isGone: fc.boolean(), slot: fc.nat(1e6) }), {
    maxLength: 3_000,
    size: 'max',
  })
  fc.assert(
    fc.property(steps, (given) => {
      const index = new SlotIndex()
      const oracle = new Map<PackedKey, number>()
      for (const { key, isGone, slot } of given) {
        expect(index.get(key)).toBe(oracle.get(key) ?? -1)
        if (isGone) {
          index.delete(key)
          oracle.delete(key)
        } else {
          index.set(key, slot)
          oracle.set(key, slot)
        }
        expect(index.has(key)).toBe(!isGone)
        expect(index.size).toBe(oracle.size)
      }
      for (const [known, slot] of oracle) expect(index.get(known)).toBe(slot)
      index.clear()
      expect([index.size, index.get(given[0]?.key ?? 0)]).toEqual([0, -1])
    }),
    { numRuns: 60 },
  )
})

test('a hundred thousand keys in runs and in pairs are found again when every other one has gone', () => {
  const index = new SlotIndex()
  const keys = Array.from({ length: 100_000 }, (_, at) => (at % 2 ? at : at * 0x4000000 + (at % 97)))
  for (const [slot, key] of keys.entries()) index.set(key, slot)
  for (let slot = 0; slot < keys.length; slot += 3) index.delete(keys[slot]!)
  expect(keys.map((key) => index.get(key))).toEqual(keys.map((_, slot) => (slot % 3 === 0 ? -1 : slot)))
})
