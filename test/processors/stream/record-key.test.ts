import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packKey, unpackKey } from '../../../processors/stream/record-key.ts'

const plain = fc.oneof(
  fc.string(),
  fc.integer(),
  fc.boolean(),
  fc.bigInt(),
  fc.constant(null),
  fc.constantFrom('\0', '\0{}', '\0\0'),
)
const key = fc.oneof(
  plain,
  fc.dictionary(fc.constantFrom('a', 'b', 'c'), plain),
  fc.array(plain, { maxLength: 3 }),
)

describe('record keys in stores', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(key, (each) => {
        expect(unpackKey(packKey(each))).toEqual(each)
      }),
    )
  })

  it('are equal when their fields are, in whatever order, and only then', () => {
    expect(packKey({ b: 1, a: 2 })).toBe(packKey({ a: 2, b: 1 }))
    expect(unpackKey(packKey({ id: new Uint8Array([1, 2]) }))).toEqual({ id: new Uint8Array([1, 2]) })
    fc.assert(
      fc.property(key, key, (left, right) => {
        expect(packKey(left) === packKey(right)).toBe(isDeepStrictEqual(left, right))
      }),
    )
  })

  it('must be values that can be written', () => {
    expect(() => packKey(undefined)).toThrow(TypeError)
    expect(() => packKey(() => 1)).toThrow(TypeError)
  })
})
