import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AvroSchema } from '../../../state/contracts/avro-schema.ts'
import { cursor, emptyItemLimit, MalformedBytes } from '../../../state/contracts/byte-reader.ts'
import { ByteWriter } from '../../../state/contracts/byte-writer.ts'
import { parseSchema } from '../../../state/contracts/schema-parser.ts'
import { compileReader } from '../../../state/contracts/value-reader.ts'
import { compileWriter } from '../../../state/contracts/value-writer.ts'
import { anySchema, anyValue, oracleType } from '../../support/avro-arbitraries.ts'

function reading(schema: AvroSchema, hex: string): unknown {
  const node = parseSchema(schema)
  const bytes = Buffer.from(hex, 'hex')
  const value = compileReader(node, node)(bytes, 0, bytes.length)
  expect(cursor.at).toBe(bytes.length)
  return value
}

/** A schema, a value under it as avsc writes it, and the value as we should read it. */
const anyWritten = anySchema.chain((schema) =>
  anyValue(parseSchema(schema)).map(({ ours, avsc }) => ({
    schema,
    ours,
    bytes: oracleType(schema).toBuffer(avsc),
  })),
)

describe('reading a value', () => {
  test('gives what avsc wrote, for any schema and value', () => {
    fc.assert(
      fc.property(anyWritten, ({ schema, ours, bytes }) => {
        const node = parseSchema(schema)
        const framed = Buffer.concat([Buffer.from('xyz'), bytes, Buffer.from('xyz')])
        expect(compileReader(node, node)(framed, 3, 3 + bytes.length)).toEqual(ours)
        expect(cursor.at).toBe(3 + bytes.length)
      }),
      { numRuns: 400 },
    )
  })

  test('cut short anywhere is malformed, never a value of the whole length', () => {
    fc.assert(
      fc.property(anyWritten, ({ schema, bytes }) => {
        const node = parseSchema(schema)
        const read = compileReader(node, node)
        for (let end = 0; end < bytes.length; end++) {
          expect(() => {
            read(bytes, 0, end)
            // A shorter value may stand at the start; then bytes of it are not missing.
            if (cursor.at <= end) throw new MalformedBytes('ended early', end)
          }).toThrow(MalformedBytes)
        }
      }),
      { numRuns: 150 },
    )
  })

  test('of random bytes ends at once with a value inside the bytes, or as malformed', () => {
    fc.assert(
      fc.property(anySchema, fc.uint8Array({ maxLength: 200 }), (schema, random) => {
        const node = parseSchema(schema)
        const bytes = Buffer.from(random)
        try {
          compileReader(node, node)(bytes, 0, bytes.length)
          expect(cursor.at).toBeLessThanOrEqual(bytes.length)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBytes)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('one wrong bit is a value or malformed, and never reads outside of the range', () => {
    fc.assert(
      fc.property(anyWritten, fc.nat(), ({ schema, bytes }, bit) => {
        fc.pre(bytes.length > 0)
        const node = parseSchema(schema)
        const at = bit % (bytes.length * 8)
        bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7))
        try {
          compileReader(node, node)(bytes, 0, bytes.length)
          expect(cursor.at).toBeLessThanOrEqual(bytes.length)
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedBytes)
        }
      }),
      { numRuns: 400 },
    )
  })

  test.each<[what: string, schema: AvroSchema, hex: string]>([
    ['an array of a billion ints in six bytes', { type: 'array', items: 'int' }, '80a8d6b90702'],
    ['an array of a billion nulls in six bytes', { type: 'array', items: 'null' }, '80a8d6b90700'],
    ['a map of a billion entries', { type: 'map', values: 'null' }, '80a8d6b90702'],
    ['a negative count of 2^63', { type: 'array', items: 'int' }, 'ffffffffffffffffff0102'],
    ['a block size beyond the end', { type: 'array', items: 'int' }, '01c80102'],
    ['a negative block size', { type: 'array', items: 'int' }, '010102'],
    ['a string of 2^40 bytes', 'string', '808080808040'],
    ['a negative length', 'bytes', '01'],
    ['a varint without an end', 'long', 'ffffffffffffffffffffffff'],
    ['a varint of 65 bits', 'long', 'ffffffffffffffffff02'],
    ['an int of 33 bits', 'int', '8080808020'],
    ['a long beyond 2^53', 'long', '8080808080808020'],
    ['a boolean of 2', 'boolean', '02'],
    ['a symbol that is none', { type: 'enum', name: 'E', symbols: ['A'] }, '02'],
    ['a negative symbol', { type: 'enum', name: 'E', symbols: ['A'] }, '01'],
    ['a branch that is none', ['null', 'int'], '04'],
    ['a negative branch', ['null', 'int'], '01'],
    ['bytes that are not UTF-8', 'string', '04c328'],
    ['a long text that is not UTF-8', 'string', `80${'01'}${'61'.repeat(63)}ff`],
    ['half a surrogate pair', 'string', '06eda080'],
    ['a map key that reaches the prototype', { type: 'map', values: 'int' }, '02125f5f70726f746f5f5f0200'],
  ])('refuses %s', (_, schema, hex) => {
    expect(() => reading(schema, hex)).toThrow(MalformedBytes)
  })

  test('many blocks of items without bytes are bounded together', () => {
    const node = parseSchema({ type: 'array', items: { type: 'record', name: 'Empty', fields: [] } })
    const out = new ByteWriter()
    const blocks = 5
    for (let block = 0; block < blocks; block++) out.varint(emptyItemLimit / 4)
    out.byte(0)
    expect(() => compileReader(node, node)(out.view(), 0, out.length)).toThrow(/items without bytes/)
    out.reset()
    out.varint(emptyItemLimit)
    out.byte(0)
    expect(compileReader(node, node)(out.view(), 0, out.length)).toHaveLength(emptyItemLimit)
  })

  test('an array in several blocks, with sizes or without, is one array', () => {
    const ints: AvroSchema = { type: 'array', items: 'int' }
    expect(reading(ints, '020204060800')).toEqual([1, 3, 4])
    expect(reading(ints, '03040204020a00')).toEqual([1, 2, 5])
    expect(reading(ints, '00')).toEqual([])
  })

  test('a long is exact up to 2^53 - 1 and a bigint over all 64 bits', () => {
    const big: AvroSchema = { type: 'long', jsType: 'bigint' }
    const write = (schema: AvroSchema, value: unknown) => {
      const out = new ByteWriter()
      compileWriter(parseSchema(schema))(value, out)
      return out.take().toString('hex')
    }
    for (const value of [0, -1, 2 ** 31, -(2 ** 31), 2 ** 52, -(2 ** 52) - 1, 2 ** 53 - 1, 1 - 2 ** 53]) {
      expect(reading('long', write('long', value))).toBe(value)
      expect(reading(big, write('long', value))).toBe(BigInt(value))
    }
    for (const value of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -(2n ** 53n)]) {
      expect(reading(big, write(big, value))).toBe(value)
      expect(() => reading('long', write(big, value))).toThrow(/2\^53/)
    }
  })

  test('doubles keep minus zero, NaN and the infinities', () => {
    for (const value of [-0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324]) {
      const out = new ByteWriter()
      out.double(value)
      expect(reading('double', out.take().toString('hex'))).toBe(value)
    }
  })

  test('what it returns does not change when the buffer is used again', () => {
    const node = parseSchema('bytes')
    const bytes = Buffer.from('04abcd', 'hex')
    const value = compileReader(node, node)(bytes, 0, 3)
    bytes.fill(0)
    expect(value).toEqual(Buffer.from('abcd', 'hex'))
  })
})

describe('a recursive type', () => {
  const chain: AvroSchema = {
    type: 'record',
    name: 'Link',
    fields: [
      { name: 'value', type: 'int' },
      { name: 'next', type: ['null', 'Link'] },
    ],
  }
  const nested = (depth: number) => `${'0202'.repeat(depth)}0200`

  test('is read and written', () => {
    const value = { value: 1, next: { value: 1, next: { value: 1, next: null } } }
    expect(reading(chain, nested(2))).toEqual(value)
    const out = new ByteWriter()
    compileWriter(parseSchema(chain))(value, out)
    expect(out.take().toString('hex')).toBe(nested(2))
  })

  test('is bounded to 64 levels when it is read and when it is written', () => {
    expect(reading(chain, nested(63))).toBeDefined()
    expect(() => reading(chain, nested(64))).toThrow(/nest deeper than 64/)
    expect(() => reading(chain, nested(100_000))).toThrow(/nest deeper than 64/)
    const loop: { value: number; next: unknown } = { value: 1, next: null }
    loop.next = loop
    expect(() => compileWriter(parseSchema(chain))(loop, new ByteWriter())).toThrow(/64/)
  })
})
