import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AvroField, AvroSchema } from '../../../state/contracts/avro-schema.ts'
import { cursor } from '../../../state/contracts/byte-reader.ts'
import { checkEvolution, readingProblems } from '../../../state/contracts/compatibility.ts'
import { reachable, type SchemaNode } from '../../../state/contracts/schema-node.ts'
import { parseSchema } from '../../../state/contracts/schema-parser.ts'
import { compileReader } from '../../../state/contracts/value-reader.ts'
import { anyRecord, anyValue, evolved, oracleType } from '../../support/avro-arbitraries.ts'

const problems = (reader: AvroSchema, writer: AvroSchema) =>
  readingProblems(parseSchema(reader), parseSchema(writer))

const record = (...fields: AvroField[]): AvroSchema => ({ type: 'record', name: 'R', fields })

function oracleReads(reader: AvroSchema, writer: AvroSchema): boolean {
  try {
    oracleType(reader).createResolver(oracleType(writer))
    return true
  } catch {
    return false
  }
}

/** avsc's value of a union carries its branch; longs are bigints there. Both views made the same. */
function asOurs(node: SchemaNode, value: unknown): unknown {
  switch (node.kind) {
    case 'long':
      return node.bigint ? value : Number(value)
    case 'float':
      // avsc does not round a promoted integer to the precision of a float; Avro's own library does.
      return Math.fround(Number(value))
    case 'double':
      return Number(value)
    case 'array':
      return (value as unknown[]).map((item) => asOurs(node.items, item))
    case 'map':
      return Object.fromEntries(
        Object.entries(value as object).map(([key, item]) => [key, asOurs(node.values, item)]),
      )
    case 'record':
      return Object.fromEntries(
        node.fields.map(({ name, type }) => [name, asOurs(type, (value as Record<string, unknown>)[name])]),
      )
    case 'union': {
      if (value === null) return null
      const [tag = '', inner] = Object.entries(value as object)[0] ?? []
      const index = node.tags.indexOf(tag)
      const own = asOurs(node.branches[index] as SchemaNode, inner)
      return node.tagged ? { [tag]: own } : own
    }
    default:
      return value
  }
}

/**
 * In a union avsc takes the first branch that fits, even if another has the
 * very type that was written; Avro's own library, like ours, looks for that
 * one first. Where the two could differ avsc is no oracle.
 */
function hasAmbiguousUnion(node: SchemaNode): boolean {
  return [...reachable(node)].some(
    (each) =>
      each.kind === 'union' &&
      each.branches.some((branch, index) =>
        each.branches.slice(index + 1).some((later) => readingProblems(branch, later).length === 0),
      ),
  )
}

describe('a record of an earlier version', () => {
  const anyChange = anyRecord.chain((writer) => evolved(writer).map((reader) => ({ writer, reader })))

  const anyRead = anyChange
    .filter(({ writer, reader }) => problems(reader, writer).length === 0)
    .chain((change) =>
      anyValue(parseSchema(change.writer), { promotable: true }).map((value) => ({ ...change, value })),
    )

  test('is readable exactly where avsc resolves the two schemas', () => {
    fc.assert(
      fc.property(anyChange, ({ writer, reader }) => {
        expect(problems(reader, writer).length === 0).toBe(oracleReads(reader, writer))
      }),
      { numRuns: 600 },
    )
  })

  test('is read as avsc reads it', () => {
    fc.assert(
      fc.property(anyRead, ({ writer, reader, value }) => {
        const written = oracleType(writer)
        const wanted = oracleType(reader)
        const bytes = written.toBuffer(value.avsc)
        const expected = wanted.fromBuffer(bytes, wanted.createResolver(written))
        const node = parseSchema(reader)
        fc.pre(!hasAmbiguousUnion(node))
        expect(compileReader(parseSchema(writer), node)(bytes, 0, bytes.length)).toEqual(
          asOurs(node, expected),
        )
        expect(cursor.at).toBe(bytes.length)
      }),
      { numRuns: 400 },
    )
  })

  test('cut short is malformed under the newer schema too', () => {
    fc.assert(
      fc.property(anyRead, fc.nat(), ({ writer, reader, value }, cut) => {
        const bytes = oracleType(writer).toBuffer(value.avsc)
        fc.pre(bytes.length > 0)
        const read = compileReader(parseSchema(writer), parseSchema(reader))
        expect(() => read(bytes, 0, cut % bytes.length)).toThrow(/cut short|passes the end|number/)
      }),
      { numRuns: 200 },
    )
  })
})

