import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AvroSchema } from '../../../state/contracts/avro-schema.ts'
import { ByteWriter } from '../../../state/contracts/byte-writer.ts'
import { parseSchema } from '../../../state/contracts/schema-parser.ts'
import { compileReader } from '../../../state/contracts/value-reader.ts'
import { ValueViolation } from '../../../state/contracts/value-violation.ts'
import { compileWriter, twosComplement } from '../../../state/contracts/value-writer.ts'
import { anySchema, anyValue, oracleType } from '../../support/avro-arbitraries.ts'

function written(schema: AvroSchema, value: unknown, capacity = 1): string {
  const out = new ByteWriter(capacity)
  compileWriter(parseSchema(schema))(value, out)
  return out.take().toString('hex')
}

const inField = (type: AvroSchema): AvroSchema => ({
  type: 'record',
  name: 'R',
  fields: [{ name: 'outer', type: { type: 'record', name: 'Inner', fields: [{ name: 'a', type }] } }],
})

describe('writing a value', () => {
  test('gives the bytes that avsc gives, whatever room there was before', () => {
    const anyPair = anySchema.chain((schema) =>
      anyValue(parseSchema(schema)).map((value) => ({ schema, value })),
    )
    fc.assert(
      fc.property(anyPair, fc.nat(30), ({ schema, value }, capacity) => {
        const out = new ByteWriter(capacity)
        out.byte(7)
        compileWriter(parseSchema(schema))(value.ours, out)
        const expected = oracleType(schema).toBuffer(value.avsc)
        expect(out.take()).toEqual(Buffer.concat([Buffer.from([7]), expected]))
      }),
      { numRuns: 400 },
    )
  })

  test('writes every NaN as the same bytes', () => {
    const [negative] = new Float64Array(BigUint64Array.of(0xfff8000000000000n).buffer)
    expect(written('double', negative)).toBe('000000000000f87f')
  })

  test('refuses every value of the wrong kind, naming the field, what was found and what was expected', () => {
    const wrong: [type: AvroSchema, value: unknown, found: string][] = [
      ['int', 1.5, '1.5'],
      ['int', 2 ** 31, '2147483648'],
      ['int', '1', '"1"'],
      ['int', undefined, 'missing'],
      ['long', 2 ** 53, '9007199254740992'],
      ['long', Number.NaN, 'NaN'],
      ['long', 1n, '1n'],
      [{ type: 'long', jsType: 'bigint' }, 1, '1'],
      [{ type: 'long', jsType: 'bigint' }, 2n ** 63n, '9223372036854775808n'],
      ['double', '1', '"1"'],
      ['double', null, 'null'],
      ['float', undefined, 'missing'],
      ['boolean', 0, '0'],
      ['string', 7, '7'],
      ['string', 'a\ud800b', '"a\\ud800b"'],
      ['bytes', 'abc', '"abc"'],
      ['null', 0, '0'],
      [{ type: 'array', items: 'int' }, { length: 1 }, 'an object'],
      [{ type: 'map', values: 'int' }, [1], 'an array of 1'],
      [{ type: 'map', values: 'int' }, JSON.parse('{"__proto__":1}'), '"__proto__"'],
      [{ type: 'enum', name: 'E', symbols: ['A'] }, 'B', '"B"'],
      [{ type: 'fixed', name: 'F', size: 2 }, Buffer.alloc(3), '3 bytes'],
      [['null', 'int'], 'x', '"x"'],
      [['int', 'double'], 1, '1'],
      [['int', 'double'], { long: 1 }, 'an object'],
      [{ type: 'record', name: 'Deep', fields: [] }, 5, '5'],
      [{ type: 'bytes', logicalType: 'decimal', precision: 2, scale: 0 }, 100n, '100n'],
    ]
    for (const [type, value, found] of wrong) {
      let thrown: unknown
      try {
        written(inField(type), { outer: { a: value } })
      } catch (error) {
        thrown = error
      }
      expect(thrown, JSON.stringify(type)).toBeInstanceOf(ValueViolation)
      expect(thrown).toMatchObject({ path: 'outer.a', found })
    }
  })

  test('a path goes through arrays and maps, and tells two uses of one type apart', () => {
    const point: AvroSchema = { type: 'record', name: 'Point', fields: [{ name: 'x', type: 'int' }] }
    const schema: AvroSchema = {
      type: 'record',
      name: 'R',
      fields: [
        { name: 'from', type: point },
        { name: 'via', type: { type: 'map', values: { type: 'array', items: 'Point' } } },
      ],
    }
    const write = (via: unknown) => () => written(schema, { from: { x: 1 }, via })
    expect(write({ a: [{ x: 1 }, { x: '' }] })).toThrow(/^via\{\}\[\]\.x: /)
    expect(() => written(schema, { from: { x: '' }, via: {} })).toThrow(/^from\.x: /)
  })

  test('a missing value is null where null is allowed', () => {
    expect(written(inField(['null', 'int']), { outer: {} })).toBe('00')
    expect(written(inField(['int', 'null']), { outer: { a: null } })).toBe('02')
  })

  test('a union without tags takes the branch of the value’s class', () => {
    const schema: AvroSchema = [
      'null',
      'int',
      'string',
      'bytes',
      { type: 'array', items: 'int' },
      { type: 'map', values: 'int' },
    ]
    const values = [null, 7, 'x', Buffer.from([1]), [1], { a: 1 }]
    const node = parseSchema(schema)
    for (const [index, value] of values.entries()) {
      const bytes = Buffer.from(written(schema, value), 'hex')
      expect(bytes[0]).toBe(index * 2)
      expect(compileReader(node, node)(bytes, 0, bytes.length)).toEqual(value)
    }
  })

  test('a decimal is two’s complement, as short as it can be', () => {
    const cases: [bigint, string][] = [
      [0n, '00'],
      [127n, '7f'],
      [128n, '0080'],
      [-128n, '80'],
      [-129n, 'ff7f'],
      [123456789n, '075bcd15'],
    ]
    for (const [value, hex] of cases) expect(twosComplement(value).toString('hex')).toBe(hex)
    expect(twosComplement(-1n, 4).toString('hex')).toBe('ffffffff')
    const schema: AvroSchema = { type: 'bytes', logicalType: 'decimal', precision: 40, scale: 3 }
    const fixed: AvroSchema = {
      type: 'fixed',
      name: 'D',
      size: 9,
      logicalType: 'decimal',
      precision: 20,
      scale: 3,
    }
    for (const type of [schema, fixed]) {
      for (const value of [0n, -1n, 10n ** 20n - 1n, 1n - 10n ** 20n]) {
        const bytes = Buffer.from(written(type, value), 'hex')
        expect(compileReader(parseSchema(type), parseSchema(type))(bytes, 0, bytes.length)).toBe(value)
      }
    }
  })
})
