import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { packValue, unpackValue } from '../../../state/store/value-encoding.ts'

const plain = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.double(),
    fc.constantFrom(0, -0, Number.NaN, 2 ** 32, -(2 ** 31) - 1, 2 ** 53, null, undefined, true, false),
    fc.integer(),
    fc.bigInt({ min: -(2n ** 90n), max: 2n ** 90n }),
    fc.string({ unit: 'grapheme', maxLength: 40 }),
    fc.uint8Array({ maxLength: 40 }),
    fc.float64Array({ maxLength: 8 }),
    fc.float32Array({ maxLength: 8 }),
    fc.date({ noInvalidDate: true }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ unit: 'grapheme-ascii', maxLength: 4 }), tie('value'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 4 }).map((entries) => new Map(entries)),
    fc.array(tie('value'), { maxLength: 4 }).map((members) => new Set(members)),
  ),
})).value

/** NaNs that differ in their sign and payload, made from bits so that no optimisation can fold them into one. */
function nansOf(heads: readonly number[]): number[] {
  const view = new DataView(new ArrayBuffer(8))
  return heads.map((head) => {
    view.setUint32(0, head)
    view.setUint32(4, 1)
    return view.getFloat64(0)
  })
}

describe('the bytes of a value', () => {
  it('give the value back, kind for kind', () => {
    fc.assert(
      fc.property(plain, (value) => {
        expect(unpackValue(packValue(value))).toStrictEqual(value)
      }),
      { numRuns: 2_000, seed: 5 },
    )
  })

  it('are the same for the same value, whatever was packed before', () => {
    fc.assert(
      fc.property(plain, plain, (value, before) => {
        const first = packValue(value)
        const hex = first.toString('hex')
        packValue(before)
        expect(packValue(value).toString('hex')).toBe(hex)
        expect(packValue(unpackValue(first)).toString('hex')).toBe(hex)
      }),
      { numRuns: 1_000, seed: 6 },
    )
  })

  it('do not tell one NaN from another, wherever it stands', () => {
    const packed = nansOf([0x7ff80000, 0xfff80000, 0x7ff00000, 0xffffffff]).map((nan) => ({
      alone: packValue(nan),
      field: packValue({ a: [1, nan] }),
      map: packValue(new Map([[nan, nan]])),
      doubles: packValue(Float64Array.of(1, nan)),
      singles: packValue(Float32Array.of(1, nan)),
    }))
    for (const each of packed) expect(each).toEqual(packed[0])
    expect(unpackValue(packed[0]!.doubles)).toEqual(Float64Array.of(1, Number.NaN))
    expect(unpackValue(packed[0]!.singles)).toEqual(Float32Array.of(1, Number.NaN))
  })

  it('leave the value that was packed as it was', () => {
    const value = {
      list: [1, Number.NaN, -0],
      map: new Map([['k', -0]]),
      doubles: Float64Array.of(Number.NaN),
    }
    packValue(value)
    expect(value).toStrictEqual({
      list: [1, Number.NaN, -0],
      map: new Map([['k', -0]]),
      doubles: Float64Array.of(Number.NaN),
    })
  })

  it('hold no memory of what they were read from', () => {
    const bytes = Buffer.from(packValue({ bytes: Buffer.from([1, 2, 3]), doubles: Float64Array.of(1.5) }))
    const value = unpackValue(bytes) as { bytes: Uint8Array; doubles: Float64Array }
    bytes.fill(0xff)
    expect([...value.bytes]).toEqual([1, 2, 3])
    expect([...value.doubles]).toEqual([1.5])
  })
})