describe('the rule that a change breaks is named with the field', () => {
  const nested = (zone: AvroField) =>
    record({ name: 'places', type: { type: 'array', items: { type: 'record', name: 'P', fields: [zone] } } })
  test.each<[rule: string, field: string, reader: AvroSchema, writer: AvroSchema]>([
    ['default-for-new-field', 'b', record({ name: 'b', type: 'int' }), record()],
    ['same-type', 'a', record({ name: 'a', type: 'int' }), record({ name: 'a', type: 'long' })],
    [
      'same-type',
      'places[].zone',
      nested({ name: 'zone', type: 'int' }),
      nested({ name: 'zone', type: 'string' }),
    ],
    [
      'same-type',
      'm{}',
      record({ name: 'm', type: { type: 'map', values: 'int' } }),
      record({ name: 'm', type: { type: 'map', values: 'float' } }),
    ],
    ['same-name', '(root)', record(), { type: 'record', name: 'Other', fields: [] }],
    [
      'known-symbols',
      'e',
      record({ name: 'e', type: { type: 'enum', name: 'E', symbols: ['A'] } }),
      record({ name: 'e', type: { type: 'enum', name: 'E', symbols: ['A', 'B'] } }),
    ],
    ['same-size', '(root)', { type: 'fixed', name: 'F', size: 4 }, { type: 'fixed', name: 'F', size: 5 }],
    [
      'branch-for-every-type',
      'a',
      record({ name: 'a', type: 'int' }),
      record({ name: 'a', type: ['null', 'int'] }),
    ],
    ['branch-for-every-type', '(root)', ['null', 'int'], ['null', 'int', 'string']],
    ['branch-for-every-type', '(root)', ['null', 'boolean'], 'int'],
    [
      'same-decimal',
      '(root)',
      { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 },
      { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 3 },
    ],
    ['same-decimal', '(root)', { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 }, 'bytes'],
    [
      'same-unit',
      '(root)',
      { type: 'long', logicalType: 'timestamp-millis' },
      { type: 'long', logicalType: 'timestamp-micros' },
    ],
  ])('%s at %s', (rule, field, reader, writer) => {
    expect(problems(reader, writer)).toMatchObject([{ rule, field }])
  })

  test('inside the branch that was meant, where a union has one of the same type', () => {
    const branch = (type: AvroSchema): AvroSchema => ['null', record({ name: 'a', type })]
    expect(problems(branch('int'), branch('string'))).toMatchObject([{ rule: 'same-type', field: 'a' }])
  })

  test('every one of several problems is listed', () => {
    const reader = record(
      { name: 'a', type: 'int' },
      { name: 'b', type: 'int' },
      { name: 'c', type: 'string' },
    )
    expect(problems(reader, record({ name: 'c', type: 'int' })).map(({ field }) => field)).toEqual([
      'a',
      'b',
      'c',
    ])
  })
})

describe('what may change', () => {
  test.each<[what: string, reader: AvroSchema, writer: AvroSchema]>([
    [
      'a precision that grows',
      { type: 'bytes', logicalType: 'decimal', precision: 12, scale: 2 },
      { type: 'bytes', logicalType: 'decimal', precision: 9, scale: 2 },
    ],
    ['a plain long that becomes a timestamp', { type: 'long', logicalType: 'timestamp-millis' }, 'long'],
    ['a long that becomes a bigint', { type: 'long', jsType: 'bigint' }, 'int'],
    ['a namespace', { type: 'record', name: 'b.R', fields: [] }, { type: 'record', name: 'a.R', fields: [] }],
    ['a name with an alias', { type: 'record', name: 'New', aliases: ['R'], fields: [] }, record()],
    [
      'symbols, where the reader has a default symbol',
      { type: 'enum', name: 'E', symbols: ['A'], default: 'A' },
      { type: 'enum', name: 'E', symbols: ['B'] },
    ],
  ])('%s', (_, reader, writer) => {
    expect(problems(reader, writer)).toEqual([])
  })

  test('recursive types, compared without end', () => {
    const list = (type: AvroSchema): AvroSchema =>
      record({ name: 'value', type }, { name: 'next', type: ['null', 'R'] })
    expect(problems(list('long'), list('int'))).toEqual([])
    expect(problems(list('int'), list('long'))).toMatchObject([{ field: 'value', rule: 'same-type' }])
  })
})

