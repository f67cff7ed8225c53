import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { unlz4, unsnappy } from '../../../../state/log/kafka/decompress.ts'

/** Literals, and copies of what came before: what both formats are made of. */
interface Step {
  readonly literal: Buffer
  readonly distance: number
  readonly length: number
}

/** Text that repeats itself, at near and far distances, overlapping and not. */
const steps = fc
  .array(
    fc.record({
      literal: fc.uint8Array({ minLength: 1, maxLength: 90 }),
      back: fc.integer({ min: 1, max: 5_000 }),
      length: fc.integer({ min: 4, max: 600 }),
    }),
    { minLength: 1, maxLength: 40 },
  )
  .map((parts) => {
    let size = 0
    return parts.map(({ literal, back, length }): Step => {
      size += literal.length
      const distance = ((back - 1) % size) + 1
      size += length
      return { literal: Buffer.from(literal), distance, length }
    })
  })

function plain(parts: readonly Step[], last: Buffer): Buffer {
  const bytes: number[] = []
  for (const { literal, distance, length } of parts) {
    bytes.push(...literal)
    for (let count = 0; count < length; count++) bytes.push(bytes[bytes.length - distance]!)
  }
  return Buffer.from([...bytes, ...last])
}

function snappy(parts: readonly Step[], last: Buffer): Buffer {
  const out: number[] = []
  for (let rest = plain(parts, last).length; ; rest >>>= 7) {
    out.push(rest > 127 ? (rest & 127) | 128 : rest)
    if (rest <= 127) break
  }
  const literal = (bytes: Buffer) => {
    if (bytes.length === 0) return
    if (bytes.length <= 60) out.push((bytes.length - 1) << 2)
    else out.push(60 << 2, bytes.length - 1)
    out.push(...bytes)
  }
  for (const { literal: bytes, distance, length } of parts) {
    literal(bytes)
    for (let left = length; left > 0; ) {
      const some = Math.min(left, 64)
      if (some >= 4 && some <= 11 && distance < 2048) {
        out.push(((distance >> 8) << 5) | ((some - 4) << 2) | 1, distance & 255)
      } else if (some % 2 === 0) out.push(((some - 1) << 2) | 2, distance & 255, distance >> 8)
      else out.push(((some - 1) << 2) | 3, distance & 255, distance >> 8, 0, 0)
      left -= some
    }
  }
  literal(last)
  return Buffer.from(out)
}

const xerial = (blocks: readonly Buffer[]): Buffer => {
  const header = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])
  const sized = blocks.flatMap((block) => {
    const size = Buffer.alloc(4)
    size.writeInt32BE(block.length)
    return [size, block]
  })
  return Buffer.concat([header, ...sized])
}

function lz4Block(parts: readonly Step[], last: Buffer): Buffer {
  const out: number[] = []
  const sequence = (bytes: Buffer, copy?: { distance: number; length: number }) => {
    const nibble = (count: number) => Math.min(count, 15)
    const longer = (count: number) => {
      for (let rest = count - 15; rest >= 0; rest -= 255) out.push(Math.min(rest, 255))
    }
    out.push((nibble(bytes.length) << 4) | (copy === undefined ? 0 : nibble(copy.length - 4)))
    longer(bytes.length)
    out.push(...bytes)
    if (copy === undefined) return
    out.push(copy.distance & 255, copy.distance >> 8)
    longer(copy.length - 4)
  }
  for (const { literal, distance, length } of parts) sequence(literal, { distance, length })
  sequence(last)
  return Buffer.from(out)
}

/** Blocks that may refer to the ones before; `raw` ones are not compressed. */
function lz4(blocks: readonly { readonly bytes: Buffer; readonly raw: boolean }[], flags: number): Buffer {
  const word = (value: number) => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(value >>> 0)
    return bytes
  }
  return Buffer.concat([
    word(0x184d2204),
    Buffer.from([0x40 | flags, 0x40, ...(flags & 8 ? Buffer.alloc(8) : []), 0]),
    ...blocks.flatMap(({ bytes, raw }) => [
      word(raw ? bytes.length + 2 ** 31 : bytes.length),
      bytes,
      ...(flags & 16 ? [word(1)] : []),
    ]),
    word(0),
    ...(flags & 4 ? [word(2)] : []),
  ])
}

const end = fc.uint8Array({ maxLength: 70 }).map((bytes) => Buffer.from(bytes))

describe('what producers compress with', () => {
  test('snappy comes back as it was, in one block or in those of the Java client', () => {
    fc.assert(
      fc.property(steps, end, (parts, last) => {
        const expected = plain(parts, last)
        expect(unsnappy(snappy(parts, last)).equals(expected)).toBe(true)
        const twice = xerial([snappy(parts, last), snappy([], Buffer.from('z'))])
        expect(unsnappy(twice).equals(Buffer.concat([expected, Buffer.from('z')]))).toBe(true)
      }),
    )
  })

  test('lz4 comes back as it was, blocks that refer to earlier ones included', () => {
    const flags = fc.constantFrom(0, 4, 8, 16, 28)
    fc.assert(
      fc.property(steps, end, flags, (parts, last, frameFlags) => {
        const expected = plain(parts, last)
        const packed = lz4([{ bytes: lz4Block(parts, last), raw: false }], frameFlags)
        expect(unlz4(packed).equals(expected)).toBe(true)
        const linked = lz4(
          [
            { bytes: Buffer.from('before'), raw: true },
            { bytes: lz4Block([{ literal: Buffer.from('+'), distance: 7, length: 5 }], last), raw: false },
          ],
          frameFlags,
        )
        const joined = Buffer.concat([Buffer.from('before+befor'), last])
        expect(unlz4(Buffer.concat([linked, packed])).equals(Buffer.concat([joined, expected]))).toBe(true)
      }),
    )
  })

  test('what is cut off or refers to nothing is refused', () => {
    const parts = [{ literal: Buffer.from('abcdefgh'), distance: 4, length: 30 }]
    for (const [unpack, packed] of [
      [unsnappy, snappy(parts, Buffer.from('end'))],
      [unlz4, lz4([{ bytes: lz4Block(parts, Buffer.from('end')), raw: false }], 0)],
    ] as const) {
      for (let size = 0; size < packed.length; size++) {
        if (unpack === unlz4 && size === 0) continue
        expect(() => unpack(packed.subarray(0, size))).toThrow(RangeError)
      }
    }
    const nowhere = [{ literal: Buffer.from('ab'), distance: 3, length: 5 }]
    expect(() => unsnappy(Buffer.from([7, 1 << 2, 97, 98, 5, 3]))).toThrow(RangeError)
    expect(() => unlz4(lz4([{ bytes: lz4Block(nowhere, Buffer.alloc(0)), raw: false }], 0))).toThrow(
      RangeError,
    )
  })
})
