import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { checkedKey, compareKeys, decodeKey, encodeKey } from '../../../state/store/key-encoding.ts'
import type { KeyPart, OrderedKey } from '../../../state/store/state-store.ts'

const part: fc.Arbitrary<KeyPart> = fc.oneof(
  fc.constantFrom<KeyPart>(null, true, false, 0, 1, -1, '', '\0', '\0\0', '\u{ffff}', '\u{10000}', 0n, 5n, 5),
  fc.string({ unit: 'grapheme', maxLength: 6 }),
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  // Neighbours that share a double.
  fc.bigInt({ min: 2n ** 53n - 4n, max: 2n ** 53n + 4n }),
  fc.bigInt({ min: -(2n ** 53n) - 4n, max: -(2n ** 53n) + 4n }),
  fc.constantFrom<KeyPart>(2 ** 53, -(2 ** 53), 2 ** 63, -(2 ** 63)),
)
const key: fc.Arbitrary<OrderedKey> = fc.array(part, { maxLength: 4 })
const runs = { numRuns: 3_000, seed: 11 }

describe('the encoding of keys', () => {
  it('gives every key back, numbers as numbers and bigints as bigints', () => {
    fc.assert(
      fc.property(key, (given) => {
        const plain = given.map((each) => (each === 0 ? 0 : each))
        expect(decodeKey(encodeKey(given))).toEqual(plain)
      }),
      runs,
    )
  })

  it('has the order of the keys as the order of the bytes', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        expect(Math.sign(Buffer.compare(encodeKey(a), encodeKey(b)))).toBe(Math.sign(compareKeys(a, b)))
      }),
      runs,
    )
  })

  it('orders the kinds of parts, then their values, then by length', () => {
    const sorted: OrderedKey[] = [
      [],
      [null],
      [null, 1],
      [false],
      [true],
      [Number.NEGATIVE_INFINITY],
      [-(2n ** 53n) - 1n],
      [-(2 ** 53)],
      [-0.5],
      [0],
      [0n],
      [1e-9],
      [2 ** 53],
      [2n ** 53n],
      [2n ** 53n + 1n],
      [2 ** 53 + 2],
      [Number.POSITIVE_INFINITY],
      [''],
      ['', 0],
      ['\0'],
      ['a'],
      ['a', 'b'],
      ['a\0'],
      ['ab'],
      ['\u{ffff}'],
      ['\u{10000}'],
    ]
    const distinct = sorted.filter(
      (each, index) => index === 0 || compareKeys(sorted[index - 1]!, each) !== 0,
    )
    expect([...distinct].reverse().sort(compareKeys)).toEqual(distinct)
    const encoded = distinct.map((each) => encodeKey(each))
    expect([...encoded].reverse().sort(Buffer.compare)).toEqual(encoded)
  })

  it('refuses what has no place in an order', () => {
    expect(() => encodeKey([Number.NaN])).toThrow(/NaN/)
    expect(() => encodeKey([2n ** 63n])).toThrow(/64 bits/)
    expect(() => encodeKey(['\ud800'])).toThrow(/well-formed/)
    expect(() => encodeKey([undefined as unknown as null])).toThrow(TypeError)
    expect(() => encodeKey([['nested'] as unknown as null])).toThrow(TypeError)
  })

  it('takes -0 for 0', () => {
    expect(encodeKey(['a', -0])).toEqual(encodeKey(['a', 0]))
    expect(compareKeys(['a', -0], ['a', 0])).toBe(0)
    expect(checkedKey(['a', -0, 0n])).toEqual(['a', 0, 0n])
  })

  it('reads any bytes as a key or refuses them with a RangeError', () => {
    const tagged = fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 3, 0x10, 0x20, 0xff), fc.nat(255)), {
      maxLength: 24,
    })
    fc.assert(
      fc.property(tagged, (bytes) => {
        try {
          expect(Array.isArray(decodeKey(Uint8Array.from(bytes)))).toBe(true)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }),
      runs,
    )
  })

  it('refuses bytes that no key encodes to, wherever they are cut', () => {
    const whole = encodeKey(['text', 1.5, 2n ** 60n + 1n])
    for (let end = 1; end < whole.length; end++) {
      const cut = whole.subarray(0, end)
      const isKey = (() => {
        try {
          return encodeKey(decodeKey(cut)).equals(cut)
        } catch (error) {
          return error instanceof RangeError
        }
      })()
      expect(isKey).toBe(true)
    }
    expect(() => decodeKey(Buffer.of(0x77))).toThrow(RangeError)
  })
})