describe('reading across versions', () => {
  const read = (reader: AvroSchema, writer: AvroSchema, hex: string) => {
    const bytes = Buffer.from(hex, 'hex')
    return compileReader(parseSchema(writer), parseSchema(reader))(bytes, 0, bytes.length)
  }

  test('a symbol that the reader lacks becomes its default symbol', () => {
    const reader: AvroSchema = { type: 'enum', name: 'E', symbols: ['A', 'Z'], default: 'Z' }
    expect(read(reader, { type: 'enum', name: 'E', symbols: ['B', 'A'] }, '00')).toBe('Z')
    expect(read(reader, { type: 'enum', name: 'E', symbols: ['B', 'A'] }, '02')).toBe('A')
  })

  test('a field takes its value from the one its alias names, unless another field has that name', () => {
    const writer = record({ name: 'a', type: 'int' })
    const renamed = record({ name: 'b', type: 'int', aliases: ['a'] })
    expect(read(renamed, writer, '0e')).toEqual({ b: 7 })
    const both = record({ name: 'b', type: 'int', aliases: ['a'], default: 1 }, { name: 'a', type: 'int' })
    expect(read(both, writer, '0e')).toEqual({ b: 1, a: 7 })
  })

  test('a value goes to the branch of its own type before one it would be promoted to', () => {
    const reader: AvroSchema = record({ name: 'v', type: ['bytes', 'string'] })
    expect(read(reader, record({ name: 'v', type: 'string' }), '0261')).toEqual({ v: 'a' })
  })

  test('a long beyond 2^53 in a field that nobody reads is stepped over', () => {
    const writer = record({ name: 'big', type: 'long' }, { name: 'a', type: 'int' })
    expect(read(record({ name: 'a', type: 'int' }), writer, '808080808080802002')).toEqual({ a: 1 })
  })

  test('a default is a new value each time', () => {
    const reader = record({ name: 'list', type: { type: 'array', items: 'int' }, default: [1] })
    const [one, other] = [read(reader, record(), ''), read(reader, record(), '')]
    expect(one).toEqual({ list: [1] })
    expect((one as { list: unknown }).list).not.toBe((other as { list: unknown }).list)
  })

  test('a long becomes the nearest double', () => {
    expect(read('double', 'long', '8280808080808020')).toBe(2 ** 53)
    expect(read('double', 'long', '8680808080808020')).toBe(2 ** 53 + 4)
  })
})

describe('checkEvolution', () => {
  const versions = [record(), record({ name: 'a', type: 'int', default: 0 })].map((schema, index) => ({
    version: index + 1,
    schema: parseSchema(schema),
  }))
  const next = parseSchema(record({ name: 'a', type: 'int' }))

  test.each([
    ['NONE', []],
    ['BACKWARD', []],
    ['BACKWARD_TRANSITIVE', ['a']],
    ['FORWARD', []],
    ['FORWARD_TRANSITIVE', []],
    ['FULL', []],
    ['FULL_TRANSITIVE', ['a']],
  ] as const)('%s', (mode, fields) => {
    expect(checkEvolution(mode, next, versions).map(({ field }) => field)).toEqual(fields)
  })

  test('says which version is meant, and in which direction', () => {
    const other = parseSchema(record({ name: 'a', type: 'string' }))
    expect(checkEvolution('FULL', other, versions).map(({ detail }) => detail)).toEqual([
      'int cannot be read as string (reading records of version 2)',
      'string cannot be read as int (records read by version 2)',
    ])
  })
})
