import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ByteWriter } from '../../../state/contracts/byte-writer.ts'
import { oracleType } from '../../support/avro-arbitraries.ts'

describe('ByteWriter', () => {
  test('writes every safe integer as Avro does, the greatest negative ones too', () => {
    const long = oracleType('long')
    const edges = [63, 64, 2 ** 30 - 1, 2 ** 30, 2 ** 31, 2 ** 52, 2 ** 53 - 1].flatMap((each) => [
      each,
      -each,
      -each - 1,
    ])
    fc.assert(
      fc.property(fc.oneof(fc.maxSafeInteger(), fc.constantFrom(...edges)), (value) => {
        fc.pre(Number.isSafeInteger(value))
        const out = new ByteWriter(1)
        out.varint(value)
        expect(out.take()).toEqual(long.toBuffer(BigInt(value)))
      }),
    )
  })

  test('writes every NaN as the same bytes', () => {
    const patterns = [0x7ff8000000000000n, 0xfff8000000000000n, 0x7ff8000000000001n, 0xffffffffffffffffn]
    const written = Array.from(new Float64Array(BigUint64Array.from(patterns).buffer), (nan) => {
      const out = new ByteWriter(8)
      out.double(nan)
      return out.take().toString('hex')
    })
    expect(written).toEqual(patterns.map(() => '000000000000f87f'))
  })

  test('keeps what was written when it grows, and the view of its memory with it', () => {
    const out = new ByteWriter(2)
    out.string('täglich')
    out.double(1.5)
    out.uint32(0xfffffffe)
    out.raw(Buffer.from('abc'), 1)
    expect(out.take().toString('hex')).toBe('1074c3a4676c696368000000000000f83ffffffffe6263')
    expect(out.data.buffer).toBe(out.bytes.buffer)
    expect(out.data.byteOffset).toBe(out.bytes.byteOffset)
    expect(out.data.byteLength).toBe(out.bytes.byteLength)
  })
})
